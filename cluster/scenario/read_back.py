"""The last phase of every run: is the cluster whole again, does it move on, and what does it hold?

Here: waiting for recovery, one more write to each partition, a full read by fresh clients from offset 0, and the
replicas as they lie on disk. Authors of scenarios cannot forget it: the runner always does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka import errors as kafka_errors

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    ControllerActivated,
    HighWatermarkAdvanced,
    LogTruncated,
    NodeFaulted,
    NodeReady,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
)
from cluster.lab import StoredReplica, Target
from cluster.lab.quantities import US_PER_SECOND
from cluster.report import ClusterView
from cluster.scenario.keyed_records import compacted_topics, consumed
from cluster.scenario.observation import Observer
from cluster.scenario.schema import Client
from cluster.scenario.workloads import connect, make_consumer, make_producer

RECOVERY_US_MAX = {"kafka": 180 * US_PER_SECOND, "fast": 60 * US_PER_SECOND}
"""How long a healed cluster may take to become whole; several sessions, elections and lag times in a row."""

PROGRESS_US_MAX = 60 * US_PER_SECOND
READ_BACK_US_MAX = 180 * US_PER_SECOND
RETRY_S = 0.5
POLL_MS = 500
READER = "reader"
PROBE = "probe"

_RECOVERY_KINDS = (
    ControllerActivated.kind,
    NodeFaulted.kind,
    NodeReady.kind,
    NodeStarted.kind,
    PartitionMetadataApplied.kind,
    PartitionRoleChanged.kind,
    BatchAppended.kind,
    LogTruncated.kind,
    HighWatermarkAdvanced.kind,
)


class ReadBack:
    """Looks after one target once everything has been healed."""

    def __init__(self, target: Target, observer: Observer) -> None:
        self._target = target
        self._observer = observer
        self.stable_offsets: Mapping[TopicPartition, int] = {}
        """Where readers of committed records found the end of each partition."""
        self._partitions = tuple(
            TopicPartition(topic.name, number) for topic in target.spec.topics for number in range(topic.partitions)
        )

    async def recover(self) -> str:
        """Wait until the cluster is whole; return what is not, or nothing."""
        timeout_us = RECOVERY_US_MAX[self._target.spec.profile]
        view = self._observer.view
        if await self._observer.until_true(lambda: not ailments(view, self._partitions), _RECOVERY_KINDS, timeout_us):
            return ""
        return "; ".join(ailments(view, self._partitions))

    async def progress(self) -> str:
        """Write one more record to each partition with acks=all; return what went wrong, or nothing."""
        failures: list[str] = []

        async def probe() -> None:
            # Idempotent, so that its own retries are not mistaken for duplicates of the workload.
            configs = {"enable.idempotence": "true"}
            compacted = compacted_topics(self._target.spec)
            producer = make_producer(self._target, PROBE, Client(produce=PROBE, partition=None, config=configs))
            try:
                await connect(producer)
                for partition in self._partitions:
                    try:
                        value = f"{PROBE}-{partition}".encode()
                        key = PROBE.encode() if partition.topic in compacted else None
                        await producer.send_and_wait(
                            partition.topic, value=value, key=key, partition=partition.partition
                        )
                    except kafka_errors.KafkaError as error:
                        failures.append(f"{partition} takes no record: {type(error).__name__}")
            finally:
                await producer.stop()

        if not await self._run_client(PROBE, probe, PROGRESS_US_MAX):
            failures.append("no record was acknowledged in time")
        return "; ".join(failures)

    async def read_everything(self) -> bool:
        """Read every partition from offset 0 to its end with a fresh consumer; False when that took too long."""
        if not self._partitions:
            return True
        complete = False

        async def read() -> None:
            nonlocal complete
            consumer = make_consumer(self._target, READER, isolation_level="read_committed")
            try:
                await connect(consumer)
                await self._read_to_end(consumer)
                complete = True
            finally:
                await consumer.stop()

        finished = await self._run_client(READER, read, READ_BACK_US_MAX)
        return finished and complete

    async def _read_to_end(self, consumer: AIOKafkaConsumer) -> None:
        wanted = [ClientPartition(partition.topic, partition.partition) for partition in self._partitions]
        consumer.assign(wanted)
        while True:
            try:
                await consumer.seek_to_beginning(*wanted)
                ends = await consumer.end_offsets(wanted)
                break
            except kafka_errors.KafkaError:
                await asyncio.sleep(RETRY_S)
        self.stable_offsets = {TopicPartition(*partition): ends[partition] for partition in wanted}
        positions = dict.fromkeys(wanted, 0)
        for partition in wanted:
            positions[partition] = await consumer.position(partition)
        while any(positions[partition] < ends[partition] for partition in wanted):
            polled = await consumer.getmany(timeout_ms=POLL_MS)
            for partition in sorted(polled):
                for record in polled[partition]:
                    if record.offset < ends[partition]:
                        self._target.emit(READER, consumed(record, final=True))
                positions[partition] = await consumer.position(partition)

    async def replicas(self) -> Mapping[TopicPartition, Mapping[str, StoredReplica]]:
        """Read every replica of every partition straight from its node's disk."""
        found: dict[TopicPartition, dict[str, StoredReplica]] = {}
        for partition in self._partitions:
            found[partition] = {}
            for name in self._observer.view.replicas(partition):
                found[partition][name] = await self._target.read_replica(name, partition)
        return found

    def high_watermarks(self) -> Mapping[TopicPartition, int]:
        """Each partition's high watermark, as its leader last reported it."""
        view = self._observer.view
        return {partition: _watermark(view, partition) for partition in self._partitions}

    async def _run_client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]], timeout_us: int) -> bool:
        handle = self._target.spawn_client(name, main)
        try:
            await asyncio.wait_for(handle.wait(), timeout_us / US_PER_SECOND)
        except TimeoutError:
            await handle.stop()
            return False
        return True


def ailments(view: ClusterView, partitions: Sequence[TopicPartition]) -> list[str]:
    """Say what is not whole: leaders, in-sync replicas, what is not committed, who is not ready or has old metadata."""
    found = [f"{name} does not know the newest metadata" for name in view.behind()]
    if view.active_controller() is None:
        found.append("there is no active controller")
    # Until the session of its last process is over, the metadata calls a broker in sync that has yet to register.
    serving = dict.fromkeys(name for partition in partitions for name in view.replicas(partition))
    found += [f"{name} is not ready" for name in serving if not view.nodes[name].ready]
    for partition in partitions:
        leader = view.leader(partition)
        replica = None if leader is None else view.replica(leader, partition)
        if leader is None or replica is None or replica.role != "leader":
            found.append(f"{partition} has no leader")
        elif len(view.isr(partition)) < len(view.replicas(partition)):
            found.append(f"{partition} has ISR {','.join(view.isr(partition))} of {','.join(view.replicas(partition))}")
        elif replica.high_watermark < replica.log_end_offset:
            found.append(f"{partition} has committed {replica.high_watermark} of {replica.log_end_offset}")
    return found


def _watermark(view: ClusterView, partition: TopicPartition) -> int:
    leader = view.leader(partition)
    replica = None if leader is None else view.replica(leader, partition)
    return 0 if replica is None else replica.high_watermark
