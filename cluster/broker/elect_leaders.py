"""ElectLeaders (API 43), versions 0 to 2: elect the preferred leader, or uncleanly whoever is left (KIP-183, KIP-460).

Version 0 knows preferred elections only. Null partitions mean all of them, and those that need no election are then
not mentioned. The active controller decides. The reply may come before this broker knows the new leaders.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message

PREFERRED = 0


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller for elections."""
    named = message.topic_partitions
    request = controller_pb2.ElectLeadersRequest(
        election_type=getattr(message, "election_type", PREFERRED),
        partitions=[
            controller_pb2.TopicPartitionName(topic=topic.topic, partition=number)
            for topic in named or ()
            for number in topic.partitions
        ],
        all_partitions=named is None,
    )
    try:
        reply = await ask_controller(context, "ElectLeaders", request, milliseconds(message.timeout))
    except KafkaError as error:
        return {"error_code": error.code}
    by_topic: dict[str, list[Fields]] = {}
    for result in reply.partitions:
        by_topic.setdefault(result.topic, []).append(
            {
                "partition_id": result.partition,
                "error_code": ErrorCode(result.error_code),
                "error_message": result.error_message or None,
            }
        )
    return {
        "replica_election_results": [
            {"topic": topic, "partition_result": results} for topic, results in by_topic.items()
        ]
    }
