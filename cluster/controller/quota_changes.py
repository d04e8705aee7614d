"""Client quotas change when an administrator asks (KIP-546): AlterClientQuotas.

Here: which entities and values are accepted, in Kafka's words (`ClientQuotaControlManager`). Each entry is a decision
of its own. Only quotas that have an effect are taken: bytes a second of producers and consumers. Not here: who is
slowed down (the brokers).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.controller.decision import Decision
from cluster.metadata import (
    QUOTA_ENTITY_TYPES,
    QUOTA_KEYS,
    MetadataImage,
    QuotaEntity,
    quota_entity,
    quota_record,
)
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

_WITHOUT_EFFECT = ("request_percentage", "controller_mutation_rate", "connection_creation_rate")
"""Kafka's other quotas, which would be believed in and do nothing."""


def alter_client_quotas(
    image: MetadataImage, request: rpc.AlterClientQuotasRequest
) -> Decision[rpc.AlterClientQuotasReply]:
    """Set and remove quotas of each entity: all of an entry, or none."""
    records: list[pb.MetadataRecord] = []
    results = []
    seen: list[QuotaEntity] = []
    for entry in request.entries:
        result = rpc.AlterClientQuotasResult(entity=entry.entity)
        try:
            entity = _checked_entity(entry.entity)
            if entity in seen:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate client quota entity.")
            seen.append(entity)
            records += _alter_entity(image, entity, entry.operations)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
        results.append(result)
    reply = rpc.AlterClientQuotasReply(entries=results)
    return Decision(() if request.validate_only else tuple(records), reply)


def _checked_entity(parts: Sequence[pb.ClientQuotaEntity]) -> QuotaEntity:
    types = [part.type for part in parts]
    problem = ""
    if not parts:
        problem = "Invalid empty client quota entity."
    elif types == ["ip"]:
        problem = "Quotas of addresses (connection_creation_rate) have no effect here and are not kept."
    elif any(type_ not in QUOTA_ENTITY_TYPES for type_ in types):
        problem = f"Unhandled client quota entity type in {', '.join(types)}."
    elif len({*types}) < len(types):
        problem = f"Invalid client quota entity: {', '.join(types)} names a type twice."
    elif any(part.HasField("name") and not part.name for part in parts):
        problem = f"Empty name of a client quota entity of type {', '.join(types)}."
    if problem:
        raise KafkaError(ErrorCode.INVALID_REQUEST, problem)
    return quota_entity((part.type, part.name if part.HasField("name") else None) for part in parts)


def _alter_entity(
    image: MetadataImage, entity: QuotaEntity, operations: Sequence[rpc.ClientQuotaOperation]
) -> list[pb.MetadataRecord]:
    current = image.client_quotas.get(entity, {})
    keys = [operation.key for operation in operations]
    records = []
    for operation in operations:
        key = operation.key
        problem = ""
        if key in _WITHOUT_EFFECT:
            problem = f"{key} has no effect here and is not kept."
        elif key not in QUOTA_KEYS:
            problem = f"Invalid configuration key {key}."
        elif keys.count(key) > 1:
            problem = f"{key} is altered more than once."
        elif not operation.remove and operation.value <= 0:
            problem = f"Quota {key} must be greater than 0."
        elif not operation.remove and not float(operation.value).is_integer():
            problem = f"{key} cannot be a fractional value."
        if problem:
            raise KafkaError(ErrorCode.INVALID_REQUEST, problem)
        wanted = None if operation.remove else operation.value
        if wanted != current.get(key):
            records.append(quota_record(entity, key, wanted))
    return records
