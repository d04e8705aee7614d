"""`fencepost share-groups`: list, describe, move, delete share groups, with kafka-share-groups' flags and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import group_commands, kafka_options
from cluster.cli.show import say, show_lines
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.group_calls import GroupCalls
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import Place
    from cluster.console.share_group_calls import ShareGroupCalls

ListOption = Annotated[bool, typer.Option("--list", help="List all share groups.")]
DescribeOption = Annotated[bool, typer.Option("--describe", help="Show start offsets, or members, or the state.")]
ForgetOption = Annotated[bool, typer.Option("--delete-offsets", help="Let a group without members forget topics.")]
AllGroupsOption = Annotated[bool, typer.Option("--all-groups", help="All share groups.")]
TopicsOption = Annotated[list[str] | None, typer.Option("--topic", help="Which topics; to reset also topic:0,1.")]
AllTopicsOption = Annotated[bool, typer.Option("--all-topics", help="Reset all topics that the group has read.")]
OffsetsOption = Annotated[bool, typer.Option("--offsets", help="Show start offsets, as --describe alone does.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show epochs as well.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the new offsets, change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("share-groups", cls=kafka_options.kafka_command(optional_values={"--state": ""}))(share_groups)


def share_groups(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    list_: ListOption = False,
    describe: DescribeOption = False,
    delete: group_commands.DeleteOption = False,
    reset_offsets: group_commands.ResetOption = False,
    delete_offsets: ForgetOption = False,
    group: group_commands.GroupOption = None,
    all_groups: AllGroupsOption = False,
    topic: TopicsOption = None,
    all_topics: AllTopicsOption = False,
    state: group_commands.StateOption = None,
    members: group_commands.MembersOption = False,
    offsets: OffsetsOption = False,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    execute: group_commands.ExecuteOption = False,
    to_earliest: group_commands.EarliestOption = False,
    to_latest: group_commands.LatestOption = False,
    to_datetime: group_commands.DatetimeOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: group_commands.TimeoutOption = 30_000,
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
    table = group_commands.wanted_table(state, members=members, offsets=offsets)
    target = _target(to_earliest, to_latest, to_datetime) if reset_offsets else None
    if reset_offsets and dry_run == execute:
        raise usage("Option [reset-offsets] takes the option: [execute] or [dry-run]", "Add one of them.")
    if reset_offsets:
        group_commands.check_reset_scope(topic, all_topics=all_topics)
    if delete_offsets and not topic:
        raise usage("Option [delete-offsets] takes the following options: [topic], [group]", "Add --topic NAME.")
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        calls = ShareGroupCalls(client)
        if list_:
            _list(calls, state)
            return
        names = [listing.name for listing in calls.listings()] if all_groups else sorted({*(group or [])})
        if describe:
            _describe(calls, names, table, verbose)
        elif delete:
            group_commands.tell_deleted("share", names, calls.delete(names))
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

    wanted = group_commands.listed_words(states)
    if not {*wanted} <= {state.lower() for state in STATES}:
        raise usage(f"Invalid state list '{states}'.", f"Valid states are: {', '.join(STATES)}.")
    found = [listing for listing in calls.listings() if not wanted or listing.state.lower() in wanted]
    show_lines(list_lines(found, with_state=states is not None))


def _describe(calls: ShareGroupCalls, names: list[str], table: str, verbose: bool) -> None:
    from cluster.console import share_group_text

    for name in names:
        group = calls.describe(name)
        if complaint := share_group_text.complaint(group):
            say(f"\n{complaint}")
        if table == "members":
            show_lines(share_group_text.member_lines(group, verbose=verbose))
        elif table == "state":
            show_lines(share_group_text.state_lines(group, verbose=verbose))
        else:
            show_lines(share_group_text.offset_lines(name, calls.starts(name), verbose=verbose))


def _forget(calls: ShareGroupCalls, name: str, topics: list[str]) -> None:
    from cluster.console.share_group_text import deletion_lines

    outcomes = calls.forget(name, topics)
    show_lines(deletion_lines(outcomes))
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
    show_lines(reset_lines((name, place, offset) for place, offset in sorted(offsets.items())))
