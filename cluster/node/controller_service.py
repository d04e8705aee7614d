"""The controller's RPCs: every request is answered by the active controller, or with the way to it.

Here: statuses, and the stream of metadata to those who follow it. Not here: what is decided (`cluster.controller`)
and when it counts (`active_controller`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.limits import METADATA_UPDATE_BYTES_MAX
from cluster.controller import (
    Decision,
    allocate_producer_ids,
    alter_client_quotas,
    alter_configs,
    alter_partition_reassignments,
    alter_partitions,
    create_partitions,
    create_topics,
    delete_topics,
    elect_leaders,
    update_features,
)
from cluster.controller import unregister_broker as forget_broker
from cluster.metadata import MetadataImage
from cluster.node.active_controller import ActiveController
from cluster.node.config import NodeConfig
from cluster.node.world import World
from cluster.raft import Entry
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb
from cluster.rpc.controller_pb2_grpc import ControllerServicer

_Reply = TypeVar("_Reply", bound="Any")  # one of the replies, which all have a status
_Context = Any  # nothing is asked of the RPC's context


class ControllerService(ControllerServicer):
    """The servicer. It answers on every voter; the passive ones only know who might be active."""

    def __init__(self, controller: ActiveController, config: NodeConfig, world: World, configs: Configs) -> None:
        self._controller = controller
        self._configs = configs
        self._world = world
        self._rng = world.rng
        self._voters = config.voters
        # Twice in the time after which a follower believes the controller to be gone.
        self._keep_alive_ms = configs.integer("controller.quorum.fetch.timeout.ms") // 2

    # --- brokers

    async def RegisterBroker(self, request: rpc.RegisterBrokerRequest, context: _Context) -> rpc.RegisterBrokerReply:
        """Register a broker."""
        return await self._answer(rpc.RegisterBrokerReply, self._controller.register(request))

    async def BrokerHeartbeat(self, request: rpc.BrokerHeartbeatRequest, context: _Context) -> rpc.BrokerHeartbeatReply:
        """Hear a broker."""
        return await self._answer(rpc.BrokerHeartbeatReply, self._controller.heartbeat(request))

    async def UnregisterBroker(self, request: rpc.UnregisterBrokerRequest, context: _Context) -> rpc.StatusReply:
        """Forget a broker."""
        return await self._decide(rpc.StatusReply, lambda image: forget_broker(image, self._configs, request))

    # --- partitions

    async def AlterPartition(self, request: rpc.AlterPartitionRequest, context: _Context) -> rpc.AlterPartitionReply:
        """Change ISRs."""
        return await self._decide(
            rpc.AlterPartitionReply, lambda image: alter_partitions(image, self._configs, request)
        )

    async def ElectLeaders(self, request: rpc.ElectLeadersRequest, context: _Context) -> rpc.ElectLeadersReply:
        """Hold elections on request."""
        return await self._decide(rpc.ElectLeadersReply, lambda image: elect_leaders(image, self._configs, request))

    async def AlterPartitionReassignments(
        self, request: rpc.AlterPartitionReassignmentsRequest, context: _Context
    ) -> rpc.AlterPartitionReassignmentsReply:
        """Move replicas to other brokers, or take such moves back."""
        return await self._decide(
            rpc.AlterPartitionReassignmentsReply,
            lambda image: alter_partition_reassignments(image, self._configs, request),
        )

    # --- topics and configs

    async def CreateTopics(self, request: rpc.CreateTopicsRequest, context: _Context) -> rpc.CreateTopicsReply:
        """Create topics."""
        return await self._decide(
            rpc.CreateTopicsReply, lambda image: create_topics(image, self._configs, request, self._rng)
        )

    async def DeleteTopics(self, request: rpc.DeleteTopicsRequest, context: _Context) -> rpc.DeleteTopicsReply:
        """Delete topics."""
        return await self._decide(rpc.DeleteTopicsReply, lambda image: delete_topics(image, request))

    async def CreatePartitions(
        self, request: rpc.CreatePartitionsRequest, context: _Context
    ) -> rpc.CreatePartitionsReply:
        """Add partitions."""
        return await self._decide(rpc.CreatePartitionsReply, lambda image: create_partitions(image, request, self._rng))

    async def IncrementalAlterConfigs(
        self, request: rpc.IncrementalAlterConfigsRequest, context: _Context
    ) -> rpc.IncrementalAlterConfigsReply:
        """Change configs."""
        return await self._decide(
            rpc.IncrementalAlterConfigsReply, lambda image: alter_configs(image, self._configs, request)
        )

    async def UpdateFeatures(self, request: rpc.UpdateFeaturesRequest, context: _Context) -> rpc.StatusReply:
        """Set the levels of features."""
        return await self._decide(rpc.StatusReply, lambda image: update_features(image, self._configs, request))

    async def AlterClientQuotas(
        self, request: rpc.AlterClientQuotasRequest, context: _Context
    ) -> rpc.AlterClientQuotasReply:
        """Set and remove client quotas."""
        return await self._decide(rpc.AlterClientQuotasReply, lambda image: alter_client_quotas(image, request))

    # --- the rest

    async def AllocateProducerIds(
        self, request: rpc.AllocateProducerIdsRequest, context: _Context
    ) -> rpc.AllocateProducerIdsReply:
        """Give out producer ids."""
        return await self._decide(rpc.AllocateProducerIdsReply, lambda image: allocate_producer_ids(image, request))

    async def DescribeQuorum(self, request: rpc.DescribeQuorumRequest, context: _Context) -> rpc.DescribeQuorumReply:
        """Tell how far voters and brokers are with the metadata log."""
        controller = self._controller
        if controller.term is None:
            return rpc.DescribeQuorumReply(status=self._not_controller())
        clock = self._world.clock
        start_ms = clock.wall_ms() - clock.monotonic_ms()  # what the monotonic clock counts from
        voters = [
            rpc.QuorumReplica(
                replica_id=voter.node_id,
                log_end_offset=voter.match_index + 1,
                last_fetch_timestamp_ms=start_ms + voter.last_contact_ms,
                last_caught_up_timestamp_ms=start_ms + voter.last_caught_up_ms,
            )
            for voter in controller.quorum.status()
        ]
        voter_ids = [voter.node_id for voter in self._voters]
        observers = [
            rpc.QuorumReplica(
                replica_id=broker_id,
                log_end_offset=session.metadata_offset + 1,
                last_fetch_timestamp_ms=start_ms + session.heard_ms,
                last_caught_up_timestamp_ms=start_ms + session.heard_ms,
            )
            for broker_id, session in controller.sessions.all()
            if broker_id not in voter_ids
        ]
        return rpc.DescribeQuorumReply(
            status=self._status(),
            high_watermark=controller.quorum.commit_index + 1,
            voters=voters,
            observers=observers,
            nodes=[
                rpc.QuorumNode(node_id=voter.node_id, rpc=pb.Endpoint(host=voter.host, port=voter.rpc_port))
                for voter in self._voters
            ],
        )

    async def FollowMetadata(
        self, request: rpc.FollowMetadataRequest, context: _Context
    ) -> AsyncIterator[rpc.MetadataUpdate]:
        """Send committed metadata from an offset on, for as long as this controller is active.

        An empty update goes out when nothing happens for a while, so that silence means a cut. The last update, when
        the controller is deposed, has the status NOT_CONTROLLER.
        """
        controller = self._controller
        term = controller.term
        next_offset = max(request.next_offset, 1)
        is_first = True
        while term is not None and controller.term == term:
            if next_offset <= controller.committed.offset:
                update = self._update_from(next_offset)
                next_offset = _next_offset(update)
                yield update
            elif is_first:
                yield self._update()  # tells a follower who has everything that it was heard
            is_first = False
            if next_offset > controller.committed.offset and controller.term == term:
                await controller.wait_for_progress(self._keep_alive_ms)
                if next_offset > controller.committed.offset and controller.term == term:
                    yield self._update()
        yield rpc.MetadataUpdate(status=self._not_controller())

    def _update_from(self, next_offset: int) -> rpc.MetadataUpdate:
        """Return the entries from an offset on, or the snapshot when the log no longer goes back so far."""
        committed = self._controller.committed
        entries = self._controller.quorum.entries(next_offset, METADATA_UPDATE_BYTES_MAX)
        if entries:
            return self._update([_entry(entry) for entry in entries if entry.index <= committed.offset])
        snapshot = self._controller.quorum.snapshot()
        assert snapshot is not None, "a log is compacted only after a snapshot"
        update = self._update()
        update.snapshot = snapshot.data
        update.snapshot_offset = snapshot.last_index
        update.snapshot_epoch = snapshot.last_term
        return update

    def _update(self, entries: list[rpc.MetadataEntry] | None = None) -> rpc.MetadataUpdate:
        return rpc.MetadataUpdate(
            status=self._status(), entries=entries, high_watermark=self._controller.committed.offset
        )

    # --- statuses

    async def _decide(
        self, reply_type: Callable[..., _Reply], make: Callable[[MetadataImage], Decision[_Reply]]
    ) -> _Reply:
        return await self._answer(reply_type, self._controller.decide(make))

    async def _answer(self, reply_type: Callable[..., _Reply], answer: Awaitable[_Reply]) -> _Reply:
        """Give a reply its status: an error that the request caused becomes one, too."""
        try:
            reply = await answer
        except KafkaError as error:
            if error.code is ErrorCode.NOT_CONTROLLER:
                return reply_type(status=self._not_controller())
            return reply_type(status=self._status(error.code, error.message))
        reply.status.CopyFrom(self._status())
        return reply

    def _status(self, error: ErrorCode = ErrorCode.NONE, message: str = "") -> rpc.Status:
        return rpc.Status(
            error_code=error,
            error_message=message,
            leader_id=self._controller.node_id,
            controller_epoch=self._controller.quorum.term,
        )

    def _not_controller(self) -> rpc.Status:
        quorum = self._controller.quorum
        return rpc.Status(
            error_code=ErrorCode.NOT_CONTROLLER,
            error_message=f"node {self._controller.node_id} is not the active controller",
            leader_id=quorum.leader_id,
            controller_epoch=quorum.term,
        )


def _entry(entry: Entry) -> rpc.MetadataEntry:
    return rpc.MetadataEntry(offset=entry.index, epoch=entry.term, batch=entry.data)


def _next_offset(update: rpc.MetadataUpdate) -> int:
    last = update.entries[-1].offset if update.entries else update.snapshot_offset
    return last + 1
