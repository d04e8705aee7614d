"""DescribeClientQuotas (API 48), versions 0 and 1: which quotas are set, filtered by whom they are for (KIP-546).

Each component asks for one type of entity: with a name, as the default, or with either. A strict filter wants entities
of exactly these types; one that is not also takes entities that have others besides. No components mean all.
Departure: answered from this broker's own metadata, some milliseconds old.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.metadata import QUOTA_ENTITY_TYPES, QuotaEntity
from cluster.wire import Fields, Message

EXACT, DEFAULT, ANY = 0, 1, 2
"""Kafka's `DescribeClientQuotasRequest` match types."""


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """List the quotas that the filter takes."""
    problem = _problem_of(message)
    if problem is not None:
        return {"error_code": problem[0], "error_message": problem[1], "entries": None}
    quotas = context.image().client_quotas
    entries = [
        {
            "entity": [{"entity_type": type_, "entity_name": name} for type_, name in entity],
            "values": [{"key": key, "value": value} for key, value in values.items()],
        }
        for entity, values in quotas.items()
        if _is_wanted(entity, message)
    ]
    return {"error_message": None, "entries": entries}


def _problem_of(message: Message) -> tuple[ErrorCode, str] | None:
    types = [component.entity_type for component in message.components]
    for component in message.components:
        type_ = component.entity_type
        if not type_:
            return ErrorCode.INVALID_REQUEST, "Unexpected empty filter component entity type."
        if type_ not in (*QUOTA_ENTITY_TYPES, "ip"):
            return ErrorCode.UNSUPPORTED_VERSION, f"Custom entity type '{type_}' not supported."
        if types.count(type_) > 1:
            return ErrorCode.INVALID_REQUEST, f"Entity type {type_} cannot appear more than once in the filter."
        if component.match_type not in (EXACT, DEFAULT, ANY):
            return ErrorCode.INVALID_REQUEST, f"Unknown match type {component.match_type}."
        if (component.match_type == EXACT) != (component.match is not None):
            return ErrorCode.INVALID_REQUEST, f"A name of {type_} goes with an exact match, and only with that."
    if "ip" in types and len(types) > 1:
        return ErrorCode.INVALID_REQUEST, "Invalid entity filter component combination."
    return None


def _is_wanted(entity: QuotaEntity, message: Message) -> bool:
    names = dict(entity)
    if message.strict and len(names) != len(message.components):
        return False
    for component in message.components:
        if component.entity_type not in names:
            return False
        name = names[component.entity_type]
        if component.match_type == EXACT and name != component.match:
            return False
        if component.match_type == DEFAULT and name is not None:
            return False
    return True
