"""InitProducerId (API 22), versions 0 to 6: a producer id, with which a producer's batches are counted (KIP-98).

Without a transactional id every request gets a new id with epoch 0, as in Kafka, whatever id it had before. Brokers
draw ids from blocks of a thousand that the controller allocates (KIP-730); while none can be had the answer is
COORDINATOR_LOAD_IN_PROGRESS, upon which producers ask again.
With a transactional id: NOT_COORDINATOR until there are transactions.
"""

from __future__ import annotations

import logging

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message

log = logging.getLogger(__name__)

ALLOCATION_TIMEOUT_MS = 5_000

NO_ID: Fields = {"producer_id": -1, "producer_epoch": -1}


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Give away a producer id."""
    if message.transactional_id is not None:
        error = ErrorCode.NOT_COORDINATOR if message.transactional_id else ErrorCode.INVALID_REQUEST
        return {"error_code": error, **NO_ID}
    producer_id = context.producer_ids.take()
    if producer_id is None:
        producer_id = await _from_new_block(context)
    if producer_id is None:
        return {"error_code": ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, **NO_ID}
    return {"producer_id": producer_id, "producer_epoch": 0}


async def _from_new_block(context: BrokerContext) -> int | None:
    block = context.producer_ids
    async with block.refilling:  # one request fetches a block for all that wait
        producer_id = block.take()
        if producer_id is not None:
            return producer_id
        request = controller_pb2.AllocateProducerIdsRequest(
            broker_id=context.node_id, broker_epoch=context.broker_epoch()
        )
        try:
            reply = await ask_controller(context, "AllocateProducerIds", request, ALLOCATION_TIMEOUT_MS)
        except KafkaError as error:
            log.warning("no producer ids could be had: %s", error)
            return None
        block.refill(reply.producer_id_start, reply.producer_id_len)
        return block.take()
