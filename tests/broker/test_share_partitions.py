"""Who leads a share partition here: one at a time, also when loading an older one fails late."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker import share_partitions
from cluster.broker.share_partitions import LedShare, SharePartitions
from cluster.sharing import SharePartitionKey

TOPIC = UUID(int=1)


def test_one_that_could_not_be_loaded_does_not_take_its_successor_along(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = SimpleNamespace(is_leader=True, leader_epoch=0)
    image = SimpleNamespace(topic_by_id=lambda _: SimpleNamespace(name="orders", partitions=(None,)))
    context: Any = SimpleNamespace(image=lambda: image, replicas=SimpleNamespace(get=lambda _: partition))
    key = SharePartitionKey("g", TOPIC, 0)
    may_fail = asyncio.Event()

    async def load(led: LedShare) -> None:
        if led.leader_epoch == 0:
            await may_fail.wait()
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)

    async def test() -> None:
        shares = SharePartitions(context)
        older = asyncio.create_task(shares.find(key))
        await asyncio.sleep(0)
        partition.leader_epoch = 1
        newer = await shares.find(key)
        may_fail.set()
        assert await older is ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert await shares.find(key) is newer

    monkeypatch.setattr(share_partitions.LedShare, "load", load)
    asyncio.run(test())
