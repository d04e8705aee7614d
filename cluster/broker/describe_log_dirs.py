"""DescribeLogDirs (API 35), versions 1 to 5: what lies on this broker's disk (KIP-113, KIP-827).

One directory holds all logs, so there is one result. A null list of topics asks for all partitions; those that this
broker has no replica of are left out, and a topic without any as well. A replica's size is that of its segments without
their indexes; its lag is how far its log end is behind its high watermark, after a loss of records.
Version 4 adds the size of the disk and what is free on it, version 5 whether new partitions are kept away from it,
which nothing here does.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.replication import Partition
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for the one directory."""
    asked = None
    if message.topics is not None:
        asked = {topic.topic: frozenset(topic.partitions) for topic in message.topics}
    topics: dict[str, list[Fields]] = {}
    for replica in context.replicas:
        topic, number = replica.topic_partition
        if replica.is_online and (asked is None or number in asked.get(topic, ())):
            topics.setdefault(topic, []).append(_partition(replica))
    space = context.replicas.disk_space()
    return {
        "error_code": ErrorCode.NONE,
        "results": [
            {
                "error_code": ErrorCode.NONE,
                "log_dir": space.path,
                "topics": [{"name": name, "partitions": partitions} for name, partitions in topics.items()],
                "total_bytes": space.total_bytes,
                "usable_bytes": space.usable_bytes,
            }
        ],
    }


def _partition(replica: Partition) -> Fields:
    return {
        "partition_index": replica.topic_partition.partition,
        "partition_size": replica.log.size_bytes,
        "offset_lag": max(replica.high_watermark - replica.log_end_offset, 0),
        "is_future_key": False,
    }
