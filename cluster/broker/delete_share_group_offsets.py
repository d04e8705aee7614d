"""DeleteShareGroupOffsets (API 92), version 0: forget how far a share group without members has come with topics
(KIP-932).

NON_EMPTY_GROUP while there are members; UNKNOWN_TOPIC_OR_PARTITION for a topic that does not exist.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.share_group_topics import change_shared_topics, shared_topics
from cluster.broker.share_states import delete_state
from cluster.sharing import SharePartitionKey
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Forget each topic."""
    try:
        await shared_topics(context, message.group_id, must_be_empty=True)
    except KafkaError as error:
        return {"error_code": error.code, "error_message": error.message or None, "responses": ()}
    return {"responses": [await _forget(context, message.group_id, topic.topic_name) for topic in message.topics]}


async def _forget(context: BrokerContext, group_id: str, name: str) -> Fields:
    topic = context.image().topics.get(name)
    if topic is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return {"topic_name": name, "topic_id": None, "error_code": error, "error_message": None}
    failed, text = ErrorCode.NONE, None
    try:
        for number in range(len(topic.partitions)):
            await delete_state(context, SharePartitionKey(group_id, topic.topic_id, number))
        await change_shared_topics(context, group_id, {}, removed=(topic.topic_id,))
    except KafkaError as refused:
        failed, text = refused.code, refused.message or None
    return {"topic_name": name, "topic_id": topic.topic_id, "error_code": failed, "error_message": text}
