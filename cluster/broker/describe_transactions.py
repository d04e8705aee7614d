"""DescribeTransactions (API 65), version 0: the state of transactional ids, by their coordinator (KIP-664).

TRANSACTIONAL_ID_NOT_FOUND for one that nobody uses, NOT_COORDINATOR for one that is coordinated elsewhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.transactions import Transaction
from cluster.wire import Fields, Message

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for each transactional id."""
    return {"transaction_states": [_one(context, transactional_id) for transactional_id in message.transactional_ids]}


def _one(context: BrokerContext, transactional_id: str) -> Fields:
    named = {"transactional_id": transactional_id, "transaction_start_time": EPOCH}
    if not transactional_id:
        return {"error_code": ErrorCode.INVALID_REQUEST, **named}
    try:
        found = context.transactions.look_up(transactional_id, lambda shard: shard.get(transactional_id))
    except KafkaError as error:
        return {"error_code": error.code, **named}
    if found is None:
        return {"error_code": ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, **named}
    return _described(found)


def _described(transaction: Transaction) -> Fields:
    topics: dict[str, list[int]] = {}
    for partition in transaction.partitions:
        topics.setdefault(partition.topic, []).append(partition.partition)
    return {
        "transactional_id": transaction.transactional_id,
        "transaction_state": transaction.state.value,
        "transaction_timeout": timedelta(milliseconds=transaction.timeout_ms),
        "transaction_start_time": EPOCH + timedelta(milliseconds=transaction.start_ms),
        "producer_id": transaction.producer_id,
        "producer_epoch": transaction.epoch,
        "topics": [{"topic": name, "partitions": numbers} for name, numbers in topics.items()],
    }
