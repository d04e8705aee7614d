"""Transactions of version 2 (KIP-890) in the simulated world, while leaders and both coordinators are lost.

What must hold: a transaction whose end was answered is as it was answered, in every partition and in the group's
offset; no producer is told what it cannot survive; and when all is healed nobody's transaction holds readers up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import aiokafka
import pytest
from epoch_producers import PARTITIONS, EpochProducer, expected

from cluster.base.trace import CoordinatorLoaded, PartitionRoleChanged, Traced
from cluster.broker.coordinator.hosted_shard import HostedShard
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Simulation, run_simulation

SPEC = replace(
    numbered_cluster(3, 3, combined=True),
    profile="fast",
    topics=(TopicSpec("orders", PARTITIONS, 3, {"min.insync.replicas": "2"}),),
    properties={
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "min.insync.replicas": "2",
    },
)
ROLES = {"leader": "orders", "group": "__consumer_offsets", "transaction": "__transaction_state"}


class Cluster:
    """The simulated brokers, and who leads what."""

    def __init__(self, target: SimTarget) -> None:
        self.target = target
        self.leaders: dict[str, str] = {}
        target.subscribe(self._show)

    def _show(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, PartitionRoleChanged) and event.role == "leader" and event.partition == 0:
            self.leaders[event.topic] = traced.node
        if isinstance(event, CoordinatorLoaded):
            self.leaders[event.topic] = traced.node

    async def break_and_mend(self, victim: str, fault: str) -> None:
        if fault == "isolate":
            others = [name for name in self.target.node_names if name != victim]
            rules = [LinkRule(*pair, cut=True) for other in others for pair in ((victim, other), (other, victim))]
            await self.target.set_link_rule("isolate", rules)  # its clients still reach it
        else:
            await self.target.kill(victim)
        await asyncio.sleep(4)
        if fault == "isolate":
            await self.target.clear_link_rule("isolate")
        else:
            await self.target.start_node(victim)
        await asyncio.sleep(4)


async def until(claim: Callable[[], bool], patience_s: float = 60.0) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while not claim():
        assert loop.time() < deadline_s, "it did not come true"
        await asyncio.sleep(0.05)


async def read_committed(target: SimTarget, partition: int) -> list[str]:
    """Return what is committed up to the end of the log. Raises TimeoutError when a transaction stays open."""
    settings = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=target.bootstrap, **settings)
    await consumer.start()
    place = aiokafka.TopicPartition("orders", partition)
    consumer.assign([place])
    (end,) = (await consumer.end_offsets([place])).values()
    values: list[str] = []
    async with asyncio.timeout(30):
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=100)).values():
                values += [(record.value or b"").decode() for record in records]
    await consumer.stop()
    return sorted(values)


async def committed_offset(target: SimTarget, group: str) -> int:
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=target.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    found = await consumer.committed(aiokafka.TopicPartition("orders", 0))
    await consumer.stop()
    return -1 if found is None else int(found)


def lived_through(faults: Sequence[tuple[str, str]], seed: int) -> list[str]:
    """Run producers while brokers break, one after the other; return what is not as they were told."""

    async def main(simulation: Simulation) -> list[str]:
        target = SimTarget(simulation, SPEC)
        cluster = Cluster(target)
        await target.start()
        producers = [EpochProducer(target, name) for name in ("t1", "t2")]
        for producer in producers:
            target.spawn_client(producer.name, producer.run)
        await until(lambda: all(len(producer.committed) >= 5 for producer in producers))
        for role, fault in faults:
            await cluster.break_and_mend(cluster.leaders[ROLES[role]], fault)
        for producer in producers:
            producer.is_over = True
        await until(lambda: all(producer.has_ended for producer in producers))
        wrong = [surprise for producer in producers for surprise in producer.surprises]

        async def look() -> None:
            for partition in range(PARTITIONS):
                found, wanted = await read_committed(target, partition), expected(producers)
                wrong.append(f"orders-{partition} has {found}, not {wanted}" if found != wanted else "")
            for producer in producers:
                offset, last = await committed_offset(target, producer.name), max(producer.committed)
                wrong.append(f"the offset of {producer.name} is {offset}, not {last}" if offset != last else "")

        await asyncio.sleep(2)  # the last markers are written after the answer
        await target.spawn_client("reader", look).wait()
        await target.close()
        return list(filter(None, wrong))

    result = run_simulation(main, seed, virtual_time_limit_s=300)
    assert result.errors == ()
    return result.value


@pytest.mark.parametrize("fault", ["kill", "isolate"])
@pytest.mark.parametrize("role", ROLES)
def test_transactions_end_as_was_answered_whoever_is_lost(role: str, fault: str) -> None:
    assert lived_through([(role, fault)], 1) == []


@pytest.mark.parametrize("seed", range(1, 5))
def test_transactions_end_as_was_answered_when_one_after_the_other_is_lost(seed: int) -> None:
    assert lived_through([("transaction", "kill"), ("leader", "isolate"), ("group", "kill")], seed) == []


def test_a_transaction_coordinator_that_does_not_wait_for_its_replicas_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted bug: EndTxn is answered before what it decided is committed. Who is cut off then lies."""

    def answer_at_once(self: HostedShard[Any], answers: Sequence[Any]) -> None:
        self._answer(answers)

    monkeypatch.setattr(HostedShard, "_answer_when_committed", answer_at_once)
    assert any(lived_through([("transaction", "isolate")], seed) for seed in range(1, 4))
