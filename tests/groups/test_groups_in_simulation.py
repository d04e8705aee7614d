"""Groups of unmodified aiokafka consumers in the simulated world, while their coordinator is killed, cut off, paused.

What must hold whatever happens: no two members own a partition in one generation, committed offsets never go back,
and when all is healed the group reads everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import aiokafka
import pytest

from cluster.base.group_trace import GroupAssigned, OffsetCommitted
from cluster.base.trace import CoordinatorLoaded, Traced
from cluster.broker.coordinator import key_hash
from cluster.broker.coordinator.hosted_shard import HostedShard
from cluster.checks import ORACLES, Evidence
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Simulation, run_simulation

GROUP = "g"
PARTITIONS = 4
OFFSETS_PARTITIONS = 3
SPEC = replace(
    numbered_cluster(3, 3, combined=True),
    profile="fast",
    topics=(TopicSpec("orders", PARTITIONS, 3, {"min.insync.replicas": "2"}),),
    properties={"offsets.topic.num.partitions": str(OFFSETS_PARTITIONS), "min.insync.replicas": "2"},
)


class ReadingGroup:
    """Members that read and commit as they go, a producer for them, and the oracles that watch."""

    def __init__(self, simulation: Simulation, target: SimTarget) -> None:
        self.simulation = simulation
        self.target = target
        self.read: dict[str, None] = {}
        self.written = 0
        self.is_over = False
        self.coordinator = ""
        self.oracles = [ORACLES[name]() for name in ("one-owner-per-generation", "committed-offsets-kept")]
        self.counts = {GroupAssigned.kind: 0, OffsetCommitted.kind: 0, CoordinatorLoaded.kind: 0}
        target.subscribe(self._on_event)

    def _on_event(self, traced: Traced) -> None:
        event = traced.event
        if event.kind in self.counts:
            self.counts[event.kind] += 1
        if isinstance(event, CoordinatorLoaded) and event.partition == key_hash(GROUP) % OFFSETS_PARTITIONS:
            self.coordinator = traced.node
        for oracle in self.oracles:
            if event.kind in oracle.kinds:
                oracle.on_event(traced)

    def start_member(self, name: str) -> None:
        self.target.spawn_client(name, lambda: self._member(name))

    async def _member(self, name: str) -> None:
        consumer = aiokafka.AIOKafkaConsumer(
            "orders",
            bootstrap_servers=self.target.bootstrap,
            group_id=GROUP,
            client_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=2_000,
            heartbeat_interval_ms=300,
            rebalance_timeout_ms=3_000,
            request_timeout_ms=4_000,
        )
        await consumer.start()
        while True:
            found = await consumer.getmany(timeout_ms=200)
            for records in found.values():
                self.read.update({record.value.decode(): None for record in records})
            if found:
                try:
                    await consumer.commit()
                except aiokafka.errors.KafkaError:
                    continue

    def start_producer(self) -> None:
        self.target.spawn_client("p1", self._produce)

    async def _produce(self) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.target.bootstrap, client_id="p1", acks="all", request_timeout_ms=4_000
        )
        await producer.start()
        while not self.is_over:
            try:
                await producer.send_and_wait("orders", b"%d" % self.written, partition=self.written % PARTITIONS)
                self.written += 1
            except aiokafka.errors.KafkaError:
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.05)
        await producer.stop()

    async def until(self, claim: Callable[[], bool], patience_s: float = 60.0) -> None:
        """Let virtual time pass until something is so."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + patience_s
        while not claim():
            assert loop.time() < deadline_s, "it did not come true"
            await asyncio.sleep(0.05)

    @property
    def has_read_everything(self) -> bool:
        return len(self.read) == self.written

    def judge(self) -> list[str]:
        """Return which oracles saw something wrong; they must have seen something at all."""
        assert self.counts[GroupAssigned.kind] >= 3 and self.counts[OffsetCommitted.kind] >= 20, self.counts
        for oracle in self.oracles:
            oracle.at_end(Evidence(self.target.now_us()))
        return [oracle.name for oracle in self.oracles if oracle.violations]


def with_group(story: Callable[[ReadingGroup], Awaitable[None]], seed: int = 1) -> list[str]:
    """Run a story, let the group read all that was written, and return which oracles saw something wrong."""

    async def main(simulation: Simulation) -> list[str]:
        target = SimTarget(simulation, SPEC)
        await target.start()
        group = ReadingGroup(simulation, target)
        for name in ("m1", "m2", "m3"):
            group.start_member(name)
        group.start_producer()
        await group.until(lambda: group.counts[GroupAssigned.kind] >= 3 and len(group.read) >= 10)
        await story(group)
        enough = group.written + 30
        await group.until(lambda: group.written >= enough)
        group.is_over = True
        await asyncio.sleep(1)
        await group.until(lambda: group.has_read_everything)
        wrong = group.judge()
        await target.close()
        return wrong

    result = run_simulation(main, seed, virtual_time_limit_s=300)
    assert result.errors == ()
    return result.value


async def break_coordinator(group: ReadingGroup, fault: str) -> str:
    """Break the coordinator and wait until another one has taken over; return who was broken."""
    victim = group.coordinator
    assert victim
    if fault == "isolate":
        others = [name for name in group.target.node_names if name != victim]
        rules = [LinkRule(*pair, cut=True) for other in others for pair in ((victim, other), (other, victim))]
        await group.target.set_link_rule("isolate", rules)  # its clients still reach it
    else:
        await getattr(group.target, fault)(victim)
    await group.until(lambda: group.coordinator != victim)
    return victim


async def heal(group: ReadingGroup, victim: str, fault: str) -> None:
    if fault == "isolate":
        await group.target.clear_link_rule("isolate")
    elif fault == "pause":
        await group.target.resume(victim)
    else:
        await group.target.start_node(victim)


@pytest.mark.parametrize("fault", ["kill", "power_off", "stop", "pause", "isolate"])
def test_a_group_survives_the_loss_of_its_coordinator(fault: str) -> None:
    async def story(group: ReadingGroup) -> None:
        victim = await break_coordinator(group, fault)
        await asyncio.sleep(3)
        await heal(group, victim, fault)

    assert with_group(story) == []


def test_a_group_survives_the_loss_of_a_member_and_takes_it_back() -> None:
    async def story(group: ReadingGroup) -> None:
        await group.target.kill("m2")
        before = group.counts[GroupAssigned.kind]
        await group.until(lambda: group.counts[GroupAssigned.kind] >= before + 2)
        group.start_member("m4")
        await group.until(lambda: group.counts[GroupAssigned.kind] >= before + 5)

    assert with_group(story) == []


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_group_survives_one_coordinator_after_the_other(seed: int) -> None:
    async def story(group: ReadingGroup) -> None:
        for fault in ("kill", "isolate", "pause"):
            victim = await break_coordinator(group, fault)
            await asyncio.sleep(1)
            await heal(group, victim, fault)
            await asyncio.sleep(4)  # it has to be back in sync, or the next loss is one too many

    assert with_group(story, seed) == []


def test_a_coordinator_that_does_not_wait_for_its_replicas_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: answers leave before what they say is committed. A coordinator that is cut off then lies."""

    def answer_at_once(self: HostedShard[Any], answers: Sequence[Any]) -> None:
        self._answer(answers)

    monkeypatch.setattr(HostedShard, "_answer_when_committed", answer_at_once)

    async def story(group: ReadingGroup) -> None:
        victim = await break_coordinator(group, "isolate")
        await asyncio.sleep(3)
        await heal(group, victim, "isolate")

    assert [wrong for seed in range(1, 4) for wrong in with_group(story, seed)]
