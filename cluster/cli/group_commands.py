"""What `consumer-groups` and `share-groups` share: options, what is checked of them, and what is said of deletions.

Here: the command line's side. Not here: the commands themselves, what the brokers are asked (`cluster.console`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from cluster.console.errors import failure, usage

DeleteOption = Annotated[bool, typer.Option("--delete", help="Delete groups that have no members.")]
ResetOption = Annotated[bool, typer.Option("--reset-offsets", help="Move a group that has no members.")]
GroupOption = Annotated[list[str] | None, typer.Option(help="Which group; repeatable.")]
StateOption = Annotated[str | None, typer.Option(help="Show states; with --list, only these.", metavar="[STATES]")]
MembersOption = Annotated[bool, typer.Option("--members", help="Show members.")]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Change the offsets.")]
EarliestOption = Annotated[bool, typer.Option("--to-earliest", help="To the first record.")]
LatestOption = Annotated[bool, typer.Option("--to-latest", help="To the end.")]
DatetimeOption = Annotated[str | None, typer.Option(help="To this time: YYYY-MM-DDTHH:mm:SS.sss.")]
TimeoutOption = Annotated[int, typer.Option(help="How long to wait for the brokers, in ms.", min=1)]


def wanted_table(state: str | None, *, members: bool, offsets: bool) -> str:
    """Return what `--describe` shows: offsets, members or state. Raises LabError (usage) when it is to be several."""
    if (state is not None) + members + offsets > 1:
        raise usage("--describe takes at most one of --members, --offsets, --state.", "Leave the others out.")
    return "members" if members else "state" if state is not None else "offsets"


def check_reset_scope(topics: Sequence[str] | None, *, all_topics: bool) -> None:
    """Raise LabError (usage) unless it is said in one way what is reset."""
    if all_topics == bool(topics):
        raise usage("One of the reset scopes should be defined: --all-topics, --topic.", "Add one of them.")


def listed_words(text: str | None) -> list[str]:
    """Read an option such as `Stable,Empty`: its words, in lower case."""
    return [word.strip().lower() for word in (text or "").split(",") if word.strip()]


def tell_deleted(kind: str, names: Sequence[str], outcomes: Mapping[str, str]) -> None:
    """Say which groups were deleted; `outcomes` has why one was not. Raises LabError when there is such a one."""
    failed = {name: reason for name, reason in outcomes.items() if reason}
    deleted = ", ".join(f"'{name}'" for name in names if name not in failed)
    if not failed:
        typer.echo(f"Deletion of requested {kind} groups ({deleted}) was successful.")
        return
    if deleted:
        typer.echo(f"\nThese {kind} groups were deleted successfully: {deleted}")
    reasons = "".join(f"\n* Group '{name}' could not be deleted due to: {reason}" for name, reason in failed.items())
    raise failure(f"Deletion of some {kind} groups failed:{reasons}", "A group with members cannot be deleted.")
