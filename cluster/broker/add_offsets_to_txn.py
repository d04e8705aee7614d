"""AddOffsetsToTxn (API 25), versions 0 to 4: a group's offsets are to be committed in a transaction.

The partition of `__consumer_offsets` in which the group lies becomes part of the transaction, as by
AddPartitionsToTxn. The topic is created when there is none. Producers with transaction.version 2 leave this request
out (KIP-890): TxnOffsetCommit does both. Version 2 says PRODUCER_FENCED where older ones say INVALID_PRODUCER_EPOCH.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import CONSUMER_OFFSETS
from cluster.broker.topic_creation import ensure_topic
from cluster.broker.transaction_requests import add_partitions
from cluster.transactions import AddRequest
from cluster.wire import Fields, Message

FENCED_SINCE = 2


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Add the group's partition."""
    if not message.transactional_id:
        return {"error_code": ErrorCode.INVALID_REQUEST}
    if not message.group_id:
        return {"error_code": ErrorCode.INVALID_GROUP_ID}
    await ensure_topic(context, CONSUMER_OFFSETS)
    number = CONSUMER_OFFSETS.partition_for(message.group_id, context.image())
    if number is None:
        return {"error_code": ErrorCode.COORDINATOR_NOT_AVAILABLE}
    partition = TopicPartition(CONSUMER_OFFSETS.name, number)
    request = AddRequest(message.transactional_id, message.producer_id, message.producer_epoch, [partition])
    error = (await add_partitions(context, request))[partition]
    if error is ErrorCode.PRODUCER_FENCED and version < FENCED_SINCE:
        error = ErrorCode.INVALID_PRODUCER_EPOCH
    return {"error_code": error}
