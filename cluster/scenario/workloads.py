"""Workloads: unmodified aiokafka clients that write and read while the cluster is broken.

Here: producers with values that are unique in a run (`p1-000123`), consumers, and what each was told, as trace events.
Consumers assign partitions to themselves, unless they have a group (`group_consumers`). Not here: the reading back
(`read_back`).

Three outcomes. **Acked**: the producer was given an offset (or, under acks=0, was not told otherwise). **Failed**: the
record never left the client, or the broker refused it for what it is. **Unknown**: everything else; a produce that
timed out, lost its connection or was refused after a retry may be in the log, and the producer's own retries may have
put it there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors

from cluster.base.trace import (
    ConsumerPlaced,
    RecordAcknowledged,
    RecordFailed,
    RecordSent,
    RecordUnknown,
)
from cluster.lab import ClientHandle, Target
from cluster.lab.quantities import US_PER_SECOND
from cluster.scenario.client_configs import client_arguments
from cluster.scenario.group_consumers import GroupConsumer
from cluster.scenario.keyed_records import Keys, consumed, record_of
from cluster.scenario.schema import Client
from cluster.scenario.transactional_producers import TransactionalProducer
from cluster.scenario.transactions import Copier

REQUEST_TIMEOUT_MS = {"kafka": 10_000, "fast": 2_000}
"""aiokafka has one timeout for a request, a connection attempt and a delivery, where Java has 30, 10 and 120 s."""

RETRY_BACKOFF_MS = 100
CONNECT_RETRY_S = 0.5
POLL_MS = 500

REFUSED = (
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidRequiredAcksError,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.UnsupportedVersionError,
)
"""Answers that say that no attempt, this or an earlier one, can have stored the record."""


class Workloads:
    """The clients of one run: started together, told to stop together."""

    def __init__(self, target: Target, clients: dict[str, Client], seed: int) -> None:
        self._target = target
        self._seed = seed
        self._clients = clients
        self._partitions = {topic.name: topic.partitions for topic in target.spec.topics}
        self._handles: list[ClientHandle] = []
        self._stopping = False

    def start(self) -> None:
        """Spawn every client."""
        for name, client in self._clients.items():
            run = self._produce if client.produce is not None else self._consume
            if client.transact is not None:
                run = self._transact
            self._handles.append(self._target.spawn_client(name, partial(self._begin, run, name, client)))

    async def _begin(self, run: Callable[[str, Client], Awaitable[None]], name: str, client: Client) -> None:
        if client.starts:
            await asyncio.sleep(client.starts / US_PER_SECOND)
        if not self._stopping:
            await run(name, client)

    def stop_sending(self) -> None:
        """Let every client finish what it has begun and begin nothing more."""
        self._stopping = True

    async def finish(self, timeout_s: float) -> None:
        """Wait until all have been told what became of their records; cancel who takes too long."""
        for handle in self._handles:
            try:
                await asyncio.wait_for(handle.wait(), timeout_s)
            except TimeoutError:
                await handle.stop()

    # --- producers ---------------------------------------------------------------------------------

    async def _produce(self, name: str, client: Client) -> None:
        producer = make_producer(self._target, name, client)
        if client.transactional_id is not None:
            await TransactionalProducer(self._target, name, client, producer, lambda: self._stopping).run()
            return
        if not await self._connected(producer):
            return
        topic = client.topic
        keys = None if client.keys is None else Keys(client, Random(f"{self._seed}/keys/{name}"))
        interval_s = 1.0 / client.rate
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        number = 0
        try:
            while not self._stopping:
                key = None if keys is None else keys.draw()
                # The partition is always given: aiokafka's own partitioner draws from the global dice.
                spread = (number if key is None else key.number) % self._partitions[topic]
                partition = spread if client.partition is None else client.partition
                own = ("", False) if key is None else (key.text, key.is_tombstone)
                await self._send(producer, name, RecordSent(topic, partition, f"{name}-{number:06d}", *own))
                number += 1
                # A rate is a ceiling: what a blocked producer missed is not made up for in a burst.
                due_s = max(due_s + interval_s, loop.time())
                await asyncio.sleep(due_s - loop.time())
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, name: str, sent: RecordSent) -> None:
        topic, partition, value = sent.topic, sent.partition, sent.value
        self._target.emit(name, sent)
        try:
            future = await producer.send(topic, partition=partition, **record_of(sent))
        except kafka_errors.KafkaError as error:  # it found no room in a batch, so it never left
            self._target.emit(name, RecordFailed(topic, partition, value, _name(error)))
            return
        future.add_done_callback(partial(self._told, name, topic, partition, value))

    def _told(self, name: str, topic: str, partition: int, value: str, future: asyncio.Future[Any]) -> None:
        """Note what became of a record; runs as a callback of aiokafka's future."""
        if future.cancelled():
            self._target.emit(name, RecordUnknown(topic, partition, value, "cancelled"))
            return
        error = future.exception()
        if error is None:
            metadata = future.result()
            offset = -1 if metadata is None else metadata.offset
            self._target.emit(name, RecordAcknowledged(topic, partition, value, offset))
        elif isinstance(error, REFUSED):
            self._target.emit(name, RecordFailed(topic, partition, value, _name(error)))
        else:
            self._target.emit(name, RecordUnknown(topic, partition, value, _name(error)))

    # --- consumers ---------------------------------------------------------------------------------

    async def _consume(self, name: str, client: Client) -> None:
        if client.group is not None:
            make = partial(make_consumer, self._target, name, group=client.group, **client_arguments(client))
            await GroupConsumer(self._target, name, client, make, lambda: self._stopping).run()
            return
        consumer = make_consumer(self._target, name, **client_arguments(client))
        if not await self._connected(consumer):
            return
        wanted = range(self._partitions[client.topic]) if client.partition is None else [client.partition]
        try:
            consumer.assign([TopicPartition(client.topic, partition) for partition in wanted])
            placed = tuple(f"{client.topic}-{partition}" for partition in wanted)
            self._target.emit(name, ConsumerPlaced(placed, by_group=False))
            committed_only = client.config.get("isolation.level") == "read_committed"
            while not self._stopping:
                try:
                    polled = await consumer.getmany(timeout_ms=POLL_MS)
                except kafka_errors.KafkaError:
                    await asyncio.sleep(CONNECT_RETRY_S)
                    continue
                for partition in sorted(polled):
                    for record in polled[partition]:
                        self._target.emit(name, consumed(record, committed_only=committed_only))
        finally:
            await consumer.stop()

    # --- transactions ------------------------------------------------------------------------------

    async def _transact(self, name: str, client: Client) -> None:
        assert client.to is not None, "the schema demands it"
        defaults = {
            "request_timeout_ms": REQUEST_TIMEOUT_MS[self._target.spec.profile],
            "retry_backoff_ms": RETRY_BACKOFF_MS,
        }
        arguments = {**defaults, **client_arguments(client)}
        topics = (client.topic, client.to)
        copier = Copier(self._target, name, topics, self._partitions[client.topic], arguments)
        await copier.run(lambda: self._stopping, 1.0 / client.rate)

    async def _connected(self, client: AIOKafkaProducer | AIOKafkaConsumer) -> bool:
        """Start a client, however long the cluster cannot be reached; False when the run ended first."""
        while not self._stopping:
            try:
                await client.start()
            except kafka_errors.KafkaError:
                await asyncio.sleep(CONNECT_RETRY_S)
            else:
                return True
        await client.stop()
        return False


