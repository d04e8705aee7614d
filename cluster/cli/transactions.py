"""`fencepost transactions`: list, describe and end transactions, with the flags of kafka-transactions (KIP-664)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import kafka_options
from cluster.cli.show import show_lines
from cluster.console.errors import usage

if TYPE_CHECKING:
    from cluster.console.transaction_calls import TransactionCalls

ACTIONS = ("list", "describe", "describe-producers", "abort", "find-hanging", "force-terminate")

ActionArgument = Annotated[str, typer.Argument(help=", ".join(ACTIONS), metavar="ACTION")]
TransactionalIdOption = Annotated[str | None, typer.Option(help="Which transactional id.")]
DurationOption = Annotated[int, typer.Option(help="Only transactions that take longer, in ms.")]
PatternOption = Annotated[str | None, typer.Option(help="Only ids that match a regular expression.")]
BrokerOption = Annotated[int | None, typer.Option(help="Ask this broker.")]
PartitionOption = Annotated[int | None, typer.Option(help="Which partition.", min=0)]
StartOffsetOption = Annotated[int | None, typer.Option(help="Where the transaction to abort begins.", min=0)]
ProducerIdOption = Annotated[int | None, typer.Option(help="Whose transaction to abort.", min=0)]
ProducerEpochOption = Annotated[int | None, typer.Option(help="The epoch of that producer.", min=0)]
CoordinatorEpochOption = Annotated[int | None, typer.Option(help="The epoch of its coordinator.", min=0)]
LongestOption = Annotated[int, typer.Option(help="The longest that any transaction may take, in minutes.", min=0)]
TimeoutOption = Annotated[int, typer.Option(help="How long to wait for a broker, in ms.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("transactions")(transactions)


def transactions(
    action: ActionArgument,
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    transactional_id: TransactionalIdOption = None,
    duration_filter: DurationOption = -1,
    transactional_id_pattern: PatternOption = None,
    broker_id: BrokerOption = None,
    topic: kafka_options.TopicOption = None,
    partition: PartitionOption = None,
    start_offset: StartOffsetOption = None,
    producer_id: ProducerIdOption = None,
    producer_epoch: ProducerEpochOption = None,
    coordinator_epoch: CoordinatorEpochOption = None,
    max_transaction_timeout: LongestOption = 15,
    timeout: TimeoutOption = 15_000,
) -> None:
    """List, describe and end transactions, as kafka-transactions does."""
    from cluster.console.protocol_client import ProtocolClient
    from cluster.console.transaction_calls import HANGING_COLUMNS, LIST_COLUMNS, Marker, TransactionCalls, table

    if action not in ACTIONS:
        raise usage(f"There is no action {action!r}.", f"There are {', '.join(ACTIONS)}.")
    needs_id = action in ("describe", "force-terminate")
    if needs_id and transactional_id is None:
        raise usage(f"{action} needs --transactional-id.", "Add --transactional-id ID.")
    if action in ("describe-producers", "abort") and (topic is None or partition is None):
        raise usage(f"{action} needs --topic and --partition.", "Add --topic NAME --partition NUMBER.")
    facts = (producer_id, producer_epoch, coordinator_epoch)
    if action == "abort" and (start_offset is None) == (None in facts):
        raise usage(
            "abort needs either --start-offset, or --producer-id, --producer-epoch and --coordinator-epoch.",
            "`fencepost transactions describe-producers` shows them.",
        )
    if action == "find-hanging" and broker_id is None and topic is None:
        raise usage("find-hanging needs --broker-id or --topic.", "Say where to look.")
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        calls = TransactionCalls(client, time.time_ns() // 1_000_000)
        if action == "list":
            show_lines(table(LIST_COLUMNS, calls.listings(duration_filter, transactional_id_pattern)))
        elif needs_id and transactional_id is not None:
            _one_id(action, calls, transactional_id)
        elif action == "find-hanging":
            names = calls.all_partitions(broker_id, topic, partition)
            show_lines(table(HANGING_COLUMNS, calls.hanging(names, (max_transaction_timeout + 5) * 60_000)))
        else:
            assert topic is not None and partition is not None, "it is demanded above"
            given = None
            if producer_id is not None and producer_epoch is not None and coordinator_epoch is not None:
                given = Marker(producer_id, producer_epoch, coordinator_epoch)
            if action == "describe-producers":
                _producers(calls, topic, partition, broker_id)
            else:
                marker = given or calls.marker_of(topic, partition, start_offset or 0)
                calls.abort(topic, partition, marker)


def _one_id(action: str, calls: TransactionCalls, transactional_id: str) -> None:
    from cluster.console.transaction_calls import DESCRIBE_COLUMNS, table

    if action == "describe":
        show_lines(table(DESCRIBE_COLUMNS, [calls.describe(transactional_id)]))
    else:
        calls.force_terminate(transactional_id)


def _producers(calls: TransactionCalls, topic: str, partition: int, broker_id: int | None) -> None:
    from cluster.console.transaction_calls import PRODUCER_COLUMNS, producer_row, table

    rows = [producer_row(each) for each in calls.producers(topic, partition, broker_id)]
    show_lines(table(PRODUCER_COLUMNS, rows))
