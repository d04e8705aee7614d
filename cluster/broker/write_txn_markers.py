"""WriteTxnMarkers (API 27), versions 1 and 2: end transactions in partitions that this broker leads.

In Kafka this is how a coordinator ends a transaction; here coordinators do so over gRPC, and what is left is the way
for an admin to abort a transaction that hangs (KIP-664). Answered for each partition when the marker is committed:
NOT_LEADER_OR_FOLLOWER, INVALID_PRODUCER_EPOCH when the producer has moved on, TRANSACTION_COORDINATOR_FENCED when a
newer coordinator has been there. Version 2 says whether epochs change with every transaction (KIP-890).
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.transaction_requests import write_markers
from cluster.records import EndMarker
from cluster.transactions import EPOCH_PER_TRANSACTION
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Write every marker."""
    return {"markers": [await _one(context, asked) for asked in message.markers]}


async def _one(context: BrokerContext, asked: Message) -> Fields:
    marker = EndMarker(asked.producer_id, asked.producer_epoch, asked.transaction_result, asked.coordinator_epoch)
    partitions = [TopicPartition(topic.name, number) for topic in asked.topics for number in topic.partition_indexes]
    is_strict = getattr(asked, "transaction_version", 0) >= EPOCH_PER_TRANSACTION
    errors = await write_markers(context, marker, list(dict.fromkeys(partitions)), is_strict)
    return {
        "producer_id": asked.producer_id,
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    {"partition_index": number, "error_code": errors[TopicPartition(topic.name, number)]}
                    for number in topic.partition_indexes
                ],
            }
            for topic in asked.topics
        ],
    }
