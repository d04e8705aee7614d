"""ListPartitionReassignments (API 46), version 0: which replicas are on the move (KIP-455).

Null topics mean all. Partitions that do not move, or do not exist, are not mentioned.
Departure: Kafka asks the active controller; here this broker tells what its own metadata says, some milliseconds old.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """List the moves that are under way."""
    image = context.image()
    if message.topics is None:
        keys = [key for key, _ in image.partitions()]
    else:
        keys = [TopicPartition(topic.name, number) for topic in message.topics for number in topic.partition_indexes]
    by_topic: dict[str, list[Fields]] = {}
    for key in keys:
        state = image.partition(key)
        if state is not None and (state.adding_replicas or state.removing_replicas):
            by_topic.setdefault(key.topic, []).append(
                {
                    "partition_index": key.partition,
                    "replicas": state.replicas,
                    "adding_replicas": state.adding_replicas,
                    "removing_replicas": state.removing_replicas,
                }
            )
    topics = [{"name": topic, "partitions": partitions} for topic, partitions in by_topic.items()]
    return {"error_message": None, "topics": topics}
