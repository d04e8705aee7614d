"""What a node asks of the world it runs in: the core's ports, channels to peers, and two listeners.

Here: the protocol. `cluster.runtime.live` and `cluster.runtime.sim` each implement it, and nothing else differs
between a node on a machine and a node in a simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import grpc.aio

from cluster.base.ids import NodeId
from cluster.base.ports import Clock, Disk, Rng, Tracer
from cluster.base.request_faults import RequestFaults


class RpcServer(Protocol):
    """A gRPC server that is listening."""

    async def stop(self, grace: float | None) -> None:
        """Refuse new calls, give running ones `grace` seconds, then cancel them."""


class World(Protocol):
    """The outside of one node."""

    clock: Clock
    disk: Disk
    rng: Rng
    tracer: Tracer
    request_faults: RequestFaults

    def channel(self, peer: NodeId, host: str, port: int) -> grpc.aio.Channel:
        """Open a channel to a peer; nothing is sent yet. The peer's id is what link faults go by."""

    async def serve_rpc(self, host: str, port: int, register: Callable[[grpc.aio.Server], None]) -> RpcServer:
        """Listen for peers. `register` adds the servicers. Raises OSError, naming the address, when it is taken."""

    async def listen(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> asyncio.AbstractServer:
        """Listen for Kafka clients. Raises OSError, naming the address, when it is taken."""
