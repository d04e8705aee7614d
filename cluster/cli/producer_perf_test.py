"""`fencepost producer-perf-test`: how fast records are acknowledged, with Kafka's flags and lines."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli import kafka_options
from cluster.cli.show import say
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.performance import ProducerStatistics

CountOption = Annotated[int, typer.Option(help="How many records.", min=1)]
SizeOption = Annotated[int | None, typer.Option(help="Each record's size, in bytes.", min=1)]
ThroughputOption = Annotated[float, typer.Option(help="At most so many records a second; -1: as fast as it goes.")]
PayloadOption = Annotated[Path | None, typer.Option(help="Take records from this file, at random.", metavar="FILE")]
DelimiterOption = Annotated[str, typer.Option(help="What separates them.")]
MonotonicOption = Annotated[bool, typer.Option("--payload-monotonic", help="Records are 0, 1, 2 and so on.")]
PropsOption = Annotated[
    list[str] | None, typer.Option(help="Producer properties, name=value name=value.", metavar="PROP...")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--producer.config", "--producer-config", help="A file of them.", metavar="FILE")
]
TransactionalOption = Annotated[str | None, typer.Option(help="Send in transactions, under this id.")]
DurationOption = Annotated[int | None, typer.Option(help="Commit after so many ms; 3000.", min=1)]
IntervalOption = Annotated[int, typer.Option(help="Show a line so often, in ms.", min=1)]

_TRANSACTION_MS = 3_000
_LETTERS = bytes(65 + number % 26 for number in range(256))


def register(app: typer.Typer) -> None:
    """Add the command."""
    parsed = kafka_options.kafka_command(several_values=("--producer-props",))
    app.command("producer-perf-test", cls=parsed)(producer_perf_test)


def producer_perf_test(
    *,
    topic: kafka_options.TopicOption = None,
    num_records: CountOption,
    throughput: ThroughputOption,
    record_size: SizeOption = None,
    payload_file: PayloadOption = None,
    payload_delimiter: DelimiterOption = "\\n",
    payload_monotonic: MonotonicOption = False,
    bootstrap_server: kafka_options.BootstrapOption = None,
    producer_props: PropsOption = None,
    producer_config: ConfigOption = None,
    command_property: kafka_options.CommandPropertyOption = None,
    command_config: kafka_options.CommandConfigOption = None,
    transactional_id: TransactionalOption = None,
    transaction_duration_ms: DurationOption = None,
    reporting_interval: IntervalOption = 5_000,
) -> None:
    """Send records and show how fast they were acknowledged, as kafka-producer-perf-test does."""
    from cluster.console.clients import make_producer
    from cluster.console.performance import ProducerStatistics

    name = kafka_options.required_topic(topic)
    if (record_size is not None) + (payload_file is not None) + payload_monotonic != 1:
        raise usage("Exactly one of --record-size, --payload-file, --payload-monotonic is required.", "Choose one.")
    texts = {"--producer-props": producer_props, "--command-property": command_property}
    given = kafka_options.client_properties([producer_config, command_config], texts)
    given["bootstrap.servers"] = kafka_options.bootstrap(bootstrap_server or given.get("bootstrap.servers"))
    if transactional_id or transaction_duration_ms:
        fallback = given.get("transactional.id", f"performance-producer-{uuid.uuid4()}")
        given["transactional.id"] = transactional_id or fallback
    payloads = _payloads(record_size, payload_file, payload_delimiter)
    producer = make_producer({"client.id": "perf-producer-client", **given}, say)
    statistics = ProducerStatistics(num_records, _now_ms(), typer.echo, reporting_interval)
    transaction_ms = (transaction_duration_ms or _TRANSACTION_MS) if "transactional.id" in given else None
    _Run(producer, name, statistics).send(payloads, num_records, throughput, transaction_ms)
    typer.echo(statistics.total(_now_ms()))


class _Run:
    """Sends records at a given pace."""

    def __init__(self, producer: Any, topic: str, statistics: ProducerStatistics) -> None:
        self._producer = producer
        self._topic = topic
        self._statistics = statistics
        self._failed = 0

    def send(self, payloads: Iterator[bytes], count: int, per_s: float, transaction_ms: int | None) -> None:
        """Send `count` records, in transactions of `transaction_ms` when that is given. Raises LabError."""
        from cluster.console.errors import kafka_errors

        with kafka_errors("Cannot send"):
            if transaction_ms is not None:
                self._producer.init_transactions()
            began_s, transaction_began_s = time.monotonic(), None
            for number in range(count):
                if transaction_ms is not None and transaction_began_s is None:
                    self._producer.begin_transaction()
                    transaction_began_s = time.monotonic()
                self._send_one(next(payloads))
                if transaction_began_s is not None and (time.monotonic() - transaction_began_s) * 1000 >= (
                    transaction_ms or 0
                ):
                    self._producer.commit_transaction()
                    transaction_began_s = None
                ahead_s = (number + 1) / per_s - (time.monotonic() - began_s) if per_s > 0 else 0.0
                self._producer.poll(max(0.0, ahead_s) if ahead_s > 0.001 else 0)
            if transaction_began_s is not None:
                self._producer.commit_transaction()
            while self._producer.flush():
                pass
        if self._failed:
            raise failure(f"{self._failed} of {count} records were not delivered.", "The reasons are above.")

    def _send_one(self, payload: bytes) -> None:
        began_s = time.monotonic()
        size = len(payload)

        def done(error: Any, _: Any) -> None:
            if error is None:
                self._statistics.record(int((time.monotonic() - began_s) * 1000), size, _now_ms())
                return
            self._failed += 1
            if self._failed == 1:
                say(f"{error.name().lstrip('_')}: {error.str()}")

        while True:
            try:
                self._producer.produce(self._topic, payload, on_delivery=done)
                return
            except BufferError:
                self._producer.poll(0.1)


def _payloads(size: int | None, path: Path | None, delimiter: str) -> Iterator[bytes]:
    """Yield payloads without end: capital letters from a fixed seed, lines of a file at random, or numbers."""
    rng = random.Random(0)
    if path is not None:
        typer.echo(f"Reading payloads from: {path.absolute()}")
        try:
            lines = path.read_text().split("\n" if delimiter == "\\n" else delimiter)
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"{path} cannot be read: {error}", "Name a text file.") from error
        if lines and not lines[-1]:
            lines.pop()
        if not lines:
            raise usage(f"{path} is empty.", "Name a file with a payload on each line.")
        typer.echo(f"Number of messages read: {len(lines)}")
        return iter(lambda: rng.choice(lines).encode(), None)
    if size is not None:
        return iter(lambda: rng.randbytes(size).translate(_LETTERS), None)
    return (str(number).encode() for number in range(2**63))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
