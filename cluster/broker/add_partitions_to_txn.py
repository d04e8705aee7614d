"""AddPartitionsToTxn (API 24), versions 0 to 5: partitions become part of a transaction, or are asked whether they are.

Versions 0 to 3 are producers': all partitions of the request are added, or none. A partition that does not exist is
UNKNOWN_TOPIC_OR_PARTITION and the others are OPERATION_NOT_ATTEMPTED. While the markers of the last transaction are
being written: CONCURRENT_TRANSACTIONS, upon which producers ask again.
From version 4 on the request is a broker's, for several transactions at once, and may only ask (KIP-890). Brokers here
ask over gRPC (`transaction_membership`); it is served for whoever speaks it. Version 5 says TRANSACTION_ABORTABLE where
4 said INVALID_TXN_STATE.
A producer that was fenced is told PRODUCER_FENCED; before version 2 INVALID_PRODUCER_EPOCH.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.transaction_requests import add_partitions, verify_partitions
from cluster.transactions import EPOCH_PER_TRANSACTION, AddRequest
from cluster.wire import Fields, Message

BROKERS_SINCE = 4
FENCED_SINCE = 2
ABORTABLE_SINCE = 5


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for one transaction, or for each of several."""
    if version < BROKERS_SINCE:
        request = AddRequest(
            message.v3_and_below_transactional_id,
            message.v3_and_below_producer_id,
            message.v3_and_below_producer_epoch,
            _partitions(message.v3_and_below_topics),
        )
        errors = await _answer(context, request, verify_only=False)
        return {"results_by_topic_v3_and_below": _topics(message.v3_and_below_topics, errors, version)}
    return {
        "results_by_transaction": [
            {
                "transactional_id": each.transactional_id,
                "topic_results": _topics(each.topics, await _answer_broker(context, each), version),
            }
            for each in message.transactions
        ]
    }


async def _answer_broker(context: BrokerContext, asked: Any) -> Mapping[TopicPartition, ErrorCode]:
    request = AddRequest(
        asked.transactional_id,
        asked.producer_id,
        asked.producer_epoch,
        _partitions(asked.topics),
        EPOCH_PER_TRANSACTION,
    )
    return await _answer(context, request, asked.verify_only)


async def _answer(context: BrokerContext, request: AddRequest, verify_only: bool) -> Mapping[TopicPartition, ErrorCode]:
    if not request.transactional_id:
        return dict.fromkeys(request.partitions, ErrorCode.INVALID_REQUEST)
    return await (verify_partitions if verify_only else add_partitions)(context, request)


def _partitions(topics: Sequence[Any]) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in topics for number in topic.partitions]


def _topics(topics: Sequence[Any], errors: Mapping[TopicPartition, ErrorCode], version: int) -> list[Fields]:
    return [
        {
            "name": topic.name,
            "results_by_partition": [
                {
                    "partition_index": number,
                    "partition_error_code": _told(errors[TopicPartition(topic.name, number)], version),
                }
                for number in topic.partitions
            ],
        }
        for topic in topics
    ]


def _told(error: ErrorCode, version: int) -> ErrorCode:
    if error is ErrorCode.PRODUCER_FENCED and version < FENCED_SINCE:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    if error is ErrorCode.TRANSACTION_ABORTABLE and version < ABORTABLE_SINCE:
        return ErrorCode.INVALID_TXN_STATE
    return error
