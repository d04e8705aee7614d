"""CreateTopics (API 19), versions 2 to 7: topics with partitions, replicas and configs.

The active controller decides; see `cluster.controller.topics` for what it checks. Each topic gets its own error.
-1 for partitions or replication factor means the cluster's default (version 4, KIP-464); here older versions may say
so too. Version 5 returns what was made with its configs (KIP-525), version 7 the topic's id.
The reply is sent when this broker has applied the new metadata, or the timeout is over (departure: Kafka does not
wait for the broker). No authorizer, no policies.
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds, until_applied
from cluster.broker.describe_configs import topic_entries
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message, topic_id_of


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to create the topics."""
    timeout_ms = milliseconds(message.timeout)
    try:
        reply = await ask_controller(context, "CreateTopics", _request_of(message), timeout_ms)
    except KafkaError as error:
        failed = {"error_code": error.code, "error_message": error.message}
        return {"topics": [{"name": topic.name, **failed} for topic in message.topics]}
    created = [topic_id_of(result.topic_id) for result in reply.topics if result.error_code == ErrorCode.NONE]
    if not message.validate_only:
        await until_applied(context, lambda image: all(id_ in image.topic_names for id_ in created), timeout_ms)
    return {"topics": [_result(context, result, message.validate_only) for result in reply.topics]}


def _request_of(message: Message) -> controller_pb2.CreateTopicsRequest:
    topics = [
        controller_pb2.NewTopic(
            name=topic.name,
            partitions=topic.num_partitions,
            replication_factor=topic.replication_factor,
            assignments=[
                controller_pb2.ManualAssignment(partition=manual.partition_index, replicas=manual.broker_ids)
                for manual in topic.assignments
            ],
            configs=[controller_pb2.ConfigEntry(name=entry.name, value=entry.value) for entry in topic.configs],
        )
        for topic in message.topics
    ]
    return controller_pb2.CreateTopicsRequest(topics=topics, validate_only=message.validate_only)


def _result(context: BrokerContext, result: Any, validate_only: bool) -> Fields:
    if result.error_code != ErrorCode.NONE:
        return {
            "name": result.name,
            "error_code": ErrorCode(result.error_code),
            "error_message": result.error_message or None,
        }
    overrides = {entry.name: entry.value for entry in result.configs}
    return {
        "name": result.name,
        "topic_id": None if validate_only else topic_id_of(result.topic_id),
        "num_partitions": result.partitions,
        "replication_factor": result.replication_factor,
        "configs": [
            {key: entry[key] for key in ("name", "value", "read_only", "config_source", "is_sensitive")}
            for entry in topic_entries(context, overrides)
        ],
    }
