"""What a node tells of itself to the command line and the lab. Reads only; faults are the live runtime's business."""

from __future__ import annotations

from typing import Protocol

import grpc.aio

from cluster.base.ids import NO_NODE, NodeId, TopicPartition
from cluster.metadata import MetadataImage, PartitionState
from cluster.node.config import NodeConfig
from cluster.replication import Partition, Replicas
from cluster.rpc import inspect_pb2, inspect_pb2_grpc


class Inspected(Protocol):
    """The parts of a node that are shown; a part that its roles do not include is None."""

    config: NodeConfig

    @property
    def image(self) -> MetadataImage:
        """The newest committed metadata that the node has applied."""

    @property
    def replicas(self) -> Replicas | None:
        """The partition replicas of a broker."""

    @property
    def active_controller(self) -> NodeId:
        """Who the node believes leads the quorum."""

    @property
    def controller_epoch(self) -> int:
        """Under which term."""

    @property
    def broker_epoch(self) -> int:
        """A broker's registration, -1 before there is one."""


class InspectService(inspect_pb2_grpc.InspectServicer):
    """Answers `Describe` from the node's own knowledge, which may be old: that is the point."""

    def __init__(self, node: Inspected) -> None:
        self._node = node

    async def Describe(
        self,
        request: inspect_pb2.DescribeRequest,
        context: grpc.aio.ServicerContext[inspect_pb2.DescribeRequest, inspect_pb2.DescribeReply],
    ) -> inspect_pb2.DescribeReply:
        """Tell who this node is, what it believes of the cluster, and what its replicas hold."""
        node, image = self._node, self._node.image
        registration = image.brokers.get(node.config.node_id)
        return inspect_pb2.DescribeReply(
            node_id=node.config.node_id,
            cluster_id=node.config.cluster_id,
            roles=node.config.roles,
            metadata_offset=image.offset,
            active_controller=node.active_controller,
            controller_epoch=node.controller_epoch,
            broker_epoch=node.broker_epoch,
            fenced=registration is None or registration.fenced,
            partitions=[_held(replica, image) for replica in node.replicas or ()],
            known=_known(image),
        )


def _held(replica: Partition, image: MetadataImage) -> inspect_pb2.ReplicaState:
    state = image.partition(replica.topic_partition)
    return inspect_pb2.ReplicaState(
        topic=replica.topic_partition.topic,
        partition=replica.topic_partition.partition,
        role=replica.role.name.lower(),
        leader=replica.leader,
        leader_epoch=replica.leader_epoch,
        partition_epoch=replica.partition_epoch,
        replicas=state.replicas if state else (),
        isr=replica.isr,
        elr=state.eligible_leader_replicas if state else (),
        log_start_offset=replica.log.log_start_offset,
        log_end_offset=replica.log.log_end_offset,
        high_watermark=replica.high_watermark,
    )


def _known(image: MetadataImage) -> list[inspect_pb2.ReplicaState]:
    return [
        _believed(TopicPartition(name, number), state)
        for name in sorted(image.topics)
        for number, state in enumerate(image.topics[name].partitions)
    ]


def _believed(partition: TopicPartition, state: PartitionState) -> inspect_pb2.ReplicaState:
    return inspect_pb2.ReplicaState(
        topic=partition.topic,
        partition=partition.partition,
        role="offline" if state.leader == NO_NODE else "known",
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        partition_epoch=state.partition_epoch,
        replicas=state.replicas,
        isr=state.isr,
        elr=state.eligible_leader_replicas,
        log_start_offset=-1,
        log_end_offset=-1,
        high_watermark=-1,
    )
