"""OffsetForLeaderEpoch (API 23), versions 2 to 4: where a leader epoch ended (KIP-101, KIP-320).

A consumer asks after a leader change whether what it read is still in the log. The answer is the largest epoch not
above the one asked for, and the offset after its last record; -1 for both when the leader knows of none.
Departure: replicas ask over gRPC, so the replica id (version 3) is ignored.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.partitions import find_partition
from cluster.replication import EpochOutcome
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for each partition."""

    def answer(topic: str, part: Message) -> Fields:
        partition = find_partition(context, topic, part.partition)
        if isinstance(partition, ErrorCode):
            outcome = EpochOutcome(partition)
        else:
            outcome = partition.end_offset_for_epoch(part.leader_epoch, part.current_leader_epoch)
        return {
            "error_code": outcome.error,
            "partition": part.partition,
            "leader_epoch": outcome.epoch,
            "end_offset": outcome.end_offset,
        }

    return {
        "topics": [
            {"topic": topic.topic, "partitions": [answer(topic.topic, part) for part in topic.partitions]}
            for topic in message.topics
        ]
    }
