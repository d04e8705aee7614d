"""A cluster in the simulation: every node on a machine of its own, every client too.

Here: the Target protocol over `cluster.runtime.sim`. Machines are called as their nodes are, and that is their host
name; all brokers listen on Kafka's 9092, all nodes on 9093 for peers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import grpc.aio

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.trace import NodeFaulted, NodeReady, NodeStarted, PartitionMetadataApplied, Traced, TraceEvent
from cluster.lab.damage import NodeFiles
from cluster.lab.errors import LabError
from cluster.lab.stored_batches import read_batches
from cluster.lab.target import LAB, ClusterSpec, NodeAddress, StoredReplica, TopicSpec, layout
from cluster.lab.topic_calls import create_topics_request, raise_unless_passing
from cluster.node.config import NodeConfig
from cluster.node.world import World
from cluster.rpc import controller_pb2
from cluster.rpc.controller_pb2_grpc import ControllerStub
from cluster.runtime.links import LinkRule
from cluster.runtime.node_rules import NodeRule
from cluster.runtime.sim import Latency, Machine, Process, ProcessState, Simulation

KAFKA_PORT = 9092
RPC_PORT = 9093
CLUSTER_ID = "SimulatedClusterAAAAAA"

_START_S = 120.0
_RETRY_S = 0.02
_CALL_S = 2.0
_STOP_S = 90.0
"""How long a node may take to stop in good order before it is killed; Kafka's controlled shutdown gives up sooner."""

_CLIENT_STOP_S = 30.0
"""How long a client may take to end; some never do, when the group's coordinator died at a bad moment."""


class RunningNode(Protocol):
    """What the target needs of a node."""

    async def run(self) -> None:
        """Serve until asked to stop."""

    def request_stop(self) -> None:
        """Ask it to stop in good order."""


NodeFactory = Callable[[NodeConfig, World], RunningNode]


def latency_of(spec: ClusterSpec) -> Latency | None:
    """Return what `run_simulation` is to be given for a cluster's links; None for its default."""
    if not spec.latency_ms and not spec.jitter_ms:
        return None
    return Latency(spec.latency_ms / 1000, spec.jitter_ms / 1000)


class SimClient:
    """A client with a machine of its own."""

    def __init__(self, name: str, machine: Machine, process: Process) -> None:
        self.name = name
        self._machine = machine
        self._process = process
        assert process.main is not None
        self._main: asyncio.Task[Any] = process.main

    @property
    def done(self) -> bool:
        """Whether its main coroutine has ended, or its machine was killed."""
        return self._machine.process is not self._process

    async def stop(self) -> None:
        """Cancel it and wait for its end; what it raised of its own is raised here. One that hangs is killed."""
        if not self.done:
            self._main.cancel()
            await asyncio.wait([self._main], timeout=_CLIENT_STOP_S)
        if not self.done:
            self._machine.kill()
        self._raise_error()

    async def wait(self) -> None:
        """Wait until its main coroutine has returned or it was killed; what it raised is raised here."""
        while not self.done:
            await asyncio.wait([self._main], timeout=1.0)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._main.done() and not self._main.cancelled():
            error = self._main.exception()
            if error is not None:
                raise error


