"""UnregisterBroker (API 64), version 0: forget a broker that is gone for good (KIP-631).

Its registration is removed, and its place in every ISR. Replicas that were assigned to it stay assigned: reassign
them first. A broker that is still alive registers again.
"""

from __future__ import annotations

from cluster.base.errors import KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import DEFAULT_TIMEOUT_MS, ask_controller
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to forget a broker."""
    request = controller_pb2.UnregisterBrokerRequest(broker_id=message.broker_id)
    try:
        await ask_controller(context, "UnregisterBroker", request, DEFAULT_TIMEOUT_MS)
    except KafkaError as error:
        return {"error_code": error.code, "error_message": error.message}
    return {"error_message": None}
