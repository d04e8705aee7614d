"""The broker half of a node: it follows the metadata, holds replicas, serves Kafka clients.

Here: how these are put together, and in which order they start and stop. Not here: what each of them does.
"""

from __future__ import annotations

import asyncio

import grpc.aio

from cluster.base.configs import Configs
from cluster.broker import BrokerContext, KafkaListener
from cluster.metadata import MetadataDelta
from cluster.node.broker_lifecycle import BrokerLifecycle
from cluster.node.config import NodeConfig
from cluster.node.controller_client import ControllerClient
from cluster.node.metadata_follower import MetadataFollower
from cluster.node.peer_client import PeerClient
from cluster.node.replication_shell import ReplicationShell
from cluster.node.sharing_service import SharingService
from cluster.node.transaction_service import TransactionService
from cluster.node.world import World
from cluster.replication import Replicas
from cluster.rpc.replication_pb2_grpc import add_ReplicationServicer_to_server
from cluster.rpc.sharing_pb2_grpc import ShareStatesStub, add_ShareStatesServicer_to_server
from cluster.rpc.transactions_pb2_grpc import TransactionsStub, add_TransactionsServicer_to_server


class BrokerRole:
    """Everything that `process.roles=broker` adds to a node."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs) -> None:
        self._config = config
        self.client = ControllerClient(config, world, configs)
        self.follower = MetadataFollower(config, world, configs, self.client)
        self.lifecycle = BrokerLifecycle(config, world, configs, self.client, self.follower)
        self.replicas = Replicas(config.node_id, world.disk, configs, world.tracer)
        self._replication = ReplicationShell(
            config, world, configs, self.replicas, self.client, broker_epoch=lambda: self.lifecycle.broker_epoch
        )
        self._peers = PeerClient(config.node_id, world, lambda: self.follower.image)
        self._context = BrokerContext(
            node_id=config.node_id,
            cluster_id=config.cluster_id,
            configs=configs,
            world=world,
            replicas=self.replicas,
            image=lambda: self.follower.image,
            controller=self.client,
            active_controller=lambda: self.follower.active_controller,
            broker_epoch=lambda: self.lifecycle.broker_epoch,
            may_have_replaced_us=self.lifecycle.may_be_replaced,
            heard_again=self.lifecycle.heard_again,
            flush=self._replication.flush,
            request_faults=world.request_faults,
            peers=self._peers,
        )
        self._transactions = TransactionService(self._context)
        self._peers.know(TransactionsStub, self._transactions, ("WriteMarkers", "AddPartitions"))
        self._sharing = SharingService(self._context)
        self._peers.know(ShareStatesStub, self._sharing, ("ReadState", "WriteState", "BeginState", "DeleteState"))
        self._listener = KafkaListener(self._context)
        self.follower.listen(self._on_delta)
        self._hands_over = configs.flag("controlled.shutdown.enable")
        self._running: asyncio.Task[None] | None = None

    def register(self, server: grpc.aio.Server) -> None:
        """Add the services of this half to the node's gRPC server."""
        add_ReplicationServicer_to_server(self._replication.servicer, server)
        add_TransactionsServicer_to_server(self._transactions, server)
        add_ShareStatesServicer_to_server(self._sharing, server)

    async def run(self) -> None:
        """Serve until the controller lets this broker go, or until cancelled."""
        self._running = asyncio.current_task()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.follower.run(), name="metadata-follower")
            replicating = tasks.create_task(self._replication.run(), name="replication")
            # Clients come only when this broker has heard what the cluster is like: before, it knows no topic.
            await self.follower.when(lambda image: image.offset > 0)
            await self._listener.start(self._config.host, self._config.kafka_port)
            await self.lifecycle.run()
            following.cancel()
            replicating.cancel()

    async def stop(self) -> None:
        """Hand over what this broker leads, then end: clients first, logs last. `run` has ended then.

        With `controlled.shutdown.enable=false` nothing is handed over: the controller hears of it by the silence.
        """
        if not self._hands_over:
            self.lifecycle.hurry()
        await self.lifecycle.controlled_shutdown()
        await self._listener.stop()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        if await self._replication.close():
            self.lifecycle.mark_clean_shutdown()
        await self._peers.close()
        await self.client.close()

    def hurry(self) -> None:
        """Wait no longer for somebody to take over."""
        self.lifecycle.hurry()

    def _on_delta(self, delta: MetadataDelta) -> None:
        self._replication.on_delta(delta)
        self._context.image_changed()
