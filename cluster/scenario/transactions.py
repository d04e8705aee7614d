"""The workload that copies a topic in transactions: read, write, commit how far it has read, all or nothing (KIP-98).

Here: an unmodified aiokafka producer with a transactional id, and the consumer whose offsets it commits. Every seventh
transaction is aborted on purpose. A value says which attempt wrote it (`p1-000123@t1.7`), so that what was aborted can
be told from what was written again. Not here: clients that only write or only read (`workloads`).

A client that was told nothing certain, or an error, begins anew with a producer of the same transactional id: that
decides what was left open, and the offsets that are committed then say where to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors

from cluster.base.trace import RecordAcknowledged, RecordFailed, RecordSent, RecordUnknown
from cluster.base.transaction_trace import TransactionDecided, TransactionResolved
from cluster.lab import Target

ABORTS_EVERY = 7
RECORDS_MAX = 250
"""Of one transaction: so many that a copier which fell behind catches up, however slow its round trips are."""

POLL_MS = 200
PATIENCE_S = 20.0
"""How long one call of a client may take; aiokafka retries some of them for ever."""

RETRY_S = 0.2
STOP_S = 5.0
IDLE_POLLS = 10
"""So many polls without a record, after writers have stopped, mean that all was copied."""

Failure = (kafka_errors.KafkaError, TimeoutError)


class Copier:
    """Copies one topic to another, partition by partition, in transactions, as the group of its own name."""

    def __init__(
        self, target: Target, name: str, topics: tuple[str, str], partitions: int, arguments: dict[str, Any]
    ) -> None:
        self._target = target
        self._name = name
        self._source, self._copy = topics
        self._assigned = [TopicPartition(self._source, number) for number in range(partitions)]
        self._arguments = arguments
        self._attempt = 0

    async def run(self, is_stopping: Callable[[], bool], interval_s: float) -> None:
        """Copy until told to stop, and then until nothing is left to copy."""
        idle = 0
        while not (is_stopping() and idle >= IDLE_POLLS):
            producer, consumer = self._clients()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await producer.start()
                    await consumer.start()
                    consumer.assign(self._assigned)
                    await consumer.seek_to_committed()
                while not (is_stopping() and idle >= IDLE_POLLS):
                    was_idle = await self._copy_some(producer, consumer)
                    idle = idle + 1 if was_idle else 0
                    await asyncio.sleep(interval_s)
            except Failure:
                await asyncio.sleep(RETRY_S)
            finally:
                await _stop(producer)
                await _stop(consumer)

    def _clients(self) -> tuple[AIOKafkaProducer, AIOKafkaConsumer]:
        common = {"bootstrap_servers": self._target.bootstrap, "client_id": self._name, **self._arguments}
        producer = AIOKafkaProducer(transactional_id=self._name, transaction_timeout_ms=10_000, **common)
        consumer = AIOKafkaConsumer(
            group_id=self._name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **common,
        )
        return producer, consumer

    async def _copy_some(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> bool:
        """Copy what has come, in one transaction; return whether nothing had."""
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        records = [record for partition in sorted(polled) for record in polled[partition]]
        if not records:
            return True
        self._attempt += 1
        aborts = self._attempt % ABORTS_EVERY == 0
        copies = [(record.partition, f"{record.value.decode()}@{self._name}.{self._attempt}") for record in records]
        ends = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        try:
            async with asyncio.timeout(PATIENCE_S):
                places = await self._write(producer, copies, ends)
                self._target.emit(self._name, TransactionDecided(self._name, self._attempt, not aborts))
                await (producer.abort_transaction() if aborts else producer.commit_transaction())
        except (*Failure, asyncio.CancelledError) as error:
            self._resolve("unknown", copies, [], type(error).__name__)
            raise
        self._resolve("aborted" if aborts else "committed", copies, places, "")
        if aborts:
            await consumer.seek_to_committed()
        return False

    async def _write(
        self, producer: AIOKafkaProducer, copies: Sequence[tuple[int, str]], ends: dict[TopicPartition, int]
    ) -> list[int]:
        """Begin a transaction and write all that belongs to it; return the offsets of the records."""
        await producer.begin_transaction()
        futures = []
        for partition, value in copies:
            self._target.emit(self._name, RecordSent(self._copy, partition, value))
            futures.append(await producer.send(self._copy, value=value.encode(), partition=partition))
        stored = await asyncio.gather(*futures)
        await producer.send_offsets_to_transaction(ends, self._name)
        return [each.offset for each in stored]

    def _resolve(self, outcome: str, copies: Sequence[tuple[int, str]], offsets: Sequence[int], error: str) -> None:
        """Say what became of a transaction and of each of its records."""
        values = tuple(value for _, value in copies)
        self._target.emit(self._name, TransactionResolved(self._name, self._attempt, outcome, values))
        for index, (partition, value) in enumerate(copies):
            if outcome == "committed":
                self._target.emit(self._name, RecordAcknowledged(self._copy, partition, value, offsets[index]))
            elif outcome == "aborted":
                self._target.emit(self._name, RecordFailed(self._copy, partition, value, "aborted"))
            else:
                self._target.emit(self._name, RecordUnknown(self._copy, partition, value, error))


async def _stop(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await client.stop()
    except Failure:
        return  # its transaction is decided by its successor