def make_producer(target: Target, name: str, client: Client) -> AIOKafkaProducer:
    """Return a producer that is not started. Idempotence is off unless it is configured."""
    defaults: dict[str, Any] = {
        "linger_ms": 0,
        "enable_idempotence": False,
        "request_timeout_ms": REQUEST_TIMEOUT_MS[target.spec.profile],
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }
    if client.transactional_id is not None:
        defaults |= {"transactional_id": client.transactional_id, "enable_idempotence": True}
    arguments = {**defaults, **client_arguments(client)}
    return AIOKafkaProducer(bootstrap_servers=target.bootstrap, client_id=name, acks=client.acks, **arguments)


def make_consumer(target: Target, name: str, group: str | None = None, **configs: Any) -> AIOKafkaConsumer:
    """Return a consumer that is not started and commits only when it is told to."""
    defaults = {
        "auto_offset_reset": "earliest",
        "request_timeout_ms": max(REQUEST_TIMEOUT_MS[target.spec.profile], 5_000),
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }
    return AIOKafkaConsumer(
        bootstrap_servers=target.bootstrap,
        client_id=name,
        group_id=group,
        enable_auto_commit=False,
        **{**defaults, **configs},
    )


async def connect(client: AIOKafkaProducer | AIOKafkaConsumer, pause_s: float = CONNECT_RETRY_S) -> None:
    """Start a client, however long the cluster cannot be reached; whoever calls limits the time."""
    while True:
        try:
            await client.start()
        except kafka_errors.KafkaError:
            await asyncio.sleep(pause_s)
        else:
            return


def _name(error: BaseException) -> str:
    return type(error).__name__
