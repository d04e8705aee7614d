"""AlterShareGroupOffsets (API 91), version 0: let a share group without members go on elsewhere (KIP-932).

The new start is kept under a higher state epoch: a leader that knows the old one is refused, and begins anew.
NON_EMPTY_GROUP while there are members.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicId
from cluster.broker.context import BrokerContext
from cluster.broker.share_group_topics import change_shared_topics, shared_topics
from cluster.broker.share_states import begin_state
from cluster.groups import SharedTopic
from cluster.metadata import TopicState
from cluster.sharing import SharePartitionKey
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Move each partition."""
    try:
        await shared_topics(context, message.group_id, must_be_empty=True)
        await change_shared_topics(context, message.group_id, _known(context, message))
    except KafkaError as error:
        return {"error_code": error.code, "error_message": error.message or None, "responses": ()}
    return {"responses": [await _topic(context, message.group_id, topic) for topic in message.topics]}


def _known(context: BrokerContext, message: Message) -> dict[TopicId, SharedTopic]:
    topics = context.image().topics
    named = [topics[asked.topic_name] for asked in message.topics if asked.topic_name in topics]
    return {topic.topic_id: SharedTopic(topic.name, len(topic.partitions)) for topic in named}


async def _topic(context: BrokerContext, group_id: str, asked: Any) -> Fields:
    topic = context.image().topics.get(asked.topic_name)
    parts = await asyncio.gather(*(_move(context, group_id, topic, part) for part in asked.partitions))
    topic_id = None if topic is None else topic.topic_id
    return {"topic_name": asked.topic_name, "topic_id": topic_id, "partitions": parts}


async def _move(context: BrokerContext, group_id: str, topic: TopicState | None, part: Any) -> Fields:
    number: int = part.partition_index
    error, text = ErrorCode.NONE, None
    if topic is None or not 0 <= number < len(topic.partitions):
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif part.start_offset < 0:
        error, text = ErrorCode.INVALID_REQUEST, "The start offset must not be negative."
    else:
        try:
            await begin_state(context, SharePartitionKey(group_id, topic.topic_id, number), part.start_offset)
        except KafkaError as failed:
            error, text = failed.code, failed.message or None
    return {"partition_index": number, "error_code": error, "error_message": text}
