"""CreatePartitions (API 37), versions 0 to 3: raise the number of a topic's partitions.

`count` is the new total. Records stay where they are; keys may map to other partitions afterwards. The active
controller decides; each topic gets its own error. The reply is sent when this broker has applied the new metadata
(departure: Kafka does not wait for the broker).
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds, until_applied
from cluster.metadata import MetadataImage
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller for more partitions."""
    timeout_ms = milliseconds(message.timeout)
    wanted = [
        controller_pb2.NewPartitions(
            name=topic.name,
            count=topic.count,
            assignments=[
                controller_pb2.ManualAssignment(replicas=manual.broker_ids) for manual in topic.assignments or ()
            ],
        )
        for topic in message.topics
    ]
    request = controller_pb2.CreatePartitionsRequest(topics=wanted, validate_only=message.validate_only)
    try:
        reply = await ask_controller(context, "CreatePartitions", request, timeout_ms)
    except KafkaError as error:
        failed = {"error_code": error.code, "error_message": error.message}
        return {"results": [{"name": topic.name, **failed} for topic in message.topics]}
    grown = {result.name: result.partitions for result in reply.topics if result.error_code == ErrorCode.NONE}

    def is_applied(image: MetadataImage) -> bool:
        topics = image.topics
        return all(name not in topics or len(topics[name].partitions) >= count for name, count in grown.items())

    if not message.validate_only:
        await until_applied(context, is_applied, timeout_ms)
    return {
        "results": [
            {
                "name": result.name,
                "error_code": ErrorCode(result.error_code),
                "error_message": result.error_message or None,
            }
            for result in reply.topics
        ]
    }
