"""What becomes of a sync when its partition goes offline meanwhile, or whoever asked for it goes away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from lone_broker import LoneBroker, batch, on_broker, turns

from cluster.base.errors import ErrorCode
from cluster.base.ports import DiskError
from cluster.node.log_flusher import LogFlusher


def test_a_flush_fails_when_the_partition_goes_offline_meanwhile() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        partition = broker.partition("orders")
        world: Any = SimpleNamespace(disk=broker.disk, clock=broker.world.clock)
        flusher = LogFlusher(world, broker.replicas)
        assert partition.append(memoryview(bytearray(batch(b"a"))), 1, 0, 0).error is ErrorCode.NONE
        flush = asyncio.ensure_future(flusher.flush(partition))
        partition.go_offline(ErrorCode.KAFKA_STORAGE_ERROR)
        with pytest.raises(DiskError):
            await flush

    on_broker(run)


def test_a_sync_commits_also_when_nobody_waits_for_it_any_more() -> None:
    """A follower's fetch loop ends when it is to lead; what it had begun to sync is of use to the leader."""

    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        partition = broker.partition("orders")
        world: Any = SimpleNamespace(disk=broker.disk, clock=broker.world.clock)
        flusher = LogFlusher(world, broker.replicas)
        partition.append(memoryview(bytearray(batch(b"a"))), 1, 0, 0)
        assert partition.high_watermark == 0
        flush = asyncio.ensure_future(flusher.flush(partition))
        await asyncio.sleep(0)
        flush.cancel()
        await turns()
        assert partition.high_watermark == 1

    on_broker(run, {"log.flush.interval.messages": "1"})
