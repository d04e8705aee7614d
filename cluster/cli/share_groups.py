"""`fencepost share-groups`: list, describe, move, delete share groups, with kafka-share-groups' flags and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.group_calls import GroupCalls
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import Place
    from cluster.console.share_group_calls import ShareGroupCalls

ListOption = Annotated[bool, typer.Option("--list", help="List all share groups.")]
DescribeOption = Annotated[bool, typer.Option("--describe", help="Show start offsets, or members, or the state.")]
DeleteOption = Annotated[bool, typer.Option("--delete", help="Delete groups that have no members.")]
ResetOption = Annotated[bool, typer.Option("--reset-offsets", help="Move a group that has no members.")]
ForgetOption = Annotated[bool, typer.Option("--delete-offsets", help="Let a group without members forget topics.")]
GroupOption = Annotated[list[str] | None, typer.Option(help="Which group; repeatable.")]
AllGroupsOption = Annotated[bool, typer.Option("--all-groups", help="All share groups.")]
TopicsOption = Annotated[list[str] | None, typer.Option("--topic", help="Which topics; to reset also topic:0,1.")]
AllTopicsOption = Annotated[bool, typer.Option("--all-topics", help="Reset all topics that the group has read.")]
StateOption = Annotated[str | None, typer.Option(help="Show states; with --list, only these.", metavar="[STATES]")]
MembersOption = Annotated[bool, typer.Option("--members", help="Show members.")]
OffsetsOption = Annotated[bool, typer.Option("--offsets", help="Show start offsets, as --describe alone does.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show epochs as well.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the new offsets, change nothing.")]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Change the offsets.")]
EarliestOption = Annotated[bool, typer.Option("--to-earliest", help="To the first record.")]
LatestOption = Annotated[bool, typer.Option("--to-latest", help="To the end.")]
DatetimeOption = Annotated[str | None, typer.Option(help="To this time: YYYY-MM-DDTHH:mm:SS.sss.")]
TimeoutOption = Annotated[int, typer.Option(help="How long to wait for the brokers, in ms.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("share-groups", cls=kafka_options.kafka_command(optional_values={"--state": ""}))(share_groups)


def share_groups(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    list_: ListOption = False,
    describe: DescribeOption = False,
    delete: DeleteOption = False,
    reset_offsets: ResetOption = False,
    delete_offsets: ForgetOption = False,
    group: GroupOption = None,
    all_groups: AllGroupsOption = False,
    topic: TopicsOption = None,
    all_topics: AllTopicsOption = False,
    state: StateOption = None,
    members: MembersOption = False,
    offsets: OffsetsOption = False,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    execute: ExecuteOption = False,
    to_earliest: EarliestOption = False,
    to_latest: LatestOption = False,
    to_datetime: DatetimeOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: TimeoutOption = 30_000,
) -> None:
    """List, describe, move and delete share groups, as kafka-share-groups does."""
    from cluster.console.group_calls import GroupCalls
    from cluster.console.protocol_client import ProtocolClient
    from cluster.console.share_group_calls import ShareGroupCalls

    actions = {
        "--list": list_,
        "--describe": describe,
        "--delete": delete,
        "--reset-offsets": reset_offsets,
        "--delete-offsets": delete_offsets,
    }
    action = kafka_options.only_action(actions)
    _check_groups(action, group or [], all_groups)
    if (state is not None) + members + offsets > 1:
        raise usage("--describe takes at most one of --members, --offsets, --state.", "Leave the others out.")
    target = _target(to_earliest, to_latest, to_datetime) if reset_offsets else None
    if reset_offsets and dry_run == execute:
        raise usage("Option [reset-offsets] takes the option: [execute] or [dry-run]", "Add one of them.")
    if reset_offsets and all_topics == bool(topic):
        raise usage("One of the reset scopes should be defined: --all-topics, --topic.", "Add one of them.")
    if delete_offsets and not topic:
        raise usage("Option [delete-offsets] takes the following options: [topic], [group]", "Add --topic NAME.")
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        calls = ShareGroupCalls(client)
        if list_:
            _list(calls, state)
            return
        names = [listing.name for listing in calls.listings()] if all_groups else sorted({*(group or [])})
        if describe:
            _describe(calls, names, "members" if members else "state" if state is not None else "offsets", verbose)
        elif delete:
            _delete(calls, names)
        elif delete_offsets:
            _forget(calls, names[0], topic or [])
        else:
            assert target is not None, "it is made above"
            admin = kafka_options.admin_client(bootstrap_server, command_config, command_property)
            _reset(calls, GroupCalls(admin, timeout), names[0], topic, target, execute=execute)


def _check_groups(action: str, groups: list[str], all_groups: bool) -> None:
    """Raise LabError (usage) unless the action has the groups that it takes."""
    takes_all = action in ("--describe", "--delete")
    if action == "--list":
        return
    if takes_all and bool(groups) == all_groups:
        raise usage(f"Option [{action[2:]}] takes one of these options: [all-groups], [group]", "Add --group NAME.")
    if not takes_all and (all_groups or len(groups) != 1):
        raise usage(f"Option [{action[2:]}] takes the option [group], once.", "Add --group NAME.")


def _list(calls: ShareGroupCalls, states: str | None) -> None:
    from cluster.console.share_group_text import STATES, list_lines

    wanted = [word.strip().lower() for word in (states or "").split(",") if word.strip()]
    if not {*wanted} <= {state.lower() for state in STATES}:
        raise usage(f"Invalid state list '{states}'.", f"Valid states are: {', '.join(STATES)}.")
    found = [listing for listing in calls.listings() if not wanted or listing.state.lower() in wanted]
    _print(list_lines(found, with_state=states is not None))


def _describe(calls: ShareGroupCalls, names: list[str], what: str, verbose: bool) -> None:
    from cluster.console import share_group_text

    for name in names:
        group = calls.describe(name)
        if complaint := share_group_text.complaint(group):
            say(f"\n{complaint}")
        if what == "members":
            _print(share_group_text.member_lines(group, verbose=verbose))
        elif what == "state":
            _print(share_group_text.state_lines(group, verbose=verbose))
        else:
            _print(share_group_text.offset_lines(name, calls.starts(name), verbose=verbose))


def _delete(calls: ShareGroupCalls, names: list[str]) -> None:
    outcomes = calls.delete(names)
    failed = {name: reason for name, reason in outcomes.items() if reason}
    deleted = ", ".join(f"'{name}'" for name in names if name not in failed)
    if not failed:
        typer.echo(f"Deletion of requested share groups ({deleted}) was successful.")
        return
    if deleted:
        typer.echo(f"\nThese share groups were deleted successfully: {deleted}")
    reasons = "".join(f"\n* Group '{name}' could not be deleted due to: {reason}" for name, reason in failed.items())
    raise failure(f"Deletion of some share groups failed:{reasons}", "A group with members cannot be deleted.")


def _forget(calls: ShareGroupCalls, name: str, topics: list[str]) -> None:
    from cluster.console.share_group_text import deletion_lines

    outcomes = calls.forget(name, topics)
    _print(deletion_lines(outcomes))
    if failed := [topic for topic, reason in outcomes.items() if reason]:
        raise failure(f"{name} could not forget {', '.join(failed)}.", "`fencepost topics --list` shows the topics.")


def _target(to_earliest: bool, to_latest: bool, to_datetime: str | None) -> Target:
    """Return where to reset to. Raises LabError (usage) unless it is said in exactly one way."""
    from cluster.console.group_calls import End
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import parse_datetime

    if to_earliest + to_latest + (to_datetime is not None) != 1:
        raise usage(
            "Option [reset-offsets] takes exactly one of --to-datetime, --to-earliest, --to-latest.", "Say where to go."
        )
    if to_datetime is not None:
        return Target(time_ms=parse_datetime(to_datetime))
    return Target(end=End.EARLIEST if to_earliest else End.LATEST)


def _reset(
    calls: ShareGroupCalls,
    topic_calls: GroupCalls,
    name: str,
    topics: list[str] | None,
    target: Target,
    *,
    execute: bool,
) -> None:
    """Show where each partition goes, and with `execute` move it there first."""
    from cluster.console.group_offsets import new_offsets
    from cluster.console.group_text import parse_topics
    from cluster.console.share_group_text import reset_lines

    group = calls.describe(name)
    if group.state not in ("Empty", "Dead"):
        raise failure(
            f"Share group '{name}' is not empty: its state is {group.state}.", "Stop the group's consumers first."
        )
    places: list[Place]
    if topics is None:
        places = topic_calls.partitions(sorted({start.place[0] for start in calls.starts(name)}))
    else:
        whole, places = parse_topics(topics)
        places += topic_calls.partitions(whole)
    offsets = new_offsets(topic_calls, name, places, target, say)
    if execute and offsets:
        calls.move(name, offsets)
    _print(reset_lines((name, place, offset) for place, offset in sorted(offsets.items())))


def _print(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)
