"""AlterPartitionReassignments (API 45), versions 0 and 1: move replicas to other brokers, or stop doing so (KIP-455).

A partition gets its new replicas in order, the preferred leader first; null takes the move that is under way back.
The reply says that the move has begun: it ends when all new replicas are in the ISR, and ListPartitionReassignments
does not show it any more. Version 1 can forbid a change of the replication factor. The active controller decides, one
partition at a time. The reply is sent when this broker has applied the new metadata (departure: Kafka does not wait
for the broker).
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds, until_applied
from cluster.metadata import MetadataImage
from cluster.rpc import controller_pb2, metadata_pb2
from cluster.wire import Fields, Message

Target = tuple[int, ...] | None
"""The wished replicas of a partition; None for those it had before."""


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to move replicas."""
    timeout_ms = milliseconds(message.timeout)
    allows = getattr(message, "allow_replication_factor_change", True)
    reply_fields: Fields = {"allow_replication_factor_change": allows} if version >= 1 else {}
    wanted: list[tuple[TopicPartition, Target]] = [
        (TopicPartition(topic.name, part.partition_index), part.replicas)
        for topic in message.topics
        for part in topic.partitions
    ]
    request = controller_pb2.AlterPartitionReassignmentsRequest(
        partitions=[_reassignment(key, target) for key, target in wanted], allow_replication_factor_change=allows
    )
    try:
        reply = await ask_controller(context, "AlterPartitionReassignments", request, timeout_ms)
    except KafkaError as error:
        return {**reply_fields, "error_code": error.code, "error_message": error.message}
    outcomes = {TopicPartition(result.topic, result.partition): result for result in reply.partitions}
    begun = [(key, target) for key, target in wanted if outcomes[key].error_code == ErrorCode.NONE]
    await until_applied(context, lambda image: _is_applied(image, begun), timeout_ms)
    by_topic: dict[str, list[Fields]] = {}
    for key, result in outcomes.items():
        by_topic.setdefault(key.topic, []).append(
            {
                "partition_index": key.partition,
                "error_code": ErrorCode(result.error_code),
                "error_message": result.error_message or None,
            }
        )
    responses = [{"name": topic, "partitions": partitions} for topic, partitions in by_topic.items()]
    return {**reply_fields, "error_message": None, "responses": responses}


def _reassignment(key: TopicPartition, target: Target) -> controller_pb2.PartitionReassignment:
    replicas = None if target is None else metadata_pb2.Replicas(ids=target)
    return controller_pb2.PartitionReassignment(topic=key.topic, partition=key.partition, target=replicas)


def _is_applied(image: MetadataImage, begun: list[tuple[TopicPartition, Target]]) -> bool:
    """Whether the image has these moves, begun or already done. A partition that is gone is no reason to wait."""
    for key, target in begun:
        state = image.partition(key)
        if state is None:
            continue
        if target is None and (state.adding_replicas or state.removing_replicas):
            return False
        if target is not None and state.replicas[: len(target)] != tuple(target):
            return False
    return True
