"""The controller half of a node: one voter of the metadata quorum and the controller that stands on it."""

from __future__ import annotations

import asyncio

import grpc.aio

from cluster.base.configs import Configs
from cluster.node.active_controller import ActiveController
from cluster.node.config import NodeConfig
from cluster.node.controller_service import ControllerService
from cluster.node.quorum import Quorum
from cluster.node.world import World
from cluster.rpc.controller_pb2_grpc import add_ControllerServicer_to_server
from cluster.rpc.raft_pb2_grpc import add_RaftServicer_to_server


class ControllerRole:
    """Everything that `process.roles=controller` adds to a node."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs) -> None:
        self.controller = ActiveController(config, world, configs)
        self.quorum = Quorum(config, world, configs, self.controller)
        self.controller.attach(self.quorum)
        self._service = ControllerService(self.controller, config, world, configs)
        self._hurry = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Add the services of this half to the node's gRPC server."""
        add_RaftServicer_to_server(self.quorum.servicer, server)
        add_ControllerServicer_to_server(self._service, server)

    async def run(self) -> None:
        """Take part in the quorum until cancelled."""
        await self.quorum.run()

    async def stop(self) -> None:
        """Let another voter lead before this one goes."""
        handing_over = asyncio.create_task(self.quorum.transfer_leadership())
        hurrying = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait((handing_over, hurrying), return_when=asyncio.FIRST_COMPLETED)
        finally:
            handing_over.cancel()
            hurrying.cancel()

    def hurry(self) -> None:
        """Wait no longer for another voter to take over."""
        self._hurry.set()