class SimTarget:
    """The cluster of one run. Use it from the run's main coroutine."""

    kind = "sim"

    def __init__(self, simulation: Simulation, spec: ClusterSpec, node_factory: NodeFactory | None = None) -> None:
        spec.check()
        self.spec = spec
        self.node_names: tuple[str, ...] = spec.node_names
        self.node_ids: Mapping[str, NodeId] = spec.node_ids
        brokers = [broker.name for broker in spec.brokers]
        self.bootstrap = ",".join(f"{name}:{KAFKA_PORT}" for name in brokers if name in spec.first_names)
        addresses = {
            name: NodeAddress(name, RPC_PORT, KAFKA_PORT if name in brokers else 0) for name in spec.node_names
        }
        self._simulation = simulation
        simulation.writeback_ms = spec.storage_writeback_ms
        self._configs = {config.name: config for config in layout(spec, addresses, CLUSTER_ID)}
        self._node_factory = node_factory or _new_node
        self._nodes: dict[str, RunningNode] = {}
        self._clients: list[SimClient] = []
        self._node_rules: dict[str, tuple[NodeRule, ...]] = {}
        self._ready: dict[str, bool] = {}
        self._isr_sizes: dict[TopicPartition, tuple[int, int]] = {}  # metadata offset, members
        self._is_closed = False
        self._has_started = False
        self._changed = asyncio.Event()
        simulation.subscribe(self._on_event)
        simulation.on_crash = lambda name: self._faulted(name, "killed")

    # --- the cluster's life ---

    async def start(self) -> None:
        """Start all nodes and topics; return when every ISR is full. Raises LabError when that takes too long."""
        for name in self.spec.first_names:
            self._boot(name)
        try:
            async with asyncio.timeout(_START_S):
                await self._until(lambda: not self._unready())
                if self.spec.topics:
                    await self._create_topics(self.spec.topics)
                await self._until(lambda: all(self._is_full(topic) for topic in self.spec.topics))
                self._has_started = True
        except TimeoutError:
            waiting = self._unready()
            what = f"{', '.join(waiting)} did not become ready" if waiting else "the topics' replicas are not in sync"
            raise LabError(f"After {_START_S:g} virtual s {what}.", "The run's trace shows what they did.") from None

    async def close(self) -> None:
        """Heal every link and end every process; nothing outlives the run anyway."""
        if self._is_closed:
            return
        self._is_closed = True
        self._simulation.network.clear_all_rules()
        for client in self._clients:
            if not client.done:
                self._simulation.machine(client.name).kill()
        for name in self.node_names:
            machine = self._simulation.machine(name)
            if machine.is_alive:
                machine.kill()

    def now_us(self) -> int:
        """Microseconds of virtual time since the run began."""
        return self._simulation.now_us()

    # --- machines ---

    def is_running(self, name: str) -> bool:
        """Whether a node has a process, paused or not."""
        return self._simulation.machine(name).is_alive

    async def kill(self, name: str) -> None:
        """End the process of a node or client at once: what it wrote stays in the page cache."""
        self._must_run(name).kill()
        self._faulted(name, "killed")

    async def stop(self, name: str) -> None:
        """Stop a node in good order and wait for its end; by force when that takes too long."""
        machine = self._must_run(name)
        process = machine.process
        assert process is not None
        if process.state is ProcessState.PAUSED:
            raise LabError(f"{name} is paused and cannot stop in good order.", "Resume it first, or kill it.")
        self._simulation.loop.call_soon(self._nodes[name].request_stop, context=process.context)
        deadline_s = self._simulation.loop.time() + _STOP_S
        while machine.process is process and self._simulation.loop.time() < deadline_s:
            assert process.main is not None
            await asyncio.wait([process.main], timeout=0.1)
        if machine.process is process:
            machine.kill()
        self._faulted(name, "stopped")

    async def start_node(self, name: str) -> None:
        """Start a node that is not running, on the disk it had."""
        if self._simulation.machine(name).is_alive:
            raise LabError(f"{name} is running.", "Only a node that was killed, stopped or powered off can be started.")
        self._boot(name)
        self._faulted(name, "started")

    async def pause(self, name: str) -> None:
        """Freeze a node or client: its kernel goes on receiving, nothing answers."""
        process = self._must_run(name).process
        assert process is not None
        if process.state is ProcessState.PAUSED:
            raise LabError(f"{name} is paused already.", "Resume it first.")
        process.pause()
        self._faulted(name, "paused")

    async def resume(self, name: str) -> None:
        """Let a paused node or client go on."""
        process = self._simulation.machine(name).process
        if process is None or process.state is not ProcessState.PAUSED:
            raise LabError(f"{name} is not paused.", "Only what was paused can be resumed.")
        process.resume()
        self._faulted(name, "resumed")

    async def power_off(self, name: str) -> None:
        """Take its power: peers see silence, and it keeps only what it synced or wrote long ago."""
        self._simulation.machine(name).power_off()
        self._faulted(name, "powered-off")

    def _must_run(self, name: str) -> Machine:
        machine = self._simulation.machine(name)
        if not machine.is_alive:
            raise LabError(f"{name} is not running.", "Start it first.")
        return machine

    def _boot(self, name: str) -> None:
        async def run(process: Process) -> None:
            node = self._node_factory(self._configs[name], self._simulation.world(process))
            self._nodes[name] = node
            await node.run()

        self._simulation.run_process(name, run)

    def _faulted(self, name: str, state: str) -> None:
        self._simulation.emit(LAB, NodeFaulted(name, state))

    async def crash(self, name: str) -> None:
        """End the process at once; the machine's disk knows what was synced."""
        await self.kill(name)

    def is_paused(self, name: str) -> bool:
        """Whether a node is frozen."""
        process = self._simulation.machine(name).process
        return process is not None and process.state is ProcessState.PAUSED

    def files(self, name: str) -> NodeFiles:
        """Return a node's files, for damage to be done to them."""
        machine = self._simulation.machine(name)
        machine.faults.has_damage = True  # who asks for them does damage
        return machine.disk

    # --- rules ---

    async def set_node_rules(self, rule_id: str, rules: Sequence[NodeRule]) -> None:
        """Put rules about disks, clocks and requests in force under one name, replacing what had that name."""
        self._node_rules[rule_id] = tuple(rules)
        self._apply_node_rules()

    async def clear_node_rules(self, rule_id: str) -> None:
        """Take the node rules of that name back."""
        self._node_rules.pop(rule_id, None)
        self._apply_node_rules()

    def _apply_node_rules(self) -> None:
        for name in self.node_names:
            mine = [rule for rules in self._node_rules.values() for rule in rules if rule.node == name]
            self._simulation.machine(name).faults.replace(mine)

    async def set_link_rule(self, rule_id: str, rules: Sequence[LinkRule]) -> None:
        """Put rules in force under one name, replacing what had that name."""
        self._simulation.network.set_rules(rule_id, rules)

    async def clear_link_rule(self, rule_id: str) -> None:
        """Take the rules of that name back; messages that were held are delivered."""
        self._simulation.network.clear_rules(rule_id)

    # --- clients and the trace ---

    def spawn_client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> SimClient:
        """Run a client on a machine of its own, so that its links can be cut and it can be killed."""
        process = self._simulation.run_process(name, lambda _: main(), is_critical=False)
        client = SimClient(name, self._simulation.machine(name), process)
        self._clients.append(client)
        return client

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every trace event, as it happens."""
        self._simulation.subscribe(on_event)

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event of a client or of the lab into the trace, now."""
        self._simulation.emit(node, event)

    async def read_replica(self, name: str, topic_partition: TopicPartition) -> StoredReplica:
        """Read a replica straight from the machine's disk."""
        return read_batches(self._simulation.machine(name).disk, topic_partition)

    async def settle(self) -> None:
        """Return at once: subscribers are told as things happen."""

    # --- topics ---

    def _on_event(self, traced: Traced) -> None:
        event = traced.event
        if self._has_started:
            return
        self._changed.set()
        if isinstance(event, PartitionMetadataApplied):
            name = TopicPartition(event.topic, event.partition)
            offset, _ = self._isr_sizes.get(name, (-1, 0))
            if event.metadata_offset >= offset:
                self._isr_sizes[name] = event.metadata_offset, len(event.isr) if event.leader >= 0 else 0
        elif isinstance(event, NodeReady | NodeStarted):
            self._ready[traced.node] = isinstance(event, NodeReady)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    def _unready(self) -> list[str]:
        brokers = [broker.name for broker in self.spec.brokers if not broker.joins_later]
        return [name for name in brokers if not self._ready.get(name, False)]

    def _is_full(self, topic: TopicSpec) -> bool:
        names = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        return all(self._isr_sizes.get(name, (-1, 0))[1] == topic.replication_factor for name in names)

    async def _create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Ask one controller after the other until the active one answers. Raises LabError when it refuses."""
        request = create_topics_request(topics)
        lab = self._simulation.machine(LAB).process
        assert lab is not None
        world = self._simulation.world(lab)
        stubs = [ControllerStub(world.channel(self.node_ids[name], name, RPC_PORT)) for name in self.spec.controllers]
        while True:
            for stub in stubs:
                try:
                    reply = await stub.CreateTopics(request, timeout=_CALL_S)
                except grpc.aio.AioRpcError:
                    continue
                if reply.status.error_code == ErrorCode.NONE:
                    _raise_refusals(reply.topics)
                    return
                raise_unless_passing(reply.status)
            await asyncio.sleep(_RETRY_S)


def _raise_refusals(results: Sequence[controller_pb2.TopicResult]) -> None:
    for result in results:
        # An earlier request whose answer was lost may have created it.
        if result.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
            why = result.error_message or ErrorCode(result.error_code).name
            raise LabError(f"{result.name}: {why}.", "Change the topic.")


def _new_node(config: NodeConfig, world: World) -> RunningNode:
    from cluster.node.node import Node  # here, so that a run of other nodes does not load all of a broker

    return Node(config, world)
