"""DescribeShareGroupOffsets (API 90), versions 0 and 1: from where share groups go on (KIP-932).

The start offset of each partition, as its share coordinator keeps it, -1 for one that the group has not read; null for
the topics means all that it has read. Version 1 has a lag (KIP-1226), which is not known here: always -1 (departure).
"""

from __future__ import annotations

import asyncio
from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.share_group_topics import shared_topics
from cluster.broker.share_states import read_state
from cluster.metadata import TopicState
from cluster.sharing import SharePartitionKey
from cluster.wire import Fields, Message

_LOOKS = -1


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe each group."""
    return {"groups": [await _describe(context, group) for group in message.groups]}


async def _describe(context: BrokerContext, asked: Any) -> Fields:
    try:
        shared = await shared_topics(context, asked.group_id, must_be_empty=False)
    except KafkaError as error:
        message = error.message or None
        return {"group_id": asked.group_id, "topics": (), "error_code": error.code, "error_message": message}
    topics = context.image().topics
    if asked.topics is None:
        wanted = {topic.name: list(range(topic.partitions)) for topic in shared.values() if topic.name in topics}
    else:
        wanted = {str(topic.topic_name): list(topic.partitions) for topic in asked.topics}
    return {
        "group_id": asked.group_id,
        "topics": [await _topic(context, asked.group_id, name, numbers) for name, numbers in wanted.items()],
    }


async def _topic(context: BrokerContext, group_id: str, name: str, numbers: list[int]) -> Fields:
    topic = context.image().topics.get(name)
    parts = await asyncio.gather(*(_partition(context, group_id, topic, number) for number in numbers))
    return {"topic_name": name, "topic_id": None if topic is None else topic.topic_id, "partitions": parts}


async def _partition(context: BrokerContext, group_id: str, topic: TopicState | None, number: int) -> Fields:
    part: Fields = {"partition_index": number, "start_offset": -1, "leader_epoch": 0}
    if topic is None or not 0 <= number < len(topic.partitions):
        return {**part, "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    try:
        state = await read_state(context, SharePartitionKey(group_id, topic.topic_id, number), _LOOKS)
    except KafkaError as error:
        return {**part, "error_code": error.code, "error_message": error.message or None}
    return {**part, "start_offset": state.start_offset, "leader_epoch": max(state.leader_epoch, 0)}
