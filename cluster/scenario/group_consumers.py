"""A consumer as applications have it: a member of a group that works on what it is given and commits where it is.

Here: the order of working and committing, and the death of a process between the two. Not here: consumers that choose
their partitions themselves and commit nothing (`workloads`).

A record counts as consumed when it has been worked on. A process that dies leaves its batch half done and commits
nothing more; its group is told that it leaves, as the client library does while an exception unwinds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors

from cluster.base.trace import ConsumerPlaced
from cluster.lab import Target
from cluster.lab.quantities import US_PER_SECOND
from cluster.scenario.keyed_records import consumed
from cluster.scenario.schema import Client

POLL_MS = 500
RETRY_S = 0.5


class GroupConsumer:
    """One member. `make` returns a client that is not started, `is_stopping` says when to begin nothing more."""

    def __init__(
        self,
        target: Target,
        name: str,
        client: Client,
        make: Callable[[], AIOKafkaConsumer],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._target = target
        self._name = name
        self._client = client
        self._make = make
        self._is_stopping = is_stopping

    async def run(self) -> None:
        """Live one life after the other until the run stops."""
        while not self._is_stopping():
            await self._live()

    async def _live(self) -> None:
        consumer = self._make()
        try:
            if not await self._started(consumer):
                return
            consumer.subscribe([self._client.topic], listener=_Placement(self._target, self._name))
            await self._work(consumer, self._death_s())
        finally:
            await consumer.stop()

    def _death_s(self) -> float | None:
        """When this life ends, on the loop's clock; None when nothing ends it."""
        lifetime = self._client.lifetime
        return None if lifetime is None else asyncio.get_running_loop().time() + lifetime / US_PER_SECOND

    async def _started(self, consumer: AIOKafkaConsumer) -> bool:
        while not self._is_stopping():
            try:
                await consumer.start()
            except kafka_errors.KafkaError:
                await asyncio.sleep(RETRY_S)
            else:
                return True
        return False

    async def _work(self, consumer: AIOKafkaConsumer, death_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_stopping() and (death_s is None or loop.time() < death_s):
            try:
                polled = await consumer.getmany(timeout_ms=POLL_MS)
            except kafka_errors.KafkaError:
                await asyncio.sleep(RETRY_S)
                continue
            if polled and self._client.commit == "before":
                await self._commit(consumer)
            for partition in sorted(polled):
                for record in polled[partition]:
                    await asyncio.sleep(self._client.work / US_PER_SECOND)
                    if death_s is not None and loop.time() >= death_s:
                        return  # in the middle of a batch
                    self._target.emit(self._name, consumed(record))
            if polled and self._client.commit == "after":
                await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        with suppress(kafka_errors.KafkaError):  # the group has moved on: its next owner begins at the last commit
            await consumer.commit()


class _Placement(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Notes where the group placed a member."""

    def __init__(self, target: Target, name: str) -> None:
        self._target = target
        self._name = name

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Say nothing: what follows is said when it is assigned."""

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Note the partitions of the new generation."""
        placed = tuple(f"{partition.topic}-{partition.partition}" for partition in sorted(assigned))
        self._target.emit(self._name, ConsumerPlaced(placed, by_group=True))
