"""Metadata records and the facts they stand for: the two directions, and nothing else.

Here: how a fact is written as a record and read back. Not here: which records follow from a request
(`cluster.controller`), or how a log of them adds up (`apply`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from cluster.base.ids import NodeId
from cluster.metadata.image import BrokerRegistration, Endpoint, PartitionState, QuotaEntity
from cluster.rpc import metadata_pb2 as pb


def partition_record(partition_id: int, partition: PartitionState) -> pb.MetadataRecord:
    """Write a whole partition."""
    return pb.MetadataRecord(
        partition=pb.PartitionRecord(
            topic_id=partition.topic_id.bytes,
            partition_id=partition_id,
            replicas=partition.replicas,
            isr=partition.isr,
            removing_replicas=partition.removing_replicas,
            adding_replicas=partition.adding_replicas,
            leader=partition.leader,
            leader_recovery_state=partition.leader_recovery_state,
            leader_epoch=partition.leader_epoch,
            partition_epoch=partition.partition_epoch,
            eligible_leader_replicas=partition.eligible_leader_replicas,
            last_known_elr=partition.last_known_elr,
        )
    )


def read_partition(record: pb.PartitionRecord) -> PartitionState:
    """Read a whole partition."""
    return PartitionState(
        topic_id=UUID(bytes=record.topic_id),
        replicas=_nodes(record.replicas),
        isr=_nodes(record.isr),
        leader=NodeId(record.leader),
        leader_epoch=record.leader_epoch,
        partition_epoch=record.partition_epoch,
        eligible_leader_replicas=_nodes(record.eligible_leader_replicas),
        last_known_elr=_nodes(record.last_known_elr),
        adding_replicas=_nodes(record.adding_replicas),
        removing_replicas=_nodes(record.removing_replicas),
        leader_recovery_state=record.leader_recovery_state,
    )


def merge_change(partition: PartitionState, change: pb.PartitionChangeRecord) -> PartitionState:
    """Return the partition after a change: every change raises the partition epoch, a leader the leader epoch too."""
    elects = change.HasField("leader")
    return PartitionState(
        topic_id=partition.topic_id,
        replicas=_changed(partition.replicas, change.replicas, change.HasField("replicas")),
        isr=_changed(partition.isr, change.isr, change.HasField("isr")),
        leader=NodeId(change.leader) if elects else partition.leader,
        leader_epoch=partition.leader_epoch + elects,
        partition_epoch=partition.partition_epoch + 1,
        eligible_leader_replicas=_changed(
            partition.eligible_leader_replicas,
            change.eligible_leader_replicas,
            change.HasField("eligible_leader_replicas"),
        ),
        last_known_elr=_changed(partition.last_known_elr, change.last_known_elr, change.HasField("last_known_elr")),
        adding_replicas=_changed(partition.adding_replicas, change.adding_replicas, change.HasField("adding_replicas")),
        removing_replicas=_changed(
            partition.removing_replicas, change.removing_replicas, change.HasField("removing_replicas")
        ),
        leader_recovery_state=change.leader_recovery_state
        if change.HasField("leader_recovery_state")
        else partition.leader_recovery_state,
    )


def broker_record(broker: BrokerRegistration) -> pb.MetadataRecord:
    """Write a registration."""
    return pb.MetadataRecord(
        register_broker=pb.RegisterBrokerRecord(
            broker_id=broker.broker_id,
            incarnation_id=broker.incarnation_id.bytes,
            broker_epoch=broker.broker_epoch,
            kafka=pb.Endpoint(host=broker.kafka.host, port=broker.kafka.port),
            rpc=pb.Endpoint(host=broker.rpc.host, port=broker.rpc.port),
            rack=broker.rack or "",
            fenced=broker.fenced,
            in_controlled_shutdown=broker.in_controlled_shutdown,
        )
    )


def read_broker(record: pb.RegisterBrokerRecord) -> BrokerRegistration:
    """Read a registration."""
    return BrokerRegistration(
        broker_id=NodeId(record.broker_id),
        incarnation_id=UUID(bytes=record.incarnation_id),
        broker_epoch=record.broker_epoch,
        kafka=Endpoint(record.kafka.host, record.kafka.port),
        rpc=Endpoint(record.rpc.host, record.rpc.port),
        rack=record.rack or None,
        fenced=record.fenced,
        in_controlled_shutdown=record.in_controlled_shutdown,
    )


def config_record(resource_type: int, resource_name: str, name: str, value: str | None) -> pb.MetadataRecord:
    """Write a config's new value; None takes it back to its default."""
    return pb.MetadataRecord(
        config=pb.ConfigRecord(resource_type=resource_type, resource_name=resource_name, name=name, value=value)
    )


def quota_entity(parts: Iterable[tuple[str, str | None]]) -> QuotaEntity:
    """Return whom a quota is for: the same entity whatever the order of its parts."""
    return tuple(sorted(parts, key=lambda part: part[0]))


def quota_record(entity: QuotaEntity, key: str, value: float | None) -> pb.MetadataRecord:
    """Write a quota's new value; None removes it."""
    parts = [pb.ClientQuotaEntity(type=type_, name=name) for type_, name in entity]
    record = pb.ClientQuotaRecord(entity=parts, key=key, value=value or 0, remove=value is None)
    return pb.MetadataRecord(client_quota=record)


def _changed(old: tuple[NodeId, ...], new: pb.Replicas, is_given: bool) -> tuple[NodeId, ...]:
    return _nodes(new.ids) if is_given else old


def _nodes(ids: Sequence[int]) -> tuple[NodeId, ...]:
    return tuple(NodeId(node) for node in ids)
