"""OffsetDelete (API 47), version 0: forget offsets of a group (KIP-496).

GROUP_SUBSCRIBED_TO_TOPIC for topics that members are subscribed to; NON_EMPTY_GROUP for a group with members that are
no consumers; UNKNOWN_TOPIC_OR_PARTITION for partitions that do not exist. An offset that is not there is deleted.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Delete, and answer for each partition."""
    group_id: str = message.group_id
    if not group_id:
        return {"error_code": ErrorCode.INVALID_GROUP_ID}
    image = context.image()
    asked = [TopicPartition(topic.name, part.partition_index) for topic in message.topics for part in topic.partitions]
    known = [key for key in asked if image.partition(key) is not None]
    try:
        errors: ErrorCode | dict[TopicPartition, ErrorCode] = await context.groups.ask(
            group_id, lambda shard, token, now: shard.delete_offsets(token, group_id, known)
        )
    except KafkaError as error:
        return {"error_code": error.code}
    if isinstance(errors, ErrorCode):
        return {"error_code": errors}

    def error_of(topic: str, number: int) -> ErrorCode:
        return errors.get(TopicPartition(topic, number), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    {"partition_index": part.partition_index, "error_code": error_of(topic.name, part.partition_index)}
                    for part in topic.partitions
                ],
            }
            for topic in message.topics
        ]
    }
