"""The start of the log moves on every replica, and the leader knows when it has (KIP-107)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shell_cluster import ShellCluster, simulate

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId


async def fill(lab: ShellCluster, count: int = 10) -> None:
    for number in range(count):
        assert await lab.produce(1, f"v{number}") is ErrorCode.NONE


def starts(lab: ShellCluster) -> list[int]:
    return [broker.partition().log.log_start_offset for broker in lab.brokers.values() if broker.process.runs]


def test_deleting_records_moves_the_start_of_every_replica_within_a_round_trip() -> None:
    async def test(lab: ShellCluster) -> None:
        await fill(lab)
        leader = lab.brokers[1].partition()
        assert leader.delete_records(6) == (ErrorCode.NONE, 6)
        assert leader.low_watermark == 0, "the followers have not heard"
        seen: list[int] = []
        lab.brokers[1].replicas.watch([leader.topic_partition], lambda: seen.append(leader.low_watermark))
        await asyncio.sleep(0.1)
        assert seen[-1] == 6, "whoever waits for the low watermark is told"
        assert starts(lab) == [6, 6, 6]
        assert await lab.produce(1, "more") is ErrorCode.NONE

    simulate(test)


def test_what_cannot_be_deleted_is_refused() -> None:
    async def test(lab: ShellCluster) -> None:
        await fill(lab)
        await asyncio.sleep(1)
        leader, follower = lab.brokers[1].partition(), lab.brokers[2].partition()
        assert leader.delete_records(11)[0] is ErrorCode.OFFSET_OUT_OF_RANGE
        assert leader.delete_records(-2)[0] is ErrorCode.OFFSET_OUT_OF_RANGE
        assert follower.delete_records(1)[0] is ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert leader.delete_records(-1) == (ErrorCode.NONE, 10), "-1 is the high watermark"
        assert leader.delete_records(3) == (ErrorCode.NONE, 3), "what is gone is gone"
        await asyncio.sleep(1)
        assert starts(lab) == [10, 10, 10]

    simulate(test)


def test_compacted_topics_delete_nothing() -> None:
    async def test(lab: ShellCluster) -> None:
        assert lab.brokers[1].partition().delete_records(0)[0] is ErrorCode.POLICY_VIOLATION

    simulate(test, log_cleanup_policy="compact")


def test_a_replica_that_is_down_holds_the_low_watermark_only_while_it_is_believed_to_live() -> None:
    async def test(lab: ShellCluster) -> None:
        await fill(lab)
        lab.simulation.machine("b3").kill()
        leader = lab.brokers[1].partition()
        leader.delete_records(4)
        await asyncio.sleep(1)
        assert leader.low_watermark == 0
        fenced = replace(lab.image.brokers[NodeId(3)], fenced=True)
        lab.image = replace(lab.image, brokers={**lab.image.brokers, NodeId(3): fenced})
        lab.change(isr=(NodeId(1), NodeId(2)))
        await asyncio.sleep(1)
        assert leader.low_watermark == 4
        await lab.restart(3)
        await asyncio.sleep(3)
        assert starts(lab) == [4, 4, 4]

    simulate(test)
