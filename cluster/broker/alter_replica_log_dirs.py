"""AlterReplicaLogDirs (API 34), versions 1 and 2: move replicas to another disk of their broker (KIP-113).

A broker has one directory here: to move a replica into it is done already, any other is LOG_DIR_NOT_FOUND. A partition
that this broker has no replica of is REPLICA_NOT_AVAILABLE, one that does not exist UNKNOWN_TOPIC_OR_PARTITION.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for each partition."""
    own_directory = context.replicas.disk_space().path
    results: dict[str, list[Fields]] = {}
    for directory in message.dirs:
        is_own = directory.path.rstrip("/") == own_directory.rstrip("/")
        for topic in directory.topics:
            for number in topic.partitions:
                error = _error_of(context, TopicPartition(topic.name, number), is_own=is_own)
                results.setdefault(topic.name, []).append({"partition_index": number, "error_code": error})
    return {"results": [{"topic_name": name, "partitions": partitions} for name, partitions in results.items()]}


def _error_of(context: BrokerContext, topic_partition: TopicPartition, *, is_own: bool) -> ErrorCode:
    if not is_own:
        return ErrorCode.LOG_DIR_NOT_FOUND
    replica = context.replicas.get(topic_partition)
    if replica is not None:
        return ErrorCode.NONE if replica.is_online else ErrorCode.KAFKA_STORAGE_ERROR
    known = context.image().partition(topic_partition)
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if known is None else ErrorCode.REPLICA_NOT_AVAILABLE
