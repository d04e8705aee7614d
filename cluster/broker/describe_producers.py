"""DescribeProducers (API 61), version 0: which producers a replica remembers, and their transactions.

For finding transactions that hang (KIP-664). Any replica answers from its own log, so that a broker can be asked about
all that it holds; NOT_LEADER_OR_FOLLOWER where there is none.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.partitions import find_partition
from cluster.storage import ProducerState
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for each partition."""
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [_one(context, topic.name, number) for number in topic.partition_indexes],
            }
            for topic in message.topics
        ]
    }


def _one(context: BrokerContext, topic: str, number: int) -> Fields:
    partition = find_partition(context, topic, number)
    if isinstance(partition, ErrorCode):
        return {"partition_index": number, "error_code": partition}
    if not partition.is_online:
        return {"partition_index": number, "error_code": ErrorCode.KAFKA_STORAGE_ERROR}
    producers = [_producer(producer_id, state) for producer_id, state in partition.log.producers]
    return {"partition_index": number, "active_producers": producers}


def _producer(producer_id: int, state: ProducerState) -> Fields:
    return {
        "producer_id": producer_id,
        "producer_epoch": state.epoch,
        "last_sequence": state.last_sequence,
        "last_timestamp": state.last_timestamp,
        "coordinator_epoch": state.coordinator_epoch,
        "current_txn_start_offset": state.transaction_start,
    }
