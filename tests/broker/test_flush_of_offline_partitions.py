"""Nobody is told that records are durable when their partition went offline while it was to be synced."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from lone_broker import LoneBroker, batch, on_broker

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
