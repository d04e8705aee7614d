"""`fencepost consumer-perf-test`: how fast records are consumed, with Kafka's flags and lines."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say
from cluster.console.errors import usage

if TYPE_CHECKING:
    from cluster.console.performance import ConsumerStatistics

CountOption = Annotated[
    int | None, typer.Option("--messages", "--num-records", help="How many records to consume.", min=1)
]
IncludeOption = Annotated[str | None, typer.Option(help="A regular expression of topics.", metavar="REGEX")]
GroupOption = Annotated[str | None, typer.Option(help="The consumer group; one of its own.")]
FetchSizeOption = Annotated[int, typer.Option(help="max.partition.fetch.bytes.")]
LatestOption = Annotated[bool, typer.Option("--from-latest", help="Begin at the end, not with the first record.")]
SocketOption = Annotated[int, typer.Option(help="receive.buffer.bytes.")]
ConsumerConfigOption = Annotated[
    Path | None, typer.Option("--consumer.config", "--consumer-config", help="A file of properties.", metavar="FILE")
]
DetailedOption = Annotated[bool, typer.Option("--show-detailed-stats", help="Show a line for each interval.")]
SilenceOption = Annotated[int, typer.Option("--timeout", help="Stop when no record came for so long, in ms.", min=1)]
IntervalOption = Annotated[int, typer.Option(help="Show a line so often, in ms.", min=1)]
DateOption = Annotated[str, typer.Option(help="How times are shown: java.text.SimpleDateFormat.")]
HideOption = Annotated[bool, typer.Option("--hide-header", help="Leave the first line out.")]

_POLL_S = 0.1
_BATCH = 500


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("consumer-perf-test")(consumer_perf_test)


def consumer_perf_test(
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    broker_list: kafka_options.BrokerListOption = None,
    topic: kafka_options.TopicOption = None,
    include: IncludeOption = None,
    messages: CountOption = None,
    group: GroupOption = None,
    fetch_size: FetchSizeOption = 1024 * 1024,
    from_latest: LatestOption = False,
    socket_buffer_size: SocketOption = 2 * 1024 * 1024,
    consumer_config: ConsumerConfigOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    show_detailed_stats: DetailedOption = False,
    timeout: SilenceOption = 10_000,
    reporting_interval: IntervalOption = 5_000,
    date_format: DateOption = "yyyy-MM-dd HH:mm:ss:SSS",
    hide_header: HideOption = False,
) -> None:
    """Consume records and show how fast they came, as kafka-consumer-perf-test does."""
    from cluster.console.clients import make_consumer
    from cluster.console.performance import (
        CONSUMER_DETAILED_HEADER,
        CONSUMER_HEADER,
        ConsumerStatistics,
        date_formatter,
    )

    if (topic is None) == (include is None):
        raise usage("Exactly one of --include/--topic is required.", "Name a topic: --topic orders.")
    if messages is None:
        raise usage('Missing required argument "[messages]"', "Say how many: --messages 1000.")
    given = kafka_options.client_properties([consumer_config, command_config], {"--command-property": command_property})
    properties = {
        "auto.offset.reset": "latest" if from_latest else "earliest",
        "check.crcs": "false",
        **given,
        "group.id": group or given.get("group.id") or f"perf-consumer-{random.randrange(100_000)}",
        "max.partition.fetch.bytes": str(fetch_size),
        "receive.buffer.bytes": str(socket_buffer_size),
        "bootstrap.servers": kafka_options.bootstrap(bootstrap_server, broker_list),
    }
    if not hide_header:
        typer.echo(CONSUMER_DETAILED_HEADER if show_detailed_stats else CONSUMER_HEADER)
    consumer = make_consumer(properties, say)
    statistics = ConsumerStatistics(_now_ms(), date_formatter(date_format, None))
    interval_ms = reporting_interval if show_detailed_stats else None
    try:
        _consume(
            consumer, topic or f"^{include}", statistics, count=messages, timeout_ms=timeout, interval_ms=interval_ms
        )
        end_ms = _now_ms()
    finally:
        consumer.close()
    if not show_detailed_stats:
        typer.echo(statistics.total(end_ms))


def _consume(
    consumer: Any, topic: str, statistics: ConsumerStatistics, *, count: int, timeout_ms: int, interval_ms: int | None
) -> None:
    """Consume until there were `count` records, or none for `timeout_ms`; show a line every `interval_ms`."""
    from cluster.console.errors import kafka_errors

    joining_ms = _now_ms()

    def assigned(*_: Any) -> None:
        statistics.assigned(_now_ms() - joining_ms)

    def revoked(*_: Any) -> None:
        nonlocal joining_ms
        joining_ms = _now_ms()

    with kafka_errors("Cannot consume"):
        consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
        last_ms = reported_ms = _now_ms()
        while statistics.count < count:
            records = [each for each in consumer.consume(_BATCH, _POLL_S) if each.error() is None]
            now_ms = _now_ms()
            for record in records[: count - statistics.count]:
                statistics.record(len(record.key() or b"") + len(record.value() or b""))
            last_ms = now_ms if records else last_ms
            if interval_ms is not None and now_ms - reported_ms >= interval_ms:
                typer.echo(statistics.progress(now_ms))
                reported_ms = now_ms
            if now_ms - last_ms > timeout_ms:
                say(
                    "WARNING: Exiting before consuming the expected number of messages: timeout "
                    f"({timeout_ms} ms) exceeded. You can use the --timeout option to increase the timeout."
                )
                return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
