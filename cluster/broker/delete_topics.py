"""DeleteTopics (API 20), versions 1 to 6: by name, or from version 6 on by id (KIP-516).

The active controller decides. Each topic gets its own error: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, or
INVALID_REQUEST when it is named twice or by both. Brokers drop their replicas as they learn of it. The reply is sent
when this broker has (departure: Kafka does not wait for the broker). `delete.topic.enable` is always true.
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds, until_applied
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message, topic_id_of

BY_ID_FROM = 6


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to delete the topics."""
    timeout_ms = milliseconds(message.timeout)
    topics = (
        [_wanted(topic) for topic in message.topics]
        if version >= BY_ID_FROM
        else [controller_pb2.DeleteTopic(name=name) for name in message.topic_names]
    )
    request = controller_pb2.DeleteTopicsRequest(topics=topics)
    try:
        reply = await ask_controller(context, "DeleteTopics", request, timeout_ms)
    except KafkaError as error:
        failed = {"error_code": error.code, "error_message": error.message}
        return {"responses": [{**_names(topic), **failed} for topic in topics]}
    gone = [topic_id_of(result.topic_id) for result in reply.topics if result.error_code == ErrorCode.NONE]
    await until_applied(context, lambda image: all(id_ not in image.topic_names for id_ in gone), timeout_ms)
    return {
        "responses": [
            {
                **_names(result),
                "error_code": ErrorCode(result.error_code),
                "error_message": result.error_message or None,
            }
            for result in reply.topics
        ]
    }


def _wanted(topic: Message) -> controller_pb2.DeleteTopic:
    return controller_pb2.DeleteTopic(
        name=topic.name or "", topic_id=b"" if topic.topic_id is None else topic.topic_id.bytes
    )


def _names(topic: Any) -> dict[str, object]:
    """Return name and id; a topic that was asked for by an unknown id has no name."""
    by_id = topic_id_of(topic.topic_id) if topic.topic_id else None
    return {"name": topic.name or (None if by_id else ""), "topic_id": by_id}
