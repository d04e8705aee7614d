"""A producer id that nobody has: from this broker's block, or from a new one of the controller (KIP-730)."""

from __future__ import annotations

import logging

from cluster.base.errors import KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller
from cluster.rpc import controller_pb2

log = logging.getLogger(__name__)

ALLOCATION_TIMEOUT_MS = 5_000


async def new_producer_id(context: BrokerContext) -> int | None:
    """Return an id that nobody has; None when none can be had just now."""
    producer_id = context.producer_ids.take()
    return await _from_new_block(context) if producer_id is None else producer_id


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
