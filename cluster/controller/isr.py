"""AlterPartition: a leader proposes another ISR, and is believed only if it speaks for the present.

Two epochs guard the change. The leader epoch says that the sender still leads; the partition epoch that nothing
else changed since it looked. Both are compared for equality, so of two proposals made from one state only one is
accepted. Each proposed member carries its broker epoch, so that a follower which was restarted in between, maybe
with less data, is not taken for the process that had caught up (KIP-903).

Here: Kafka's checks, in its order (`ReplicationControlManager.validateAlterPartitionData`).
"""

from __future__ import annotations

from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.controller.brokers import check_broker_epoch
from cluster.controller.decision import Decision
from cluster.controller.leadership import rules_for
from cluster.controller.partition_change import ChangeRules, change_partition
from cluster.metadata import RECOVERED, RECOVERING, MetadataImage, PartitionState, merge_change
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb


def alter_partitions(
    image: MetadataImage, configs: Configs, request: rpc.AlterPartitionRequest
) -> Decision[rpc.AlterPartitionReply]:
    """Change ISRs as their leader asks. Raises KafkaError(STALE_BROKER_EPOCH) for an earlier process of the sender."""
    check_broker_epoch(image, request.broker_id, request.broker_epoch)
    records: list[pb.MetadataRecord] = []
    results = []
    seen: list[tuple[bytes, int]] = []
    for wanted in request.partitions:
        topic = image.topic_by_id(UUID(bytes=wanted.topic_id)) if len(wanted.topic_id) == 16 else None
        key = (wanted.topic_id, wanted.partition)
        if topic is None:
            results.append(_refused(wanted, ErrorCode.UNKNOWN_TOPIC_ID))
        elif not 0 <= wanted.partition < len(topic.partitions):
            results.append(_refused(wanted, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        elif key in seen:  # a second change in one request cannot know the partition epoch of the first
            results.append(_refused(wanted, ErrorCode.INVALID_REQUEST))
        else:
            seen.append(key)
            partition = topic.partitions[wanted.partition]
            error = check_proposal(image, partition, wanted, NodeId(request.broker_id))
            if error is ErrorCode.NONE:
                record, result = _alter(partition, wanted, rules_for(image, configs, topic.name))
                records.extend(record)
                results.append(result)
            else:
                results.append(_refused(wanted, error))
    return Decision(tuple(records), rpc.AlterPartitionReply(partitions=results))


def _alter(
    partition: PartitionState, wanted: rpc.AlterPartitionData, rules: ChangeRules
) -> tuple[list[pb.MetadataRecord], rpc.AlterPartitionResult]:
    isr = tuple(NodeId(member.broker_id) for member in wanted.new_isr)
    record = change_partition(
        wanted.partition,
        partition,
        rules,
        isr=isr,
        leader_recovery_state=wanted.leader_recovery_state,
    )
    if record is None:
        return [], _accepted(wanted, partition)
    after = merge_change(partition, record.partition_change)
    if after.leader != partition.leader:
        # The sender is shutting down, or its proposal ended a reassignment that it has no place in: it must not act.
        return [record], _refused(wanted, ErrorCode.NEW_LEADER_ELECTED)
    return [record], _accepted(wanted, after)


def check_proposal(
    image: MetadataImage, partition: PartitionState, wanted: rpc.AlterPartitionData, sender: NodeId
) -> ErrorCode:
    """Return what is wrong with a proposal; NONE when nothing is."""
    # A sender that knows more than this controller has heard from a newer one: it should look for that one.
    if wanted.leader_epoch > partition.leader_epoch or wanted.partition_epoch > partition.partition_epoch:
        return ErrorCode.NOT_CONTROLLER
    if wanted.leader_epoch < partition.leader_epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if sender != partition.leader:
        return ErrorCode.INVALID_REQUEST
    if wanted.partition_epoch < partition.partition_epoch:
        return ErrorCode.INVALID_UPDATE_VERSION
    members = [member.broker_id for member in wanted.new_isr]
    if len({*members}) < len(members) or any(node not in partition.replicas for node in members):
        return ErrorCode.INVALID_REQUEST
    if partition.leader not in members:
        return ErrorCode.INVALID_REQUEST
    if wanted.leader_recovery_state not in (RECOVERED, RECOVERING):
        return ErrorCode.INVALID_REQUEST
    is_recovering = wanted.leader_recovery_state == RECOVERING
    if is_recovering and (len(members) > 1 or partition.leader_recovery_state == RECOVERED):
        return ErrorCode.INVALID_REQUEST
    if any(not _is_eligible(image, partition, member) for member in wanted.new_isr):
        return ErrorCode.INELIGIBLE_REPLICA
    return ErrorCode.NONE


def _is_eligible(image: MetadataImage, partition: PartitionState, member: rpc.BrokerState) -> bool:
    """Whether a broker may be in an ISR: it runs, and it is the process that the leader means.

    The leader itself may be shutting down: it still has to be able to shrink its ISR while it hands over.
    """
    broker = image.brokers.get(member.broker_id)
    if broker is None or broker.fenced:
        return False
    if broker.in_controlled_shutdown and member.broker_id != partition.leader:
        return False
    return member.broker_epoch in (-1, broker.broker_epoch)


def _accepted(wanted: rpc.AlterPartitionData, after: PartitionState) -> rpc.AlterPartitionResult:
    return rpc.AlterPartitionResult(
        topic_id=wanted.topic_id,
        partition=wanted.partition,
        leader_id=after.leader,
        leader_epoch=after.leader_epoch,
        isr=after.isr,
        leader_recovery_state=after.leader_recovery_state,
        partition_epoch=after.partition_epoch,
    )


def _refused(wanted: rpc.AlterPartitionData, error: ErrorCode) -> rpc.AlterPartitionResult:
    return rpc.AlterPartitionResult(topic_id=wanted.topic_id, partition=wanted.partition, error_code=error)
