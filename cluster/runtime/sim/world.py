"""The world of one simulated node: the ports that `cluster.node.world` asks for.

Here: thin adapters from the World protocol to the simulated loop, network and disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import grpc.aio

from cluster.base.ids import NodeId
from cluster.base.ports import Clock, Disk, Rng, Tracer
from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.machines import Process
from cluster.runtime.sim.network import Network
from cluster.runtime.sim.patches import EPOCH_S
from cluster.runtime.sim.rpc_channel import SimChannel
from cluster.runtime.sim.rpc_server import SimRpcServer
from cluster.runtime.sim.tcp import listen


class SimClock:
    """Virtual time as nodes read it."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def monotonic_ms(self) -> int:
        """Milliseconds of the loop's clock."""
        return int(self._loop.now * 1000)

    def wall_ms(self) -> int:
        """Milliseconds since 1970; every run begins at the same moment."""
        return int((EPOCH_S + self._loop.time()) * 1000)


class SimWorld:
    """What one process of one machine sees of the world. A new process gets a new one over the same disk."""

    def __init__(self, network: Network, process: Process, tracer: Tracer, seed: int) -> None:
        self._network = network
        self._process = process
        self._seed = f"{seed}/node/{process.name}/{process.number}"
        self._channels_opened = 0
        faults = process.machine.faults
        self.clock: Clock = faults.attach_clock(SimClock(network.loop))
        self.disk: Disk = faults.attach_disk(process.machine.disk)
        self.request_faults = faults.requests
        self.rng: Rng = Random(self._seed)
        self.tracer = tracer

    def channel(self, peer: NodeId, host: str, port: int) -> grpc.aio.Channel:
        """Open a channel to a machine by its name; link rules go by that name."""
        self._channels_opened += 1
        rng = Random(f"{self._seed}/channel/{self._channels_opened}")
        return SimChannel(self._network, self._process, host, port, rng)

    async def serve_rpc(self, host: str, port: int, register: Callable[[grpc.aio.Server], None]) -> SimRpcServer:
        """Serve gRPC on a port of this machine. Raises OSError when it is taken."""
        server = SimRpcServer(self._network, self._process)
        register(server)
        server.listen(port)
        return server

    async def listen(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> asyncio.AbstractServer:
        """Listen for byte streams on a port of this machine. Raises OSError when it is taken."""
        return await listen(self._network, protocol_factory, port)
