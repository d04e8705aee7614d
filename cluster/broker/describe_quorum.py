"""DescribeQuorum (API 55), versions 0 to 2: how far the voters and the brokers are with the metadata log (KIP-836).

The active controller answers, with what it knows as the leader of Raft. Offsets are Kafka's way, one after the last.
There is one topic to ask about, `__cluster_metadata`, with partition 0; others are UNKNOWN_TOPIC_OR_PARTITION.
Version 2 tells where the voters listen: for gRPC, as they have no Kafka listener (departure).
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import DEFAULT_TIMEOUT_MS, ask_controller
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message

METADATA_TOPIC = "__cluster_metadata"

_LISTENER = "CONTROLLER"


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the active controller."""
    try:
        request = controller_pb2.DescribeQuorumRequest()
        reply = await ask_controller(context, "DescribeQuorum", request, DEFAULT_TIMEOUT_MS)
    except KafkaError as error:
        return {"error_code": error.code, **({"error_message": error.message} if version >= 2 else {})}
    nodes = [
        {"node_id": node.node_id, "listeners": [{"name": _LISTENER, "host": node.rpc.host, "port": node.rpc.port}]}
        for node in reply.nodes
    ]
    topics = [
        {
            "topic_name": topic.topic_name,
            "partitions": [_partition(topic.topic_name, part.partition_index, reply) for part in topic.partitions],
        }
        for topic in message.topics
    ]
    return {"topics": topics, **({"nodes": nodes, "error_message": None} if version >= 2 else {})}


def _partition(topic: str, number: int, reply: Any) -> Fields:
    if (topic, number) != (METADATA_TOPIC, 0):
        return {"partition_index": number, "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    return {
        "partition_index": number,
        "error_code": ErrorCode.NONE,
        "leader_id": reply.status.leader_id,
        "leader_epoch": reply.status.controller_epoch,
        "high_watermark": reply.high_watermark,
        "current_voters": [_replica(replica) for replica in reply.voters],
        "observers": [_replica(replica) for replica in reply.observers],
    }


def _replica(replica: Any) -> Fields:
    return {
        "replica_id": replica.replica_id,
        "log_end_offset": replica.log_end_offset,
        "last_fetch_timestamp": replica.last_fetch_timestamp_ms,
        "last_caught_up_timestamp": replica.last_caught_up_timestamp_ms,
    }
