"""Three brokers' replication shells in the simulated world, with a controller that is only an object.

Here: real streams over simulated links and disks. The controller commits what it is asked and tells everybody at
once; who is told of what can be chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.metadata import (
    BrokerRegistration,
    Endpoint,
    MetadataDelta,
    MetadataImage,
    PartitionState,
    TopicState,
    delta_between,
)
from cluster.node.config import NodeConfig
from cluster.node.replication_shell import ReplicationShell
from cluster.records import build_batch
from cluster.replication import Partition, Replicas
from cluster.rpc.controller_pb2 import AlterPartitionReply, AlterPartitionRequest
from cluster.rpc.replication_pb2_grpc import add_ReplicationServicer_to_server
from cluster.runtime.sim import Latency, Simulation, SimulationResult, run_simulation

PORT = 1000
LAG_MS = 1000
PROPERTIES = {"replica.lag.time.max.ms": str(LAG_MS), "broker.session.timeout.ms": "600"}


class Broker:
    """One process: replicas and their shell."""

    def __init__(self, lab: ShellCluster, number: int) -> None:
        self.name = f"b{number}"
        self.node_id = NodeId(number)
        self.lab = lab
        self.configs = Configs.of({**PROPERTIES, **lab.properties}, "kafka")
        self.process = lab.simulation.run_process(self.name, self._main)
        self.world = lab.simulation.world(self.process)
        self.replicas = Replicas(self.node_id, self.world.disk, self.configs, self.world.tracer)
        self.started = asyncio.Event()

    async def _main(self, _: Any) -> None:
        config = NodeConfig("c", self.node_id, self.name, True, False, self.name, PORT, ())
        self.shell = ReplicationShell(
            config,
            self.world,
            self.configs,
            self.replicas,
            self.lab,
            broker_epoch=lambda: self.lab.image.brokers[self.node_id].broker_epoch,
        )
        await self.world.serve_rpc(
            self.name, PORT, lambda server: add_ReplicationServicer_to_server(self.shell.servicer, server)
        )
        self.started.set()
        await self.shell.run()

    async def hear(self) -> None:
        """Take the controller's image."""
        await self.started.wait()
        await self.take(delta_between(self.replicas.image, self.lab.image))

    async def take(self, delta: MetadataDelta) -> None:
        """Take one delta, on behalf of this process."""
        self.shell.on_delta(delta)

    def partition(self, topic: str = "orders") -> Partition:
        found = self.replicas.get(TopicPartition(topic, 0))
        assert found is not None, f"{self.name} has no {topic}"
        return found


