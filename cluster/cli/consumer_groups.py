"""`fencepost consumer-groups`: list, describe, delete and reset groups, with kafka-consumer-groups' flags and columns.

Deleting the offsets of single topics (`--delete-offsets`) is missing: the client library has no call for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.group_calls import GroupCalls
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import Place

ListOption = Annotated[bool, typer.Option("--list", help="List all groups.")]
DescribeOption = Annotated[bool, typer.Option("--describe", help="Show offsets and lag, or members, or the state.")]
DeleteOption = Annotated[bool, typer.Option("--delete", help="Delete groups that have no members.")]
ResetOption = Annotated[bool, typer.Option("--reset-offsets", help="Move a group that has no members.")]
GroupOption = Annotated[list[str] | None, typer.Option(help="Which group; repeatable.")]
AllGroupsOption = Annotated[bool, typer.Option("--all-groups", help="All groups.")]
TopicsOption = Annotated[list[str] | None, typer.Option("--topic", help="What to reset: topic, or topic:0,1.")]
AllTopicsOption = Annotated[bool, typer.Option("--all-topics", help="Reset all partitions that have an offset.")]
StateOption = Annotated[str | None, typer.Option(help="Show states; with --list, only these.", metavar="[STATES]")]
TypeOption = Annotated[str | None, typer.Option("--type", help="With --list: types, only these.", metavar="[TYPES]")]
MembersOption = Annotated[bool, typer.Option("--members", help="Show members.")]
OffsetsOption = Annotated[bool, typer.Option("--offsets", help="Show offsets, as --describe alone does.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show each member's partitions.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the new offsets, change nothing; the default.")]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Change the offsets.")]
ExportOption = Annotated[bool, typer.Option("--export", help="Show the new offsets as CSV.")]
ToOffsetOption = Annotated[int | None, typer.Option(help="To this offset.")]
ShiftOption = Annotated[int | None, typer.Option(help="By so many offsets, forwards or backwards.")]
DatetimeOption = Annotated[str | None, typer.Option(help="To this time: YYYY-MM-DDTHH:mm:SS.sss.")]
DurationOption = Annotated[str | None, typer.Option(help="Back by so long: PnDTnHnMnS.")]
EarliestOption = Annotated[bool, typer.Option("--to-earliest", help="To the first record.")]
LatestOption = Annotated[bool, typer.Option("--to-latest", help="To the end.")]
CurrentOption = Annotated[bool, typer.Option("--to-current", help="To where it is.")]
FileOption = Annotated[Path | None, typer.Option(help="To what a CSV file says.", metavar="FILE")]
TimeoutOption = Annotated[int, typer.Option(help="How long to wait for the brokers, in ms.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    parsed = kafka_options.kafka_command(optional_values={"--state": "", "--type": ""})
    app.command("consumer-groups", cls=parsed)(consumer_groups)


def consumer_groups(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    list_: ListOption = False,
    describe: DescribeOption = False,
    delete: DeleteOption = False,
    reset_offsets: ResetOption = False,
    group: GroupOption = None,
    all_groups: AllGroupsOption = False,
    topic: TopicsOption = None,
    all_topics: AllTopicsOption = False,
    state: StateOption = None,
    type_: TypeOption = None,
    members: MembersOption = False,
    offsets: OffsetsOption = False,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    execute: ExecuteOption = False,
    export: ExportOption = False,
    to_offset: ToOffsetOption = None,
    shift_by: ShiftOption = None,
    to_datetime: DatetimeOption = None,
    by_duration: DurationOption = None,
    to_earliest: EarliestOption = False,
    to_latest: LatestOption = False,
    to_current: CurrentOption = False,
    from_file: FileOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: TimeoutOption = 5_000,
) -> None:
    """List, describe, delete or reset consumer groups, as kafka-consumer-groups does."""
    from cluster.console.group_calls import GroupCalls

    actions = {"--list": list_, "--describe": describe, "--delete": delete, "--reset-offsets": reset_offsets}
    action = kafka_options.only_action(actions)
    if action != "--list" and not group and not all_groups:
        raise usage(f"Option [{action[2:]}] takes one of these options: [group], [all-groups]", "Add --group NAME.")
    if group and all_groups:
        raise usage("Only one of --group and --all-groups can be given.", "Leave one of them out.")
    if (state is not None) + members + offsets > 1:
        raise usage("--describe takes at most one of --members, --offsets, --state.", "Leave the others out.")
    ways = (to_offset, shift_by, to_datetime, by_duration, to_earliest, to_latest, to_current, from_file)
    target = _target(ways, group or []) if reset_offsets else None
    if dry_run and execute:
        raise usage("--reset-offsets only accepts one of --execute and --dry-run.", "Leave one of them out.")
    if reset_offsets and not from_file and (all_topics == bool(topic)):
        raise usage("One of the reset scopes should be defined: --all-topics, --topic.", "Add one of them.")
    calls = GroupCalls(kafka_options.admin_client(bootstrap_server, command_config, command_property), timeout)
    if list_:
        _list(calls, type_, state)
        return
    names = [listing.name for listing in calls.listings()] if all_groups else sorted(group or [])
    if describe:
        _describe(calls, names, "members" if members else "state" if state is not None else "offsets", verbose)
    elif delete:
        _delete(calls, names)
    else:
        assert target is not None, "it is made above"
        _reset(calls, names, topic, target, execute=execute, export=export)


def _list(calls: GroupCalls, types: str | None, states: str | None) -> None:
    from cluster.console.group_text import list_groups

    wanted_types = [word.strip().lower() for word in (types or "").split(",") if word.strip()]
    wanted_states = [word.strip().lower() for word in (states or "").split(",") if word.strip()]
    found = [
        listing
        for listing in calls.listings()
        if (not wanted_types or listing.type.lower() in wanted_types)
        and (not wanted_states or listing.state.lower() in wanted_states)
    ]
    for line in list_groups(found, with_type=types is not None, with_state=states is not None):
        typer.echo(line)


def _describe(calls: GroupCalls, names: list[str], what: str, verbose: bool) -> None:
    from cluster.console import group_text
    from cluster.console.group_calls import End

    missing = []
    for group in calls.describe(names):
        complaint, has_table = group_text.complaint(group)
        if not has_table:
            missing.append(complaint)
            continue
        if complaint:
            say(f"\n{complaint}")
        if what == "members":
            lines = group_text.describe_members(group, verbose=verbose) if group.members else []
        elif what == "state":
            lines = group_text.describe_state(group)
        else:
            committed = calls.committed(group.name)
            places = sorted({*committed, *(place for member in group.members for place in member.assignment)})
            lines = group_text.describe_offsets(group, committed, calls.ends(places, End.LATEST))
        for line in lines:
            typer.echo(line)
    if missing:
        raise failure("\n".join(missing), "`fencepost consumer-groups --list` shows the groups there are.")


def _delete(calls: GroupCalls, names: list[str]) -> None:
    outcomes = calls.delete(names) if names else {}
    failed = {name: reason for name, reason in outcomes.items() if reason}
    deleted = ", ".join(f"'{name}'" for name in names if name not in failed)
    if not failed:
        typer.echo(f"Deletion of requested consumer groups ({deleted}) was successful.")
        return
    if deleted:
        typer.echo(f"\nThese consumer groups were deleted successfully: {deleted}")
    reasons = "".join(f"\n* Group '{name}' could not be deleted due to: {reason}" for name, reason in failed.items())
    raise failure(f"Deletion of some consumer groups failed:{reasons}", "A group with members cannot be deleted.")


def _target(ways: tuple[int | str | bool | Path | None, ...], groups: list[str]) -> Target:
    """Return where to reset to. Raises LabError (usage) unless it is said in exactly one way."""
    from cluster.console.group_calls import End
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import parse_datetime, parse_duration, parse_plan

    to_offset, shift_by, to_datetime, by_duration, to_earliest, to_latest, _, from_file = ways
    if sum(way is not None and way is not False for way in ways) != 1:
        raise usage(
            "Option [reset-offsets] requires exactly one of --to-offset, --shift-by, --to-datetime, --by-duration, "
            "--to-earliest, --to-latest, --to-current, --from-file.",
            "Say where to go.",
        )
    if isinstance(to_datetime, str):
        return Target(time_ms=parse_datetime(to_datetime))
    if isinstance(by_duration, str):
        return Target(time_ms=time.time_ns() // 1_000_000 - parse_duration(by_duration))
    if isinstance(from_file, Path):
        try:
            return Target(plan=parse_plan(from_file.read_text(), groups))
        except OSError as error:
            raise usage(f"{from_file} cannot be read: {error.strerror}", "Name a file that --export wrote.") from error
    if to_earliest or to_latest:
        return Target(end=End.EARLIEST if to_earliest else End.LATEST)
    if isinstance(to_offset, int):
        return Target(offset=to_offset)
    return Target(shift=shift_by) if isinstance(shift_by, int) else Target(current=True)


def _reset(
    calls: GroupCalls, names: list[str], topics: list[str] | None, target: Target, *, execute: bool, export: bool
) -> None:
    """Show where each partition goes, and with `execute` move it there first."""
    from cluster.console.group_offsets import new_offsets
    from cluster.console.group_text import describe_reset, parse_topics, write_plan

    if not execute:
        say("No offsets are changed: add --execute to change them.")
    moved: list[tuple[str, Place, int]] = []
    active = []
    for group in calls.describe(names):
        if group.state not in ("Empty", "Dead"):
            active.append(group)
            continue
        whole, places = parse_topics(topics or [])
        places += calls.partitions(whole)
        if not topics and target.plan is None:
            places = sorted(calls.committed(group.name))
        offsets = new_offsets(calls, group.name, places, target, say)
        if execute and offsets:
            calls.commit(group.name, offsets)
        moved += [(group.name, place, offset) for place, offset in offsets.items()]
    if export:
        typer.echo(write_plan(moved, one_group=len(names) == 1), nl=False)
    else:
        for line in describe_reset(moved):
            typer.echo(line)
    if active:
        raise failure(
            f"Assignments can only be reset if the group '{active[0].name}' is inactive, "
            f"but the current state is {active[0].state}.",
            "Stop the group's consumers first.",
        )
