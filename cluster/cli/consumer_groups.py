"""`fencepost consumer-groups`: list, describe, delete and reset groups, with kafka-consumer-groups' flags and columns.

Deleting the offsets of single topics (`--delete-offsets`) is missing: the client library has no call for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import group_commands, kafka_options
from cluster.cli.show import say, show_lines
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.group_calls import GroupCalls
    from cluster.console.group_offsets import Target
    from cluster.console.group_text import Place

ListOption = Annotated[bool, typer.Option("--list", help="List all groups.")]
DescribeOption = Annotated[bool, typer.Option("--describe", help="Show offsets and lag, or members, or the state.")]
AllGroupsOption = Annotated[bool, typer.Option("--all-groups", help="All groups.")]
TopicsOption = Annotated[list[str] | None, typer.Option("--topic", help="What to reset: topic, or topic:0,1.")]
AllTopicsOption = Annotated[bool, typer.Option("--all-topics", help="Reset all partitions that have an offset.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="With --list: types, only these.", metavar="[TYPES]")]
OffsetsOption = Annotated[bool, typer.Option("--offsets", help="Show offsets, as --describe alone does.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show each member's partitions.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the new offsets, change nothing; the default.")]
ExportOption = Annotated[bool, typer.Option("--export", help="Show the new offsets as CSV.")]
ToOffsetOption = Annotated[int | None, typer.Option(help="To this offset.")]
ShiftOption = Annotated[int | None, typer.Option(help="By so many offsets, forwards or backwards.")]
DurationOption = Annotated[str | None, typer.Option(help="Back by so long: PnDTnHnMnS.")]
CurrentOption = Annotated[bool, typer.Option("--to-current", help="To where it is.")]
FileOption = Annotated[Path | None, typer.Option(help="To what a CSV file says.", metavar="FILE")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    parsed = kafka_options.kafka_command(optional_values={"--state": "", "--type": ""})
    app.command("consumer-groups", cls=parsed)(consumer_groups)


def consumer_groups(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    list_: ListOption = False,
    describe: DescribeOption = False,
    delete: group_commands.DeleteOption = False,
    reset_offsets: group_commands.ResetOption = False,
    group: group_commands.GroupOption = None,
    all_groups: AllGroupsOption = False,
    topic: TopicsOption = None,
    all_topics: AllTopicsOption = False,
    state: group_commands.StateOption = None,
    type_: TypeOption = None,
    members: group_commands.MembersOption = False,
    offsets: OffsetsOption = False,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    execute: group_commands.ExecuteOption = False,
    export: ExportOption = False,
    to_offset: ToOffsetOption = None,
    shift_by: ShiftOption = None,
    to_datetime: group_commands.DatetimeOption = None,
    by_duration: DurationOption = None,
    to_earliest: group_commands.EarliestOption = False,
    to_latest: group_commands.LatestOption = False,
    to_current: CurrentOption = False,
    from_file: FileOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    timeout: group_commands.TimeoutOption = 5_000,
) -> None:
    """List, describe, delete or reset consumer groups, as kafka-consumer-groups does."""
    from cluster.console.group_calls import GroupCalls

    actions = {"--list": list_, "--describe": describe, "--delete": delete, "--reset-offsets": reset_offsets}
    action = kafka_options.only_action(actions)
    if action != "--list" and not group and not all_groups:
        raise usage(f"Option [{action[2:]}] takes one of these options: [group], [all-groups]", "Add --group NAME.")
    if group and all_groups:
        raise usage("Only one of --group and --all-groups can be given.", "Leave one of them out.")
    table = group_commands.wanted_table(state, members=members, offsets=offsets)
    ways = (to_offset, shift_by, to_datetime, by_duration, to_earliest, to_latest, to_current, from_file)
    target = _target(ways, group or []) if reset_offsets else None
    if dry_run and execute:
        raise usage("--reset-offsets only accepts one of --execute and --dry-run.", "Leave one of them out.")
    if reset_offsets and not from_file:
        group_commands.check_reset_scope(topic, all_topics=all_topics)
    calls = GroupCalls(kafka_options.admin_client(bootstrap_server, command_config, command_property), timeout)
    if list_:
        _list(calls, type_, state)
        return
    names = [listing.name for listing in calls.listings()] if all_groups else sorted(group or [])
    if describe:
        _describe(calls, names, table, verbose)
    elif delete:
        group_commands.tell_deleted("consumer", names, calls.delete(names) if names else {})
    else:
        assert target is not None, "it is made above"
        _reset(calls, names, topic, target, execute=execute, export=export)


def _list(calls: GroupCalls, types: str | None, states: str | None) -> None:
    from cluster.console.group_text import list_groups

    wanted_types, wanted_states = group_commands.listed_words(types), group_commands.listed_words(states)
    found = [
        listing
        for listing in calls.listings()
        if (not wanted_types or listing.type.lower() in wanted_types)
        and (not wanted_states or listing.state.lower() in wanted_states)
    ]
    show_lines(list_groups(found, with_type=types is not None, with_state=states is not None))


def _describe(calls: GroupCalls, names: list[str], table: str, verbose: bool) -> None:
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
        if table == "members":
            lines = group_text.describe_members(group, verbose=verbose) if group.members else []
        elif table == "state":
            lines = group_text.describe_state(group)
        else:
            committed = calls.committed(group.name)
            places = sorted({*committed, *(place for member in group.members for place in member.assignment)})
            lines = group_text.describe_offsets(group, committed, calls.ends(places, End.LATEST))
        show_lines(lines)
    if missing:
        raise failure("\n".join(missing), "`fencepost consumer-groups --list` shows the groups there are.")


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
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"{from_file} cannot be read: {error}", "Name a file that --export wrote.") from error
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
        show_lines(describe_reset(moved))
    if active:
        raise failure(
            f"Assignments can only be reset if the group '{active[0].name}' is inactive, "
            f"but the current state is {active[0].state}.",
            "Stop the group's consumers first.",
        )
