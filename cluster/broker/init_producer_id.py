"""InitProducerId (API 22), versions 0 to 6: a producer id, with which a producer's batches are counted (KIP-98).

Without a transactional id every request gets a new id with epoch 0, as in Kafka, whatever id it had before. Brokers
draw ids from blocks of a thousand that the controller allocates (KIP-730); while none can be had the answer is
COORDINATOR_LOAD_IN_PROGRESS, upon which producers ask again.

With a transactional id its coordinator answers with the id's own producer id and an epoch that shuts out whoever had
it before. What that one left open is aborted first: CONCURRENT_TRANSACTIONS, and the producer asks again. Version 3
lets a producer name the id and epoch that it has, so that only its own successor can raise them (KIP-360): otherwise
PRODUCER_FENCED, which was INVALID_PRODUCER_EPOCH before version 4.
Version 6 asks for two-phase commit (KIP-939), which is off, as in Kafka by default.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import milliseconds
from cluster.broker.producer_id_allocation import new_producer_id
from cluster.transactions import InitRequest
from cluster.wire import Fields, Message

NO_ID: Fields = {"producer_id": -1, "producer_epoch": -1}
FENCED_SINCE = 4


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Give away a producer id, or the next epoch of one."""
    if message.transactional_id is not None:
        return await _initialise(context, version, message)
    producer_id = await new_producer_id(context)
    if producer_id is None:
        return {"error_code": ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, **NO_ID}
    return {"producer_id": producer_id, "producer_epoch": 0}


async def _initialise(context: BrokerContext, version: int, message: Message) -> Fields:
    transactional_id: str = message.transactional_id
    if not transactional_id:
        return {"error_code": ErrorCode.INVALID_REQUEST, **NO_ID}
    if getattr(message, "keep_prepared_txn", False):
        return {"error_code": ErrorCode.UNSUPPORTED_VERSION, **NO_ID}
    if getattr(message, "enable2_pc", False):
        return {"error_code": ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, **NO_ID}
    spare = None
    if context.transactions.needs_producer_id(transactional_id):
        spare = await new_producer_id(context)
    request = InitRequest(
        transactional_id,
        milliseconds(message.transaction_timeout),
        getattr(message, "producer_id", -1),
        getattr(message, "producer_epoch", -1),
        -1 if spare is None else spare,
    )
    if (request.producer_id < 0) != (request.epoch < 0):
        return {"error_code": ErrorCode.INVALID_REQUEST, **NO_ID}
    try:
        reply = await context.transactions.decide(
            transactional_id, lambda shard, token, now: shard.initialise(token, request, now)
        )
    except KafkaError as error:
        return {"error_code": error.code, **NO_ID}
    error_code = reply.error
    if error_code is ErrorCode.PRODUCER_FENCED and version < FENCED_SINCE:
        error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return {"error_code": error_code, "producer_id": reply.producer_id, "producer_epoch": reply.epoch}
