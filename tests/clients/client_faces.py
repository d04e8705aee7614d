"""One face for the four clients that people use: produce records, read them from a place, keep reading from the end.

Here: librdkafka's Python binding, kcat, aiokafka and kafka-python behind three methods, so that a test can be written
once for all. Options are the clients' defaults unless a line says why not. Not here: what must come out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioTopicPartition
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Producer
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as PythonTopicPartition

from cluster.base.ids import TopicPartition

PATIENCE_S = 20.0
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
"""In the order of their numbers in a batch's attributes."""

Acks = Literal["0", "1", "all"]


@dataclass(frozen=True, slots=True)
class Given:
    """A record as it is handed to a producer."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """A record as a consumer is given it."""

    offset: int
    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int = field(compare=False)

    @property
    def given(self) -> Given:
        """What must have been given to a producer."""
        return Given(self.value, self.key, self.headers)


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin to read: the beginning, the end, or the first record that is not older than a time."""

    place: Literal["beginning", "end", "time"]
    timestamp_ms: int = -1


BEGINNING = Start("beginning")
END = Start("end")


class Client(Protocol):
    """What a client can do. All methods raise when it takes more than a while or when the client reports an error."""

    def produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str = "none", acks: Acks = "all"
    ) -> None:
        """Write all records; return when the client says that they are delivered."""

    def read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        """Read so many records by assignment."""


class Confluent:
    """confluent-kafka: librdkafka from Python."""

    def produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str = "none", acks: Acks = "all"
    ) -> None:
        failures: list[Any] = []
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "acks": acks})
        for record in records:
            timestamp = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
            producer.produce(
                to.topic, record.value, record.key, to.partition, headers=list(record.headers),
                on_delivery=lambda error, _: failures.append(error) if error else None, **timestamp,
            )  # fmt: skip
        assert producer.flush(PATIENCE_S) == 0
        assert failures == []

    def read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False})
        try:
            # librdkafka that is told a place before it knows the leader asks for its offset half a second later.
            consumer.list_topics(of.topic, PATIENCE_S)
            consumer.assign([self._place(consumer, of, start)])
            return [self._got(message) for message in self._messages(consumer, count)]
        finally:
            consumer.close()

    def _place(self, consumer: Consumer, of: TopicPartition, start: Start) -> ConfluentTopicPartition:
        if start.place == "time":
            asked = ConfluentTopicPartition(of.topic, of.partition, start.timestamp_ms)
            (found,) = consumer.offsets_for_times([asked], timeout=PATIENCE_S)
            return found
        offset = OFFSET_END if start.place == "end" else OFFSET_BEGINNING
        return ConfluentTopicPartition(of.topic, of.partition, offset)

    def _messages(self, consumer: Consumer, count: int) -> list[Any]:
        found: list[Any] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while len(found) < count:
            assert time.monotonic() < deadline_s, f"{len(found)} of {count} records came"
            for message in consumer.consume(count - len(found), 0.5):
                assert message.error() is None, message.error()
                found.append(message)
        return found

    def _got(self, message: Any) -> Got:
        headers = tuple(message.headers() or ())
        return Got(message.offset(), message.value(), message.key(), headers, message.timestamp()[1])


class Kcat:
    """kcat: librdkafka from a shell. Its keys and values are lines of text, and all records get the same headers."""

    def produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str = "none", acks: Acks = "all"
    ) -> None:
        headers = [f"{name}={(value or b'').decode()}" for name, value in records[0].headers]
        options = [word for header in headers for word in ("-H", header)]
        lines = b"".join(b"%s\t%s\n" % (record.key or b"", record.value or b"") for record in records)
        self._run(bootstrap, to, "-P", "-K", "\\t", "-z", codec, "-X", f"acks={acks}", *options, text=lines.decode())

    def read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        place = f"s@{start.timestamp_ms}" if start.place == "time" else start.place
        output = self._run(bootstrap, of, "-C", "-u", "-q", "-J", "-o", place, "-c", str(count))
        return [self._got(json.loads(line)) for line in output.splitlines()]

    def _run(self, bootstrap: str, at: TopicPartition, *options: str, text: str = "") -> str:
        command = ["kcat", "-b", bootstrap, "-t", at.topic, "-p", str(at.partition), *options]
        run = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (run.returncode, run.stderr) == (0, ""), run.stderr
        return run.stdout

    def _got(self, row: Any) -> Got:
        names_and_values = row.get("headers", [])
        headers = tuple(zip(names_and_values[::2], map(str.encode, names_and_values[1::2]), strict=True))
        value, key = (None if row[name] is None else row[name].encode() for name in ("payload", "key"))
        return Got(row["offset"], value, key, headers, row["ts"])


class Aiokafka:
    """aiokafka, on a loop of its own for each call."""

    def produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str = "none", acks: Acks = "all"
    ) -> None:
        asyncio.run(asyncio.wait_for(self._produce(bootstrap, to, records, codec, acks), PATIENCE_S))

    async def _produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str, acks: Acks
    ) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec,
        ) as producer:
            sent = [
                await producer.send(
                    to.topic, record.value, record.key, to.partition, record.timestamp_ms, list(record.headers)
                )
                for record in records
            ]
            await asyncio.gather(*sent)

    def read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        return asyncio.run(asyncio.wait_for(self._read(bootstrap, of, start, count), PATIENCE_S))

    async def _read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        partition = AioTopicPartition(of.topic, of.partition)
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
            consumer.assign([partition])
            if start.place == "time":
                offsets = await consumer.offsets_for_times({partition: start.timestamp_ms})
                consumer.seek(partition, offsets[partition].offset)
            else:
                await (consumer.seek_to_beginning if start.place == "beginning" else consumer.seek_to_end)(partition)
            return [self._got(await consumer.getone()) for _ in range(count)]

    def _got(self, record: Any) -> Got:
        return Got(record.offset, record.value, record.key, tuple(record.headers), record.timestamp)


class KafkaPython:
    """kafka-python."""

    def produce(
        self, bootstrap: str, to: TopicPartition, records: Sequence[Given], codec: str = "none", acks: Acks = "all"
    ) -> None:
        producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec,
            enable_idempotence=acks == "all",  # its default, which it refuses to combine with fewer acknowledgements
        )
        try:
            sent = [
                producer.send(
                    to.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=to.partition,
                    timestamp_ms=record.timestamp_ms,
                )
                for record in records
            ]
            producer.flush(PATIENCE_S)
            for future in sent:
                future.get(PATIENCE_S)
        finally:
            producer.close(PATIENCE_S)

    def read(self, bootstrap: str, of: TopicPartition, start: Start, count: int) -> list[Got]:
        partition = PythonTopicPartition(of.topic, of.partition)
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=PATIENCE_S * 1000)
        try:
            consumer.assign([partition])
            if start.place == "time":
                consumer.seek(partition, consumer.offsets_for_times({partition: start.timestamp_ms})[partition].offset)
            else:
                (consumer.seek_to_beginning if start.place == "beginning" else consumer.seek_to_end)(partition)
            return [self._got(next(consumer)) for _ in range(count)]
        finally:
            consumer.close()

    def _got(self, record: Any) -> Got:
        return Got(record.offset, record.value, record.key, tuple(record.headers), record.timestamp)


NEEDS_KCAT = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")

CLIENTS = [
    pytest.param(Confluent(), id="confluent-kafka"),
    pytest.param(Kcat(), id="kcat", marks=NEEDS_KCAT),
    pytest.param(Aiokafka(), id="aiokafka"),
    pytest.param(KafkaPython(), id="kafka-python"),
]
