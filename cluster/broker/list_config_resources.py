"""ListConfigResources (API 74), versions 0 and 1: what has configs that can be described (KIP-714, KIP-1142).

Version 0 listed the resources of client metrics, of which there are none here. Version 1 asks for kinds of resources;
none means all. Groups are listed when something was set on them. A kind that is not served is UNSUPPORTED_VERSION.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.metadata import BROKER_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE, MetadataImage
from cluster.wire import Fields, Message

BROKER_LOGGER_RESOURCE, CLIENT_METRICS_RESOURCE = 8, 16


def _brokers(image: MetadataImage) -> list[str]:
    return [str(broker.broker_id) for broker in image.brokers.values() if not broker.fenced]


_NAMES: Mapping[int, Callable[[MetadataImage], list[str]]] = {
    TOPIC_RESOURCE: lambda image: list(image.topics),
    BROKER_RESOURCE: _brokers,
    BROKER_LOGGER_RESOURCE: _brokers,
    CLIENT_METRICS_RESOURCE: lambda image: [],
    GROUP_RESOURCE: lambda image: sorted(name for kind, name in image.configs if kind == GROUP_RESOURCE),
}


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """List the resources of the wanted kinds."""
    wanted = [CLIENT_METRICS_RESOURCE] if version == 0 else list(dict.fromkeys(message.resource_types)) or list(_NAMES)
    if any(kind not in _NAMES for kind in wanted):
        return {"error_code": ErrorCode.UNSUPPORTED_VERSION}
    found = [(kind, name) for kind in wanted for name in _NAMES[kind](context.image())]
    return {
        "config_resources": [
            {"resource_name": name, **({"resource_type": kind} if version >= 1 else {})} for kind, name in found
        ]
    }
