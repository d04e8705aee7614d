"""The real brokers in the simulation, broken through the target: what is acknowledged survives what it should."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import aiokafka
import pytest
from toy_machines import cut, simulate

from cluster.base.ids import TopicPartition
from cluster.base.trace import BrokerStateChanged, NodeFaulted, PartitionMetadataApplied
from cluster.lab import ClusterSpec, LabError, TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.runtime.sim import Simulation

_T = TypeVar("_T")
ORDERS = TopicPartition("orders", 0)
SPEC = replace(numbered_cluster(3, 3, combined=True), topics=(TopicSpec("orders", 1, 3, {"min.insync.replicas": "2"}),))


class Load:
    """A producer of unique values with acks=all, and what became of them."""

    def __init__(self, target: SimTarget) -> None:
        self.acknowledged: list[str] = []
        self._target = target
        self.client = target.spawn_client("p1", self._produce)

    async def _produce(self) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._target.bootstrap, client_id="p1", acks="all", request_timeout_ms=5000
        )
        await producer.start()
        number = 0
        while True:
            number += 1
            try:
                await producer.send_and_wait("orders", b"%d" % number)
            except aiokafka.errors.KafkaError:
                continue
            self.acknowledged.append(str(number))
            await asyncio.sleep(0.05)


def with_cluster(main: Callable[[Simulation, SimTarget], Awaitable[_T]], spec: ClusterSpec = SPEC) -> _T:
    """Run a scenario on a cluster that has started."""

    async def run(simulation: Simulation) -> _T:
        target = SimTarget(simulation, spec)
        await target.start()
        value = await main(simulation, target)
        await target.close()
        return value

    return simulate(run)


def leader(simulation: Simulation) -> str:
    """Return the name of the broker that leads the partition."""
    events = [traced.event for traced in simulation.trace.events]
    states = [event for event in events if isinstance(event, PartitionMetadataApplied) and event.topic == "orders"]
    return f"b{max(states, key=lambda state: state.metadata_offset).leader}"


async def stored(target: SimTarget, name: str) -> list[str]:
    """Return the values on a node's disk."""
    return [value for batch in await target.read_replica(name, ORDERS) for value in batch.values]


@pytest.mark.parametrize("hands_over", [True, False])
def test_a_broker_hands_over_before_it_stops_unless_it_is_told_not_to(hands_over: bool) -> None:
    async def main(simulation: Simulation, target: SimTarget) -> list[str]:
        await target.stop(leader(simulation))
        await asyncio.sleep(20)
        events = [traced.event for traced in simulation.trace.events]
        return [event.state for event in events if isinstance(event, BrokerStateChanged)]

    spec = replace(SPEC, properties={"controlled.shutdown.enable": str(hands_over).lower()})
    states = with_cluster(main, spec)
    assert ("shutting-down" in states) is hands_over and "fenced" in states


@pytest.mark.parametrize("fault", ["kill", "power_off", "stop", "pause"])
def test_a_leader_may_go_and_nothing_acknowledged_is_lost(fault: str) -> None:
    async def main(simulation: Simulation, target: SimTarget) -> tuple[int, int]:
        load = Load(target)
        await asyncio.sleep(3)
        victim = leader(simulation)
        await getattr(target, fault)(victim)
        before = len(load.acknowledged)
        await asyncio.sleep(20)
        assert leader(simulation) != victim
        await (target.resume(victim) if fault == "pause" else target.start_node(victim))
        await asyncio.sleep(20)
        after = len(load.acknowledged)
        await target.kill("p1")
        await asyncio.sleep(2)
        for name in target.node_names:
            values = await stored(target, name)
            assert [value for value in load.acknowledged if value not in values] == [], f"lost on {name}"
        return before, after

    before, after = with_cluster(main)
    assert before > 20
    assert after > before + 100


def test_a_kill_of_every_node_loses_nothing_and_a_loss_of_power_everywhere_does() -> None:
    def lost_after(fault: str) -> int:
        async def main(simulation: Simulation, target: SimTarget) -> int:
            load = Load(target)
            await asyncio.sleep(5)
            for name in target.node_names:
                await getattr(target, fault)(name)
            acknowledged = list(load.acknowledged)
            await target.kill("p1")
            for name in target.node_names:
                await target.start_node(name)
            await asyncio.sleep(30)
            survivors = await stored(target, leader(simulation))
            return sum(value not in survivors for value in acknowledged)

        return with_cluster(main)

    assert lost_after("kill") == 0
    assert lost_after("power_off") > 0


def test_a_leader_that_is_cut_off_is_replaced_and_its_client_hangs_meanwhile() -> None:
    async def main(simulation: Simulation, target: SimTarget) -> tuple[int, int, int]:
        load = Load(target)
        await asyncio.sleep(3)
        victim = leader(simulation)
        others = [name for name in (*target.node_names, "p1") if name != victim]
        rules = [rule for name in others for rule in (cut(name, victim), cut(victim, name))]
        await target.set_link_rule("isolate", rules)
        at_cut = len(load.acknowledged)
        await asyncio.sleep(5)
        while_cut = len(load.acknowledged)
        await asyncio.sleep(25)
        assert leader(simulation) != victim
        await target.clear_link_rule("isolate")
        await asyncio.sleep(15)
        values = await stored(target, victim)
        assert [value for value in load.acknowledged[:-2] if value not in values] == []
        return at_cut, while_cut, len(load.acknowledged)

    at_cut, while_cut, at_end = with_cluster(main)
    assert at_cut > 20
    assert while_cut <= at_cut + 1
    assert at_end > at_cut + 100


def test_faults_are_traced_and_impossible_ones_refused() -> None:
    async def main(simulation: Simulation, target: SimTarget) -> list[tuple[str, str]]:
        await target.kill("b2")
        for impossible in (target.kill, target.stop, target.pause, target.resume):
            with pytest.raises(LabError):
                await impossible("b2")
        await target.power_off("b2")  # what the dead process left in the page cache
        await target.start_node("b2")
        with pytest.raises(LabError):
            await target.start_node("b2")
        await target.pause("b3")
        with pytest.raises(LabError):
            await target.stop("b3")
        await target.resume("b3")
        events = [traced.event for traced in simulation.trace.events]
        return [(event.target, event.state) for event in events if isinstance(event, NodeFaulted)]

    assert with_cluster(main) == [
        ("b2", "killed"),
        ("b2", "powered-off"),
        ("b2", "started"),
        ("b3", "paused"),
        ("b3", "resumed"),
    ]


def test_a_client_is_stopped_waited_for_and_its_error_raised() -> None:
    async def main(simulation: Simulation, target: SimTarget) -> tuple[bool, bool, bool]:
        async def for_ever() -> None:
            await asyncio.sleep(1e9)

        async def deaf() -> None:
            while True:
                try:
                    await asyncio.sleep(1e9)
                except asyncio.CancelledError:
                    continue

        async def broken() -> None:
            raise ValueError("client bug")

        clients = target.spawn_client("x", for_ever), target.spawn_client("y", deaf), target.spawn_client("z", broken)
        with pytest.raises(ValueError, match="client bug"):
            await clients[2].wait()
        assert not clients[0].done
        await clients[0].stop()
        await clients[1].stop()
        again = target.spawn_client("x", for_ever)
        assert not again.done
        return clients[0].done, clients[1].done, clients[2].done

    assert with_cluster(main) == (True, True, True)