class ShellCluster:
    """Brokers 1 to 3, and a controller that agrees. It has the face of a ControllerClient."""

    def __init__(self, simulation: Simulation, properties: dict[str, str]) -> None:
        self.simulation = simulation
        self.properties = properties
        self.asked: list[AlterPartitionRequest] = []
        self.failures = 0
        brokers = {
            number: BrokerRegistration(
                NodeId(number),
                UUID(int=number),
                number,
                Endpoint(f"b{number}", 1),
                Endpoint(f"b{number}", PORT),
                fenced=False,
            )
            for number in (1, 2, 3)
        }
        self.image = MetadataImage(1, 1, "c", brokers=brokers)
        self.brokers = {number: Broker(self, number) for number in (1, 2, 3)}

    def create(self, name: str = "orders", replicas: tuple[int, ...] = (1, 2, 3)) -> None:
        """Commit a new topic led by its first replica, and tell everybody."""
        nodes = tuple(NodeId(node) for node in replicas)
        topic_id = UUID(int=100 + len(self.image.topics))
        self._commit(TopicState(name, topic_id, (PartitionState(topic_id, nodes, nodes, nodes[0]),)))

    def change(self, name: str = "orders", **changes: Any) -> None:
        """Commit a change of a topic's only partition, and tell everybody."""
        topic = self.image.topics[name]
        state = topic.partitions[0]
        changed = replace(state, **{"partition_epoch": state.partition_epoch + 1, **changes})
        self._commit(replace(topic, partitions=(changed,)))

    def elect(self, leader: int, isr: tuple[int, ...]) -> None:
        epoch = self.image.topics["orders"].partitions[0].leader_epoch + 1
        self.change(leader=NodeId(leader), isr=tuple(NodeId(node) for node in isr), leader_epoch=epoch)

    def _commit(self, topic: TopicState) -> None:
        topics = {**self.image.topics, topic.name: topic}
        names = {**self.image.topic_names, topic.topic_id: topic.name}
        self.image = replace(self.image, offset=self.image.offset + 1, topics=topics, topic_names=names)
        for broker in self.brokers.values():
            if broker.process.runs:
                broker.process.spawn(broker.hear())

    async def call(self, method: str, request: AlterPartitionRequest, *, timeout_ms: int) -> AlterPartitionReply:
        """Commit what a leader asks for."""
        assert method == "AlterPartition"
        self.asked.append(AlterPartitionRequest.FromString(request.SerializeToString()))
        await asyncio.sleep(0.001)
        reply = AlterPartitionReply()
        if self.failures > 0:
            self.failures -= 1
            reply.status.error_code = ErrorCode.NOT_CONTROLLER
            return reply
        for row in request.partitions:
            name = self.image.topic_names[UUID(bytes=row.topic_id)]
            state = self.image.topics[name].partitions[0]
            if (row.leader_epoch, row.partition_epoch) != (state.leader_epoch, state.partition_epoch):
                reply.partitions.add(topic_id=row.topic_id, partition=0, error_code=ErrorCode.INVALID_UPDATE_VERSION)
                continue
            isr = tuple(NodeId(member.broker_id) for member in row.new_isr)
            self.change(name, isr=isr)
            reply.partitions.add(
                topic_id=row.topic_id,
                partition=0,
                leader_id=state.leader,
                leader_epoch=state.leader_epoch,
                isr=isr,
                partition_epoch=state.partition_epoch + 1,
            )
        return reply

    @property
    def isr(self) -> tuple[int, ...]:
        return self.image.topics["orders"].partitions[0].isr

    async def restart(self, number: int) -> None:
        self.brokers[number] = Broker(self, number)
        await self.brokers[number].started.wait()
        self.brokers[number].process.spawn(self.brokers[number].hear())

    async def produce(self, leader: int, value: str, topic: str = "orders", limit_s: float = 10) -> ErrorCode:
        """Append one record with acks=all and wait for the answer."""
        broker = self.brokers[leader]
        batch = build_batch([(None, value.encode(), ())], timestamp_ms=broker.world.clock.wall_ms())
        answered: asyncio.Future[ErrorCode] = asyncio.get_running_loop().create_future()

        async def append() -> None:
            clock = broker.world.clock
            partition = broker.partition(topic)
            outcome = partition.append(memoryview(batch), -1, clock.monotonic_ms(), clock.wall_ms())
            if outcome.error is not ErrorCode.NONE:
                answered.set_result(outcome.error)
                return
            partition.when_committed(outcome.required_offset, answered.set_result)
            if partition.flush_needed():
                await broker.shell.flush(partition)

        appending = broker.process.spawn(append())
        async with asyncio.timeout(limit_s):
            await appending
            return await answered


def simulate(
    test: Callable[[ShellCluster], Awaitable[None]], seed: int = 1, **properties: str
) -> SimulationResult[None]:
    """Run a test in a simulated cluster whose topic `orders` exists."""

    async def main(simulation: Simulation) -> None:
        lab = ShellCluster(simulation, {name.replace("_", "."): value for name, value in properties.items()})
        for broker in lab.brokers.values():
            await broker.started.wait()
        lab.create()
        await asyncio.sleep(0.3)
        await test(lab)

    return run_simulation(main, seed, virtual_time_limit_s=600, latency=Latency())
