"""DescribeTopicPartitions (API 75), version 0: topics page by page, with eligible leader replicas (KIP-966).

Topics come in the order of their names; no topics means all. An answer has as many partitions as the request allows
(`max.request.partition.size.limit` at most, at least one); the cursor that comes with it says where the next page
begins. Topics that do not exist are mentioned only when they were asked for by name.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import INTERNAL_TOPICS
from cluster.broker.metadata import TOPIC_OPERATIONS, is_legal_topic_name, partition_fields
from cluster.metadata import MetadataImage, TopicState
from cluster.wire import Fields, Message

_LATEST_METADATA_VERSION = 13
"""Partitions are told as in this version of Metadata, plus who is eligible."""


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Return the page that the cursor points to."""
    image = context.image()
    cursor = message.cursor
    if cursor is not None and cursor.partition_index < 0:
        error = ErrorCode.INVALID_REQUEST
        return {"topics": [_unknown(topic.name, error) for topic in message.topics], "next_cursor": None}
    limit = context.configs.integer("max.request.partition.size.limit")
    left = max(min(limit, message.response_partition_limit), 1)
    named = sorted({topic.name for topic in message.topics})
    topics: list[Fields] = []
    for name in named or image.topics:
        if cursor is not None and name < cursor.topic_name:
            continue
        if left == 0:
            return {"topics": topics, "next_cursor": {"topic_name": name, "partition_index": 0}}
        topic = image.topics.get(name)
        if topic is None:
            legal = is_legal_topic_name(name)
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if legal else ErrorCode.INVALID_TOPIC_EXCEPTION
            topics.append(_unknown(name, error))
            continue
        first = cursor.partition_index if cursor is not None and name == cursor.topic_name else 0
        end = min(first + left, len(topic.partitions))
        topics.append(_topic(image, topic, range(first, end)))
        if end < len(topic.partitions):
            return {"topics": topics, "next_cursor": {"topic_name": name, "partition_index": end}}
        left -= max(end - first, 0)
    return {"topics": topics, "next_cursor": None}


def _topic(image: MetadataImage, topic: TopicState, numbers: range) -> Fields:
    return {
        "name": topic.name,
        "topic_id": topic.topic_id,
        "is_internal": topic.name in INTERNAL_TOPICS,
        "topic_authorized_operations": TOPIC_OPERATIONS,
        "partitions": [
            {
                **partition_fields(image, number, topic.partitions[number], _LATEST_METADATA_VERSION),
                "eligible_leader_replicas": topic.partitions[number].eligible_leader_replicas,
                "last_known_elr": topic.partitions[number].last_known_elr,
            }
            for number in numbers
        ],
    }


def _unknown(name: str, error: ErrorCode) -> Fields:
    return {"name": name, "error_code": error, "topic_authorized_operations": TOPIC_OPERATIONS}
