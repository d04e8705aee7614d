"""DescribeCluster (API 60), versions 0 to 2: the cluster's id, its controller and its brokers.

`controller_id` is a live broker, not the active controller: under KRaft clients cannot reach the controllers, and
whichever broker they ask passes requests on. Kafka picks one at random; here it is the one with the lowest id, so that
answers repeat. Version 1 asks for brokers or controllers (KIP-919): controllers must be asked at their own listener,
MISMATCHED_ENDPOINT_TYPE. Version 2 includes fenced brokers on demand (KIP-1073).
There is no authorizer, so everything is permitted when the operations are asked for.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.metadata import CLUSTER_OPERATIONS, NOT_ASKED_FOR, any_live_broker
from cluster.wire import Fields, Message

BROKERS, CONTROLLERS = 1, 2


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe what the latest metadata says."""
    image = context.image()
    endpoint_type = getattr(message, "endpoint_type", BROKERS)
    if endpoint_type != BROKERS:
        known = endpoint_type == CONTROLLERS
        error = ErrorCode.MISMATCHED_ENDPOINT_TYPE if known else ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
        text = f"this is a broker's listener; endpoint type {endpoint_type} is not served here"
        return {"error_code": error, "error_message": text, "cluster_id": image.cluster_id}
    with_fenced = getattr(message, "include_fenced_brokers", False)
    return {
        "cluster_id": context.cluster_id,
        "controller_id": any_live_broker(image),
        "brokers": [
            {
                "broker_id": broker.broker_id,
                "host": broker.kafka.host,
                "port": broker.kafka.port,
                "rack": broker.rack,
                "is_fenced": broker.fenced,
            }
            for broker in image.brokers.values()
            if with_fenced or not broker.fenced
        ],
        "cluster_authorized_operations": (
            CLUSTER_OPERATIONS if message.include_cluster_authorized_operations else NOT_ASKED_FOR
        ),
    }
