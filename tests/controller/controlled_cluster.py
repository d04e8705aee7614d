"""Controllers and bare brokers in the simulation: no replicas and no clients, only what the controller is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cluster.base.configs import Configs
from cluster.base.ids import NodeId
from cluster.metadata import MetadataDelta, MetadataImage
from cluster.node.broker_lifecycle import BrokerLifecycle
from cluster.node.config import NodeConfig, Voter
from cluster.node.controller_client import ControllerClient
from cluster.node.controller_role import ControllerRole
from cluster.node.metadata_follower import MetadataFollower
from cluster.node.world import World
from cluster.rpc import controller_pb2 as rpc
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Process, Simulation

CLUSTER_ID = "controlled"
PORT = 9000


class BareBroker:
    """A broker's dealings with the controller."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs) -> None:
        self.client = ControllerClient(config, world, configs)
        self.follower = MetadataFollower(config, world, configs, self.client, self._check)
        self.lifecycle = BrokerLifecycle(config, world, configs, self.client, self.follower)
        self.deltas: list[MetadataDelta] = []

    def _check(self, delta: MetadataDelta) -> None:
        """Deltas join without gaps."""
        before = self.deltas[-1].image_after if self.deltas else None
        assert before is None or delta.image_before is before
        self.deltas.append(delta)

    async def run(self) -> None:
        following = asyncio.create_task(self.follower.run())
        try:
            await self.lifecycle.run()
        finally:
            following.cancel()
            await self.client.close()


class ControlledCluster:
    """A quorum c1.. and brokers b1.., each a process on a machine of its own."""

    def __init__(self, simulation: Simulation, controllers: int = 3, brokers: int = 3, **properties: str) -> None:
        self.simulation = simulation
        self.properties = {name.replace("_", "."): value for name, value in properties.items()}
        self.voters = tuple(Voter(NodeId(100 + n), f"c{n}", PORT) for n in range(1, controllers + 1))
        self.controllers: dict[str, ControllerRole] = {}
        self.brokers: dict[str, BareBroker] = {}
        for voter in self.voters:
            self.start(voter.host)
        self._broker_names = tuple(f"b{number}" for number in range(1, brokers + 1))
        for name in self._broker_names:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a node, or start it again."""
        self.controllers.pop(name, None)
        self.brokers.pop(name, None)
        config = NodeConfig(
            cluster_id=CLUSTER_ID,
            node_id=NodeId(int(name[1:]) + (100 if name[0] == "c" else 0)),
            name=name,
            is_broker=name[0] == "b",
            is_controller=name[0] == "c",
            host=name,
            rpc_port=PORT,
            voters=self.voters,
            profile="fast",
            properties=self.properties,
        )
        main = self._run_broker if config.is_broker else self._run_controller
        self.simulation.run_process(name, lambda process: main(config, process), is_critical=True)

    async def _run_controller(self, config: NodeConfig, process: Process) -> None:
        world = self.simulation.world(process)
        role = ControllerRole(config, world, config.configs())
        self.controllers[config.name] = role
        await world.serve_rpc(config.host, config.rpc_port, role.register)
        await role.run()

    async def _run_broker(self, config: NodeConfig, process: Process) -> None:
        broker = BareBroker(config, self.simulation.world(process), config.configs())
        self.brokers[config.name] = broker
        await broker.run()

    def kill(self, name: str) -> None:
        """SIGKILL a node."""
        self.simulation.machine(name).kill()
        self.controllers.pop(name, None)
        self.brokers.pop(name, None)

    def isolate(self, name: str) -> None:
        """Cut a node from all others, silently."""
        others = [other for other in (*self.controllers, *self.brokers) if other != name]
        rules = [LinkRule(name, other, cut=True) for other in others]
        rules += [LinkRule(other, name, cut=True) for other in others]
        self.simulation.network.set_rules(f"isolate {name}", rules)

    def heal(self, name: str) -> None:
        """Undo an isolation."""
        self.simulation.network.clear_rules(f"isolate {name}")

    @property
    def active(self) -> str:
        """The active controller of the highest term; there may be an older one that does not know yet."""
        active = [(role.controller.term, name) for name, role in self.controllers.items() if role.controller.term]
        return max(active)[1] if active else ""

    async def until(self, holds: Callable[[], bool], limit_s: float = 20.0) -> None:
        """Wait in virtual time; fail when it does not come true."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        while not holds():
            assert loop.time() < deadline_s, f"not within {limit_s} s"
            await asyncio.sleep(0.01)

    async def until_ready(self, *names: str) -> None:
        """Wait until these brokers (or all) were let in, and a controller is active."""
        wanted = names or self._broker_names
        await self.until(
            lambda: all(name in self.brokers and self.brokers[name].lifecycle.ready.is_set() for name in wanted)
        )

    def image(self) -> MetadataImage:
        """What the active controller has committed."""
        return self.controllers[self.active].controller.committed

    def client(self, name: str) -> ControllerClient:
        """A client of its own, on a machine of its own."""
        process = self.simulation.machine(name).process or self.simulation.machine(name).start()
        config = NodeConfig(CLUSTER_ID, NodeId(999), name, True, False, name, PORT, self.voters, profile="fast")
        return ControllerClient(config, self.simulation.world(process), config.configs())


def new_topic(name: str, factor: int = 3, partitions: int = 1) -> rpc.CreateTopicsRequest:
    """A request for one topic."""
    return rpc.CreateTopicsRequest(topics=[rpc.NewTopic(name=name, partitions=partitions, replication_factor=factor)])
