"""A producer that writes in transactions, one after the other, each open for a while (KIP-98).

Here: an unmodified aiokafka producer with a transactional id. It begins, writes at its rate, commits, and begins anew;
one that is fenced by a successor of the same id is told so and ends, as an application should. Not here: copying from
topic to topic (`transactions`), or producers without transactions (`workloads`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from cluster.base.trace import RecordAcknowledged, RecordFailed, RecordSent, RecordUnknown
from cluster.base.transaction_trace import TransactionDecided, TransactionResolved
from cluster.lab import Target
from cluster.lab.quantities import US_PER_SECOND
from cluster.scenario.schema import Client

RETRY_S = 0.5
STOP_S = 5.0

_FENCED = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)


class TransactionalProducer:
    """Writes one transaction after the other. `producer` is not started; `is_stopping` says when to begin no more."""

    def __init__(
        self,
        target: Target,
        name: str,
        client: Client,
        producer: AIOKafkaProducer,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._target = target
        self._name = name
        self._client = client
        self._producer = producer
        self._is_stopping = is_stopping
        # Two clients may share a transactional id: whose a transaction is tells it from its namesake.
        self._identity = f"{client.transactional_id}/{name}"
        self._attempt = 0
        self._number = 0
        self._partitions = next(topic.partitions for topic in target.spec.topics if topic.name == client.topic)

    async def run(self) -> None:
        """Write until told to stop, or until a successor fences this producer."""
        try:
            await self._start()
            while not self._is_stopping():
                await self._transaction()
        except _FENCED:
            return  # another has the id: whoever is fenced must not go on
        finally:
            await self._stop()

    async def _start(self) -> None:
        """Connect and get a producer id, however long it takes; what a predecessor had open is aborted by that."""
        while not self._is_stopping():
            try:
                await self._producer.start()
            except _FENCED:
                raise
            except kafka_errors.KafkaError:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _transaction(self) -> None:
        """One transaction, from its beginning to the knowledge of its end."""
        self._attempt += 1
        written: list[tuple[int, str, asyncio.Future[Any]]] = []
        try:
            await self._producer.begin_transaction()
            await self._write(written)
            await asyncio.gather(*(future for _, _, future in written))
            self._decide(is_commit=True)
            await self._producer.commit_transaction()
        except _FENCED as error:
            self._resolve("aborted", written, type(error).__name__)
            raise
        except asyncio.CancelledError as error:  # the run is over, and what becomes of it nobody tells this client
            self._resolve("unknown", written, type(error).__name__)
            raise
        except kafka_errors.KafkaError as error:
            self._resolve("aborted" if await self._aborted() else "unknown", written, type(error).__name__)
        else:
            self._resolve("committed", written, "")

    async def _write(self, written: list[tuple[int, str, asyncio.Future[Any]]]) -> None:
        loop = asyncio.get_running_loop()
        assert self._client.transaction is not None, "the schema demands it"
        end_s = loop.time() + self._client.transaction / US_PER_SECOND
        while loop.time() < end_s and not self._is_stopping():
            partition = self._number % self._partitions if self._client.partition is None else self._client.partition
            value = f"{self._name}-{self._number:06d}@{self._identity}.{self._attempt}"
            self._number += 1
            self._target.emit(self._name, RecordSent(self._client.topic, partition, value))
            future = await self._producer.send(self._client.topic, value=value.encode(), partition=partition)
            written.append((partition, value, future))
            await asyncio.sleep(1.0 / self._client.rate)

    async def _aborted(self) -> bool:
        """Take back a transaction that went wrong; whether that is certain."""
        try:
            self._decide(is_commit=False)
            await self._producer.abort_transaction()
        except _FENCED:
            raise
        except kafka_errors.KafkaError:
            return False
        return True

    def _decide(self, *, is_commit: bool) -> None:
        self._target.emit(self._name, TransactionDecided(self._identity, self._attempt, is_commit))

    def _resolve(self, outcome: str, written: list[tuple[int, str, asyncio.Future[Any]]], error: str) -> None:
        """Say what became of a transaction and of each of its records."""
        values = tuple(value for _, value, _ in written)
        if values:
            self._target.emit(self._name, TransactionResolved(self._identity, self._attempt, outcome, values))
        topic = self._client.topic
        for partition, value, future in written:
            if outcome == "committed":
                offset = future.result().offset
                self._target.emit(self._name, RecordAcknowledged(topic, partition, value, offset))
            elif outcome == "aborted":
                self._target.emit(self._name, RecordFailed(topic, partition, value, error))
            else:
                self._target.emit(self._name, RecordUnknown(topic, partition, value, error))

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self._producer.stop()
        except (kafka_errors.KafkaError, TimeoutError):
            return  # its transaction is decided by its successor, or by the coordinator's patience
