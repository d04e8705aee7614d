"""AlterClientQuotas (API 49), versions 0 and 1: set and remove what clients may produce and consume (KIP-546).

`producer_byte_rate` and `consumer_byte_rate`, for users, client ids and both together, named or default; each entity
gets its own error. The active controller decides. The reply is sent when this broker has applied the new quotas.
Departures: quotas without an effect here are INVALID_REQUEST (`request_percentage`, `controller_mutation_rate`,
`connection_creation_rate` and with it addresses). Without authentication everybody is the user ANONYMOUS.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import DEFAULT_TIMEOUT_MS, ask_controller, until_applied
from cluster.metadata import MetadataImage, quota_entity
from cluster.rpc import controller_pb2, metadata_pb2
from cluster.wire import Fields, Message

_APPLIED_TIMEOUT_MS = 1_000


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller for other quotas."""
    request = controller_pb2.AlterClientQuotasRequest(
        entries=[_entry(entry) for entry in message.entries], validate_only=message.validate_only
    )
    try:
        reply = await ask_controller(context, "AlterClientQuotas", request, DEFAULT_TIMEOUT_MS)
    except KafkaError as error:
        return {"entries": [_result(entry, error.code, error.message) for entry in message.entries]}
    accepted = [
        entry
        for entry, result in zip(message.entries, reply.entries, strict=True)
        if result.error_code == ErrorCode.NONE
    ]
    if not message.validate_only:
        await until_applied(context, lambda image: _is_applied(image, accepted), _APPLIED_TIMEOUT_MS)
    return {
        "entries": [
            _result(entry, ErrorCode(result.error_code), result.error_message or None)
            for entry, result in zip(message.entries, reply.entries, strict=True)
        ]
    }


def _entry(entry: Message) -> controller_pb2.ClientQuotaEntry:
    return controller_pb2.ClientQuotaEntry(
        entity=[metadata_pb2.ClientQuotaEntity(type=part.entity_type, name=part.entity_name) for part in entry.entity],
        operations=[
            controller_pb2.ClientQuotaOperation(key=change.key, value=change.value, remove=change.remove)
            for change in entry.ops
        ],
    )


def _is_applied(image: MetadataImage, entries: list[Message]) -> bool:
    for entry in entries:
        entity = quota_entity((part.entity_type, part.entity_name) for part in entry.entity)
        values = image.client_quotas.get(entity, {})
        for change in entry.ops:
            if values.get(change.key) != (None if change.remove else change.value):
                return False
    return True


def _result(entry: Message, error: ErrorCode, text: str | None) -> Fields:
    entity = [{"entity_type": part.entity_type, "entity_name": part.entity_name} for part in entry.entity]
    return {"error_code": error, "error_message": text, "entity": entity}
