"""EndTxn (API 26), versions 0 to 5: commit or abort a transaction.

Answered when the decision is committed to `__transaction_state`: from then on it holds, whoever fails. The markers are
written after the answer; until they are, requests of the next transaction get CONCURRENT_TRANSACTIONS.
A request that is repeated gets the answer of the first one: CONCURRENT_TRANSACTIONS while markers are written, then
NONE. What does not fit the transaction's state is INVALID_TXN_STATE.
Version 2 says PRODUCER_FENCED where older ones say INVALID_PRODUCER_EPOCH. With version 5 the epoch is raised and told
to the producer, or another producer id when the epochs of its own are used up (KIP-890).
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.producer_id_allocation import new_producer_id
from cluster.transactions import EPOCH_PER_TRANSACTION, EndRequest
from cluster.wire import Fields, Message

FENCED_SINCE = 2
EPOCH_RAISED_SINCE = 5


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Decide how the transaction ends."""
    if not message.transactional_id:
        return {"error_code": ErrorCode.INVALID_REQUEST}
    raises_epoch = version >= EPOCH_RAISED_SINCE
    spare = None
    if raises_epoch and context.transactions.needs_producer_id(message.transactional_id):
        spare = await new_producer_id(context)
    request = EndRequest(
        message.transactional_id,
        message.producer_id,
        message.producer_epoch,
        message.committed,
        EPOCH_PER_TRANSACTION if raises_epoch else 0,
        -1 if spare is None else spare,
    )
    try:
        reply = await context.transactions.decide(
            message.transactional_id, lambda shard, token, now: shard.end(token, request, now)
        )
    except KafkaError as error:
        return {"error_code": error.code}
    error_code = reply.error
    if error_code is ErrorCode.PRODUCER_FENCED and version < FENCED_SINCE:
        error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return {"error_code": error_code, "producer_id": reply.producer_id, "producer_epoch": reply.epoch}
