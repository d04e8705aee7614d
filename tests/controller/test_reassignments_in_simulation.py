"""Replicas move while brokers and the active controller are killed: no acknowledged record is lost, every move ends.

Real brokers and controllers in virtual time, a real client that writes all the while, and an operator who moves the
partition to other brokers, changes his mind, and takes moves back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random

import aiokafka
import pytest

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.trace import ControllerActivated, PartitionMetadataApplied, Traced
from cluster.checks import ORACLES, Evidence
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import RPC_PORT, SimTarget
from cluster.node.config import NodeConfig, Voter
from cluster.node.controller_client import ControllerClient
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb
from cluster.runtime.sim import Simulation, run_simulation

ORDERS = TopicPartition("orders", 0)
SPEC = replace(
    numbered_cluster(5, 3), profile="fast", topics=(TopicSpec("orders", 1, 3, {"min.insync.replicas": "2"}),)
)


class Operator:
    """Somebody who moves the partition, and what the trace told him of it."""

    def __init__(self, simulation: Simulation, target: SimTarget, seed: int) -> None:
        self.simulation = simulation
        self.target = target
        self.rng = Random(seed)
        self.acknowledged: list[str] = []
        self.controller = ""
        self.elections = 0
        self.state: PartitionMetadataApplied | None = None
        self.oracles = [ORACLES[name]() for name in ("one-leader-per-epoch", "single-value-per-offset")]
        target.subscribe(self._on_event)
        process = simulation.machine("operator").start()
        voters = tuple(Voter(target.node_ids[name], name, RPC_PORT) for name in target.spec.controllers)
        config = NodeConfig("", NodeId(999), "operator", True, False, "operator", RPC_PORT, voters, profile="fast")
        self.client = ControllerClient(config, simulation.world(process), config.configs())

    def _on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, ControllerActivated):
            self.controller = traced.node
            self.elections += 1
        newer = isinstance(event, PartitionMetadataApplied) and event.topic == "orders"
        if newer and (self.state is None or event.metadata_offset > self.state.metadata_offset):
            self.state = event
        for oracle in self.oracles:
            if event.kind in oracle.kinds:
                oracle.on_event(traced)

    async def move(self, nodes: list[int]) -> ErrorCode:
        """Ask for these replicas, for none to take the move back; ask again until a controller answers."""
        request = rpc.AlterPartitionReassignmentsRequest(
            partitions=[rpc.PartitionReassignment(topic="orders", target=pb.Replicas(ids=nodes) if nodes else None)],
            allow_replication_factor_change=True,
        )
        while True:
            try:
                reply = await self.client.call("AlterPartitionReassignments", request, timeout_ms=5_000)
            except KafkaError:
                continue
            assert reply.status.error_code == ErrorCode.NONE
            return ErrorCode(reply.partitions[0].error_code)

    async def produce(self) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.target.bootstrap, client_id="p1", acks="all", request_timeout_ms=3_000
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
            await asyncio.sleep(0.02)

    async def until(self, claim: Callable[[], bool], patience_s: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + patience_s
        while not claim():
            assert loop.time() < deadline_s, f"it did not come true: {self.state}"
            await asyncio.sleep(0.05)

    @property
    def replicas(self) -> list[int]:
        assert self.state is not None
        return list(self.state.replicas)


async def break_something(operator: Operator) -> str:
    """Kill the active controller, or one broker; return its name."""
    victims = [operator.controller, *(broker.name for broker in SPEC.brokers)]
    victim = operator.rng.choice([name for name in victims if name])
    await operator.target.kill(victim)
    return victim


async def story(simulation: Simulation, seed: int) -> Operator:
    target = SimTarget(simulation, SPEC)
    operator = Operator(simulation, target, seed)
    await target.start()
    target.spawn_client("p1", operator.produce)
    await operator.until(lambda: len(operator.acknowledged) > 10)
    for _ in range(5):
        await operator.move(operator.rng.sample(range(1, 6), 3))
        await asyncio.sleep(operator.rng.random() * 0.3)
        victim = await break_something(operator)
        await asyncio.sleep(operator.rng.random() * 2)
        if operator.rng.random() < 0.4:
            await operator.move([])
        await target.start_node(victim)
        await asyncio.sleep(operator.rng.random() * 3)
    final = operator.rng.sample(range(1, 6), 3)
    assert await operator.move(final) is ErrorCode.NONE
    await operator.until(lambda: operator.replicas == final)
    enough = len(operator.acknowledged) + 20
    await operator.until(lambda: len(operator.acknowledged) >= enough)
    await target.kill("p1")
    await asyncio.sleep(3)
    for broker in SPEC.brokers:
        values = [value for batch in await target.read_replica(broker.name, ORDERS) for value in batch.values]
        if target.node_ids[broker.name] in final:
            assert [value for value in operator.acknowledged if value not in values] == [], f"lost on {broker.name}"
        else:
            assert values == [], f"{broker.name} holds what it has no place for"
    await operator.client.close()
    await target.close()
    return operator


@pytest.mark.parametrize("seed", range(6))
def test_no_acknowledged_record_is_lost_while_replicas_move_and_nodes_are_killed(seed: int) -> None:
    operators: list[Operator] = []

    async def main(simulation: Simulation) -> None:
        operators.append(await story(simulation, seed))

    result = run_simulation(main, seed, virtual_time_limit_s=300)
    assert result.errors == ()
    (operator,) = operators
    for oracle in operator.oracles:
        oracle.at_end(Evidence(0))
        assert oracle.violations == []
    assert len(operator.acknowledged) > 50
