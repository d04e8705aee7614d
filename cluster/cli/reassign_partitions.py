"""`fencepost reassign-partitions`: move replicas to other brokers, with kafka-reassign-partitions' flags and lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import show_lines
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.base.ids import TopicPartition
    from cluster.console.reassignments import ReassignmentCalls

GenerateOption = Annotated[bool, typer.Option("--generate", help="Print a plan; change nothing.")]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Begin what a plan says.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Say how far a plan is.")]
CancelOption = Annotated[bool, typer.Option("--cancel", help="Take back what a plan began.")]
ListOption = Annotated[bool, typer.Option("--list", help="Show what is under way.")]
PlanOption = Annotated[Path | None, typer.Option("--reassignment-json-file", help="The plan.", metavar="FILE")]
TopicsOption = Annotated[
    Path | None, typer.Option("--topics-to-move-json-file", help="Which topics to plan for.", metavar="FILE")
]
BrokersOption = Annotated[str | None, typer.Option("--broker-list", help="Where to: 1,2,3.", metavar="LIST")]
RackOption = Annotated[bool, typer.Option("--disable-rack-aware", help="Plan without looking at racks.")]
AdditionalOption = Annotated[bool, typer.Option("--additional", help="Also while other moves are under way.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reassign-partitions")(reassign_partitions)


def reassign_partitions(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    generate: GenerateOption = False,
    execute: ExecuteOption = False,
    verify: VerifyOption = False,
    cancel: CancelOption = False,
    list_: ListOption = False,
    reassignment_json_file: PlanOption = None,
    topics_to_move_json_file: TopicsOption = None,
    broker_list: BrokersOption = None,
    disable_rack_aware: RackOption = False,
    additional: AdditionalOption = False,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Move replicas to other brokers, as kafka-reassign-partitions does. Moves are never throttled."""
    from cluster.console import reassignments as parts
    from cluster.console.protocol_client import ProtocolClient

    actions = {"--generate": generate, "--execute": execute, "--verify": verify, "--cancel": cancel, "--list": list_}
    action = kafka_options.only_action(actions)
    brokers = _brokers(broker_list)
    servers = kafka_options.bootstrap(bootstrap_server)
    topics = parts.read_topics(_given(topics_to_move_json_file, "topics-to-move-json-file")) if generate else []
    needs_plan = action not in ("--generate", "--list")
    plan = parts.read_plan(_given(reassignment_json_file, "reassignment-json-file")) if needs_plan else {}
    if generate and not brokers:
        raise usage('Missing required argument "[broker-list]"', "Say where to: --broker-list 1,2,3.")
    with ProtocolClient(servers, timeout) as client:
        calls = parts.ReassignmentCalls(client)
        if generate:
            typer.echo(f"Current partition replica assignment\n{parts.plan_json(calls.current(topics))}\n")
            proposed = calls.propose(topics, brokers, rack_aware=not disable_rack_aware)
            typer.echo(f"Proposed partition reassignment configuration\n{parts.plan_json(proposed)}")
        elif execute:
            _execute(calls, plan, additional)
        elif verify:
            current = calls.current(sorted({key.topic for key in plan}))
            show_lines(parts.verification(plan, current, calls.moves()))
        elif cancel:
            _cancel(calls, plan)
        else:
            show_lines(parts.listing(calls.moves()))


def _execute(calls: ReassignmentCalls, plan: Mapping[TopicPartition, tuple[int, ...]], additional: bool) -> None:
    from cluster.console.reassignments import plan_json

    if not additional and calls.moves():
        raise failure(
            "Cannot execute because there is an existing partition assignment.",
            "Use --additional to override this and create a new partition assignment in addition to the existing one.",
        )
    current = calls.current(sorted({key.topic for key in plan}))
    before = {key: current[key] for key in plan if key in current}
    typer.echo(f"Current partition replica assignment\n\n{plan_json(before)}\n")
    typer.echo("Save this to use as the --reassignment-json-file option during rollback")
    _raise_problems("Error reassigning partition(s)", calls.alter(dict(plan)))
    typer.echo(f"Successfully started partition reassignment{_plural(plan)} for {_names(plan)}")


def _cancel(calls: ReassignmentCalls, plan: Mapping[TopicPartition, tuple[int, ...]]) -> None:
    moves = calls.moves()
    active = [key for key in plan if key in moves]
    if not active:
        typer.echo("None of the specified partition reassignments are active.")
        return
    _raise_problems("Error cancelling partition reassignment(s)", calls.alter(dict.fromkeys(active)))
    typer.echo(f"Successfully cancelled partition reassignment{_plural(active)} for: {_names(active)}")


def _raise_problems(doing: str, problems: Mapping[TopicPartition, str]) -> None:
    if problems:
        texts = "; ".join(f"{key}: {problem}" for key, problem in sorted(problems.items()))
        raise failure(f"{doing}: {texts}", "Correct the plan; `fencepost topics --describe` shows what is.")


def _plural(keys: Collection[TopicPartition]) -> str:
    return "" if len(keys) == 1 else "s"


def _names(keys: Collection[TopicPartition]) -> str:
    return ",".join(str(key) for key in sorted(keys))


def _given(path: Path | None, option: str) -> Path:
    if path is None:
        raise usage(f'Missing required argument "[{option}]"', f"Name the file: --{option} plan.json.")
    return path


def _brokers(text: str | None) -> list[int]:
    if text is None:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() for word in words):
        raise usage(f"--broker-list {text} is no list of broker ids.", "Write 1,2,3; `fencepost ps` shows the ids.")
    if len({*words}) < len(words):
        raise usage(f"Broker list contains duplicate entries: {text}", "Name each broker once.")
    return [int(word) for word in words]
