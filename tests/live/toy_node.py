"""A node that is no cluster: it answers the lab and does nothing else. The processes around it are the real ones."""

from __future__ import annotations

import asyncio

import grpc.aio

from cluster.node.config import NodeConfig
from cluster.node.world import World
from cluster.rpc import inspect_pb2, inspect_pb2_grpc


class ToyNode(inspect_pb2_grpc.InspectServicer):
    """Says that it is ready as soon as it listens."""

    def __init__(self, config: NodeConfig, world: World) -> None:
        self._config = config
        self._world = world
        self._stop = asyncio.Event()

    def request_stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        config = self._config
        server = await self._world.serve_rpc(config.host, config.rpc_port, self._register)
        await self._stop.wait()
        await server.stop(None)

    async def Describe(self, _request: object, _context: object) -> inspect_pb2.DescribeReply:
        return inspect_pb2.DescribeReply(node_id=self._config.node_id, active_controller=1)

    def _register(self, server: grpc.aio.Server) -> None:
        inspect_pb2_grpc.add_InspectServicer_to_server(self, server)
