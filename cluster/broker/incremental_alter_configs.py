"""IncrementalAlterConfigs (API 44), versions 0 and 1: set, delete, append to or subtract from configs (KIP-339).

Topics, brokers and groups, for the configs that have an effect; INVALID_CONFIG names the ones it might have meant. The
active controller decides, for each resource all changes or none. The reply is sent when this broker has applied them
(departure: Kafka does not wait for the broker).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import DEFAULT_TIMEOUT_MS, ask_controller, until_applied
from cluster.metadata import MetadataImage
from cluster.rpc import controller_pb2
from cluster.rpc.controller_pb2 import AlterConfigsResource, AlterConfigsResult
from cluster.wire import Fields, Message

SET, DELETE = 0, 1
"""Kafka's `AlterConfigOp.OpType`: the two whose outcome can be told from the request."""

_APPLIED_TIMEOUT_MS = 1_000


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to change the configs."""
    resources = [
        controller_pb2.AlterConfigsResource(
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=[
                controller_pb2.AlterConfig(name=change.name, operation=change.config_operation, value=change.value)
                for change in resource.configs
            ],
        )
        for resource in message.resources
    ]
    return await alter(context, resources, message.validate_only)


async def alter(context: BrokerContext, resources: Sequence[AlterConfigsResource], validate_only: bool) -> Fields:
    """Ask the controller for changes and return the response, which AlterConfigs has too."""
    request = controller_pb2.IncrementalAlterConfigsRequest(resources=resources, validate_only=validate_only)
    try:
        reply = await ask_controller(context, "IncrementalAlterConfigs", request, DEFAULT_TIMEOUT_MS)
    except KafkaError as error:
        failed = {"error_code": error.code, "error_message": error.message}
        return {"responses": [{**_names(resource), **failed} for resource in resources]}
    accepted = [(result.resource_type, result.resource_name) for result in reply.resources if result.error_code == 0]
    if accepted and not validate_only:
        changed = [one for one in resources if (one.resource_type, one.resource_name) in accepted]
        await until_applied(context, lambda image: _is_applied(image, changed), _APPLIED_TIMEOUT_MS)
    return {
        "responses": [
            {
                **_names(result),
                "error_code": ErrorCode(result.error_code),
                "error_message": result.error_message or None,
            }
            for result in reply.resources
        ]
    }


def _is_applied(image: MetadataImage, resources: Sequence[AlterConfigsResource]) -> bool:
    for resource in resources:
        values = image.configs.get((resource.resource_type, resource.resource_name), {})
        for change in resource.configs:
            if change.operation == SET and values.get(change.name) != change.value:
                return False
            if change.operation == DELETE and change.name in values:
                return False
        named = [change.name for change in resource.configs]
        if resource.replaces_all and any(name not in named for name in values):
            return False
    return True


def _names(resource: AlterConfigsResource | AlterConfigsResult) -> dict[str, object]:
    return {"resource_type": resource.resource_type, "resource_name": resource.resource_name}
