"""AlterConfigs (API 33), versions 0 to 2: replace all that is set on topics, brokers and groups.

What the request does not name goes back to its default; deprecated in Kafka for that reason, in favour of
IncrementalAlterConfigs (KIP-339), with which it shares everything else.
"""

from __future__ import annotations

from cluster.broker.context import BrokerContext
from cluster.broker.incremental_alter_configs import SET, alter
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller to set these configs and no others."""
    resources = [
        controller_pb2.AlterConfigsResource(
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=[
                controller_pb2.AlterConfig(name=config.name, operation=SET, value=config.value)
                for config in resource.configs
            ],
            replaces_all=True,
        )
        for resource in message.resources
    ]
    return await alter(context, resources, message.validate_only)
