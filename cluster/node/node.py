"""One node: its roles assembled, started in order, and stopped in good order.

Here: boot and shutdown. Not here: what a role does (`controller_role`, `broker_role`), and the world it runs in.
A node that is killed simply stops existing; everything it needs to come back is on its disk.
"""

from __future__ import annotations

import asyncio
import logging

import grpc.aio

from cluster.base.ids import NO_EPOCH, NO_NODE, NodeId
from cluster.base.trace import NodeStarted, NodeStopped
from cluster.metadata import MetadataImage
from cluster.node.broker_role import BrokerRole
from cluster.node.config import NodeConfig
from cluster.node.controller_role import ControllerRole
from cluster.node.inspect_service import InspectService
from cluster.node.world import World
from cluster.replication import Replicas
from cluster.rpc.inspect_pb2_grpc import add_InspectServicer_to_server
from cluster.storage import check_identity

_log = logging.getLogger(__name__)

_RPC_GRACE_SECONDS = 0.2
"""How long calls of peers may go on when a node stops: they are retried elsewhere anyway."""


class Node:
    """A broker, a controller, or both (combined mode)."""

    def __init__(self, config: NodeConfig, world: World) -> None:
        """Read what is on the disk. Raises KafkaError when it is damaged, another node's, or the config is wrong."""
        configs = config.configs()
        check_identity(world.disk, config.cluster_id, config.node_id)
        self.config = config
        self._world = world
        self.controller_role = ControllerRole(config, world, configs) if config.is_controller else None
        self.broker_role = BrokerRole(config, world, configs) if config.is_broker else None
        self._stop_requested = asyncio.Event()
        self._is_in_a_hurry = False

    async def run(self) -> None:
        """Serve until a stop is requested, then leave in good order.

        Raises OSError when an address is taken, and whatever makes it impossible to go on (a failing disk of a voter).
        """
        if self._world.tracer.enabled:
            self._world.tracer.emit(NodeStarted(self.config.node_id, self.config.roles))
        server = await self._world.serve_rpc(self.config.host, self.config.rpc_port, self._register)
        try:
            async with asyncio.TaskGroup() as tasks:
                roles = [tasks.create_task(role.run(), name=type(role).__name__) for role in self._roles]
                await self._stop_requested.wait()
                await self._stop_roles()
                for role in roles:
                    role.cancel()
        finally:
            await server.stop(None if self._is_in_a_hurry else _RPC_GRACE_SECONDS)
        if self._world.tracer.enabled:
            self._world.tracer.emit(NodeStopped())

    def request_stop(self) -> None:
        """Ask the node to stop; `run` returns when it has.

        Asked again, it no longer waits for others to take over what it leads, which they cannot when all of them are
        being stopped. Its logs are closed in good order all the same.
        """
        if self._stop_requested.is_set():
            self._is_in_a_hurry = True
            for role in self._roles:
                role.hurry()
        self._stop_requested.set()

    # --- what is shown of it ----------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a broker has been unfenced, or a controller knows who leads."""
        if self.broker_role is not None:
            return self.broker_role.lifecycle.ready.is_set()
        return self.active_controller != NO_NODE

    @property
    def replicas(self) -> Replicas | None:
        """The partition replicas of a broker; None on a controller."""
        return self.broker_role.replicas if self.broker_role is not None else None

    @property
    def image(self) -> MetadataImage:
        """The newest committed metadata that this node has applied."""
        if self.broker_role is not None:
            return self.broker_role.follower.image
        assert self.controller_role is not None, "a node has at least one role"
        return self.controller_role.controller.committed

    @property
    def active_controller(self) -> NodeId:
        """Who leads the quorum, as this node believes; NO_NODE when it does not know."""
        if self.controller_role is not None:
            return self.controller_role.quorum.leader_id
        assert self.broker_role is not None, "a node has at least one role"
        return self.broker_role.follower.active_controller

    @property
    def controller_epoch(self) -> int:
        """The term of the newest metadata that this node knows."""
        return self.controller_role.quorum.term if self.controller_role is not None else self.image.epoch

    @property
    def broker_epoch(self) -> int:
        """The epoch of a broker's registration; NO_EPOCH before there is one."""
        return self.broker_role.lifecycle.broker_epoch if self.broker_role is not None else NO_EPOCH

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _roles(self) -> tuple[ControllerRole | BrokerRole, ...]:
        return tuple(role for role in (self.controller_role, self.broker_role) if role is not None)

    def _register(self, server: grpc.aio.Server) -> None:
        add_InspectServicer_to_server(InspectService(self), server)
        for role in self._roles:
            role.register(server)

    async def _stop_roles(self) -> None:
        """The broker first: its hand-over needs a controller, which may be in this very process."""
        _log.info("stopping %s", self.config.name)
        for role in reversed(self._roles):
            await role.stop()
