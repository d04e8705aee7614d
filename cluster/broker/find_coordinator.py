"""FindCoordinator (API 10), versions 0 to 6: which broker coordinates a group or a transactional id.

Until there are coordinators the answer is COORDINATOR_NOT_AVAILABLE for every key. Clients take it as "ask again
later" and stay connected, which matters: librdkafka asks even when it consumes by assignment.
Versions up to 3 ask for one key, from 4 on for several (KIP-699); version 1 adds the key's type.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message

NOT_YET = "this cluster has no group coordinators and no transaction coordinators yet"


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Say that there is none."""
    nobody: Fields = {
        "error_code": ErrorCode.COORDINATOR_NOT_AVAILABLE,
        "error_message": NOT_YET,
        "node_id": -1,
        "host": "",
        "port": -1,
    }
    if version < 4:
        return nobody
    return {"coordinators": [{"key": key, **nobody} for key in message.coordinator_keys]}
