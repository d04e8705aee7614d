"""ListOffsets (API 2), versions 1 to 11: the offset at a time, or at an end of the log.

Special timestamps: -1 latest (the high watermark, or the last stable offset for read_committed), -2 earliest,
-3 the record with the greatest timestamp (version 7, KIP-734), -4 earliest on local disk (version 8), -5 latest in
tiered storage (version 9), -6 earliest not yet uploaded to it (version 11).

An offset is given only of committed records. Without tiered storage -4 is the earliest offset and -5 and -6 find
nothing, as in Kafka. A timestamp that the version does not have is UNSUPPORTED_VERSION for its partition; a partition
that is asked for twice is INVALID_REQUEST.
Departures: debugging consumers (replica id -2) may ask only leaders. `timeout_ms` (version 10) is not needed.
"""

from __future__ import annotations

from collections import Counter

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.partitions import find_partition
from cluster.replication import OffsetOutcome, Partition
from cluster.wire import Fields, Message

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6

SINCE_VERSION = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
"""The version in which a special timestamp appeared."""


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for each partition."""
    isolation_level = getattr(message, "isolation_level", 0)
    named = [(topic.name, part.partition_index) for topic in message.topics for part in topic.partitions]
    times = Counter(named)

    def answer(topic: str, part: Message) -> Fields:
        if times[topic, part.partition_index] > 1:
            outcome = OffsetOutcome(ErrorCode.INVALID_REQUEST)
        else:
            outcome = _look_up(context, version, topic, part, isolation_level)
        if outcome.error is ErrorCode.OFFSET_NOT_AVAILABLE and version < 5:
            outcome = OffsetOutcome(ErrorCode.LEADER_NOT_AVAILABLE)  # what older clients know how to retry
        return {
            "partition_index": part.partition_index,
            "error_code": outcome.error,
            "timestamp": outcome.timestamp,
            "offset": outcome.offset,
            "leader_epoch": outcome.leader_epoch,
        }

    return {
        "topics": [
            {"name": topic.name, "partitions": [answer(topic.name, part) for part in topic.partitions]}
            for topic in message.topics
        ]
    }


def _look_up(context: BrokerContext, version: int, topic: str, part: Message, isolation_level: int) -> OffsetOutcome:
    timestamp: int = part.timestamp
    if timestamp < 0 and (timestamp < EARLIEST_PENDING_UPLOAD or version < SINCE_VERSION.get(timestamp, 0)):
        return OffsetOutcome(ErrorCode.UNSUPPORTED_VERSION)
    partition = find_partition(context, topic, part.partition_index)
    if isinstance(partition, ErrorCode):
        return OffsetOutcome(partition)
    return _offset_in(partition, timestamp, isolation_level, getattr(part, "current_leader_epoch", -1))


def _offset_in(partition: Partition, timestamp: int, isolation_level: int, current_leader_epoch: int) -> OffsetOutcome:
    if timestamp == LATEST:
        return partition.latest(isolation_level, current_leader_epoch)
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return partition.earliest(current_leader_epoch)
    if timestamp == MAX_TIMESTAMP:
        return partition.max_timestamp(isolation_level, current_leader_epoch)
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        # There is no tiered storage; the leader check still applies.
        return OffsetOutcome(partition.earliest(current_leader_epoch).error)
    return partition.offset_for_timestamp(timestamp, isolation_level, current_leader_epoch)
