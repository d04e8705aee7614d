"""Replicas move to other brokers when an operator asks (KIP-455): AlterPartitionReassignments.

Here: what may be asked for, in Kafka's words (`ReplicationControlManager.alterPartitionReassignments`). Each partition
is a decision of its own: one that is refused does not stop the others. The whole state of a move is in the
partition's record, so that whoever is the active controller later goes on with it; it ends in `partition_change`.
"""

from __future__ import annotations

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.controller.assignments import Assignment, toward
from cluster.controller.decision import Decision
from cluster.controller.elections import Election, Nodes
from cluster.controller.leadership import rules_for
from cluster.controller.partition_change import ChangeRules, change_partition
from cluster.controller.topics import checked_assignments
from cluster.metadata import MetadataImage, PartitionState
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb


def alter_partition_reassignments(
    image: MetadataImage, configs: Configs, request: rpc.AlterPartitionReassignmentsRequest
) -> Decision[rpc.AlterPartitionReassignmentsReply]:
    """Begin, replace or take back the move of each partition."""
    records: list[pb.MetadataRecord] = []
    results = []
    keys = [TopicPartition(wanted.topic, wanted.partition) for wanted in request.partitions]
    for wanted, key in zip(request.partitions, keys, strict=True):
        result = rpc.PartitionReassignmentResult(topic=wanted.topic, partition=wanted.partition)
        try:
            if keys.count(key) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"{key} is reassigned more than once.")
            record = _alter_one(image, configs, key, wanted, request.allow_replication_factor_change)
            records += [] if record is None else [record]
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
        results.append(result)
    return Decision(tuple(records), rpc.AlterPartitionReassignmentsReply(partitions=results))


def _alter_one(
    image: MetadataImage,
    configs: Configs,
    key: TopicPartition,
    wanted: rpc.PartitionReassignment,
    allow_other_factor: bool,
) -> pb.MetadataRecord | None:
    if key.topic not in image.topics:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {key.topic}.")
    partition = image.partition(key)
    if partition is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {key.topic}:{key.partition}.")
    rules = rules_for(image, configs, key.topic)
    if not wanted.HasField("target"):
        return _take_back(key, partition, rules)
    target = tuple(NodeId(node) for node in wanted.target.ids)
    checked_assignments(image, [target], None)
    current = Assignment.of(partition)
    if not allow_other_factor and len(target) != len(current.target):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor is changed from {len(current.target)} to {len(target)}.",
        )
    knowing = partition.isr or partition.eligible_leader_replicas or partition.last_known_elr
    assignment = toward(current, target, knowing)
    return change_partition(key.partition, partition, rules, assignment=assignment)


def _take_back(key: TopicPartition, partition: PartitionState, rules: ChangeRules) -> pb.MetadataRecord | None:
    """Drop who was being added. Raises KafkaError when that leaves nobody who has every committed record."""
    current = Assignment.of(partition)
    if not current.is_moving:
        raise KafkaError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment is in progress.")
    original = current.original
    isr = tuple(node for node in partition.isr if node in original)
    eligible = (*isr, *(node for node in partition.eligible_leader_replicas if node in original))
    if not eligible:
        _check_unclean(key, original, rules)
    return change_partition(key.partition, partition, rules, isr=isr, assignment=Assignment(original))


def _check_unclean(key: TopicPartition, original: Nodes, rules: ChangeRules) -> None:
    problem = ""
    if rules.election is not Election.UNCLEAN:
        problem = "it would require an unclean leader election"
    elif not any(rules.may_lead(node) for node in original):
        problem = "none of the original replicas is running"
    if problem:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Unable to revert partition assignment for {key.topic}:{key.partition} because {problem}.",
        )
