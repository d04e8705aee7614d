"""What is left of a controller's duties: elections on request, and blocks of producer ids.

Here: ElectLeaders (KIP-183, KIP-460) and AllocateProducerIds (KIP-730), each too small for a file.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.controller.brokers import check_broker_epoch
from cluster.controller.decision import Decision
from cluster.controller.elections import Election
from cluster.controller.leadership import rules_for
from cluster.controller.partition_change import change_partition
from cluster.metadata import MetadataImage, PartitionState
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

PRODUCER_ID_BLOCK_SIZE = 1000
"""Producer ids that a broker gets at once (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`)."""

_ELECTIONS = {0: Election.PREFERRED, 1: Election.UNCLEAN}


def elect_leaders(
    image: MetadataImage, configs: Configs, request: rpc.ElectLeadersRequest
) -> Decision[rpc.ElectLeadersReply]:
    """Hold elections on request. When all partitions are meant, those that need none are not mentioned."""
    records = []
    results = []
    for topic_partition in _wanted(image, request):
        error, message, record = _elect_one(image, configs, topic_partition, request.election_type)
        if record is not None:
            records.append(record)
        if not (request.all_partitions and error is ErrorCode.ELECTION_NOT_NEEDED):
            topic, number = topic_partition
            results.append(
                rpc.ElectLeadersResult(topic=topic, partition=number, error_code=error, error_message=message)
            )
    return Decision(tuple(records), rpc.ElectLeadersReply(partitions=results))


def _wanted(image: MetadataImage, request: rpc.ElectLeadersRequest) -> Iterable[TopicPartition]:
    if request.all_partitions:
        return (topic_partition for topic_partition, _ in image.partitions())
    named = (TopicPartition(wanted.topic, wanted.partition) for wanted in request.partitions)
    return dict.fromkeys(named)  # each once, in the order of the request


def _elect_one(
    image: MetadataImage, configs: Configs, topic_partition: TopicPartition, election_type: int
) -> tuple[ErrorCode, str, pb.MetadataRecord | None]:
    election = _ELECTIONS.get(election_type)
    if election is None:
        return ErrorCode.INVALID_REQUEST, f"Unknown election type {election_type}.", None
    partition = image.partition(topic_partition)
    if partition is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no partition {topic_partition}.", None
    if _is_needless(partition, election):
        return ErrorCode.ELECTION_NOT_NEEDED, "", None
    rules = rules_for(image, configs, topic_partition.topic, election=election)
    record = change_partition(topic_partition.partition, partition, rules)
    if record is None or not record.partition_change.HasField("leader"):
        if election is Election.PREFERRED:
            return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, "The preferred leader is not in sync.", None
        return ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, "No replica of the partition is running.", None
    return ErrorCode.NONE, "", record


def _is_needless(partition: PartitionState, election: Election) -> bool:
    if election is Election.PREFERRED:
        return partition.leader == partition.preferred_leader
    return partition.has_leader


def allocate_producer_ids(
    image: MetadataImage, request: rpc.AllocateProducerIdsRequest
) -> Decision[rpc.AllocateProducerIdsReply]:
    """Give a broker the next block of producer ids. Raises as `check_broker_epoch`."""
    broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    start = image.next_producer_id
    record = pb.ProducerIdsRecord(
        broker_id=broker.broker_id,
        broker_epoch=broker.broker_epoch,
        next_producer_id=start + PRODUCER_ID_BLOCK_SIZE,
    )
    reply = rpc.AllocateProducerIdsReply(producer_id_start=start, producer_id_len=PRODUCER_ID_BLOCK_SIZE)
    return Decision((pb.MetadataRecord(producer_ids=record),), reply)
