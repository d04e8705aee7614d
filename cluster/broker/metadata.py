"""Metadata (API 3), versions 0 to 13: brokers, topics, and who leads what.

Behaviour
- No topics named: all of them (version 0 says so with an empty list, later ones with null; an empty list is none).
- A topic that does not exist is UNKNOWN_TOPIC_OR_PARTITION, or UNKNOWN_TOPIC_ID when it is asked for by id
  (version 10). When the client allows it (before version 4 always) and `auto.create.topics.enable` is set, its
  creation is begun meanwhile; the client asks again, as it does with Kafka.
- A partition whose leader is unknown or fenced is LEADER_NOT_AVAILABLE. Fenced and unregistered replicas are in
  `offline_replicas` (version 5). Fenced brokers are not listed.
- `controller_id` is some live broker, as under KRaft; see `describe_cluster`.

Version 1 adds racks and the controller, 2 the cluster id, 7 leader epochs, 8 authorized operations, 10 topic ids.
Departures: the topic's configs at auto-creation are the broker's defaults only.
Encoded replies are remembered until the metadata changes.
"""

from __future__ import annotations

import re

from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_NODE
from cluster.base.limits import TOPIC_NAME_LENGTH_MAX
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import INTERNAL_TOPICS
from cluster.broker.request import Request, Slot
from cluster.broker.topic_creation import create_topic
from cluster.metadata import MetadataImage, PartitionState, TopicState
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message, decode_request, encode_response

NOT_ASKED_FOR = -(2**31)
"""Kafka's "the authorized operations were not asked for"."""

TOPIC_OPERATIONS = 0b1101_1111_1000
"""Read, write, create, delete, alter, describe, describe configs, alter configs: bits by `AclOperation`."""

CLUSTER_OPERATIONS = 0b1_1111_1010_0000
"""Create, alter, describe, cluster action, describe configs, alter configs, idempotent write."""

_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def serve(context: BrokerContext, request: Request, slot: Slot) -> None:
    """Answer from memory, or from the image."""
    image = context.image()
    body = bytes(request.body)
    question = (request.version, body)
    reply = context.metadata_replies.get(image.offset, question)
    if reply is None:
        message = decode_request(request.api_key, request.version, body)
        response, is_repeatable = handle(context, request.version, message)
        reply = encode_response(request.api_key, request.version, response)
        if is_repeatable:
            context.metadata_replies.put(image.offset, question, reply)
    slot.answer([reply])


def handle(context: BrokerContext, version: int, message: Message) -> tuple[Fields, bool]:
    """Return the response, and whether the same question has the same answer until the metadata changes."""
    image = context.image()
    topics, missing = _topics_asked_for(image, version, message)
    may_create = getattr(message, "allow_auto_topic_creation", True)
    if may_create and context.configs.flag("auto.create.topics.enable"):
        for name in missing:
            _begin_creation(context, name)
    operations = TOPIC_OPERATIONS if getattr(message, "include_topic_authorized_operations", False) else NOT_ASKED_FOR
    for topic in topics:
        topic["topic_authorized_operations"] = operations
    response: dict[str, object] = {
        "brokers": [
            {"node_id": broker.broker_id, "host": broker.kafka.host, "port": broker.kafka.port, "rack": broker.rack}
            for broker in image.brokers.values()
            if not broker.fenced
        ],
        "cluster_id": context.cluster_id,
        "controller_id": any_live_broker(image),
        "topics": topics,
    }
    if 8 <= version <= 10 and message.include_cluster_authorized_operations:
        response["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return response, not missing


def any_live_broker(image: MetadataImage) -> int:
    """Return the lowest id of a broker that is not fenced, -1 when there is none."""
    return min((broker.broker_id for broker in image.brokers.values() if not broker.fenced), default=NO_NODE)


def _topics_asked_for(
    image: MetadataImage, version: int, message: Message
) -> tuple[list[dict[str, object]], list[str]]:
    """Return the topics of the response and the names of those that could be created."""
    if message.topics is None or (version == 0 and not message.topics):
        return [_topic(image, topic, version) for topic in image.topics.values()], []
    found: list[dict[str, object]] = []
    missing: list[str] = []
    for asked in message.topics:
        topic_id = getattr(asked, "topic_id", None)
        topic = image.topic_by_id(topic_id) if topic_id is not None else image.topics.get(asked.name)
        if topic is not None:
            found.append(_topic(image, topic, version))
        elif topic_id is not None:
            name = None if version >= 12 else ""
            found.append({"error_code": ErrorCode.UNKNOWN_TOPIC_ID, "name": name, "topic_id": topic_id})
        else:
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if not is_legal_topic_name(asked.name):
                error = ErrorCode.INVALID_TOPIC_EXCEPTION
            elif asked.name not in missing:
                missing.append(asked.name)
            found.append({"error_code": error, "name": asked.name or ""})
    return found, missing


def is_legal_topic_name(name: str | None) -> bool:
    """Whether Kafka accepts a topic of that name (`Topic.validate`)."""
    return bool(name and len(name) <= TOPIC_NAME_LENGTH_MAX and name not in (".", "..") and _LEGAL_NAME.fullmatch(name))


def _topic(image: MetadataImage, topic: TopicState, version: int) -> dict[str, object]:
    partitions = [partition_fields(image, number, state, version) for number, state in enumerate(topic.partitions)]
    is_internal = topic.name in INTERNAL_TOPICS
    return {"name": topic.name, "topic_id": topic.topic_id, "is_internal": is_internal, "partitions": partitions}


def partition_fields(image: MetadataImage, number: int, state: PartitionState, version: int) -> dict[str, object]:
    """Return what a client of that version is told of a partition."""

    def is_live(node: int) -> bool:
        broker = image.brokers.get(node)
        return broker is not None and not broker.fenced

    has_leader = state.has_leader and is_live(state.leader)
    replicas, isr = state.replicas, state.isr
    if version == 0:  # such clients cannot cope with replicas that are not in the list of brokers
        replicas, isr = (tuple(filter(is_live, nodes)) for nodes in (replicas, isr))
    return {
        "error_code": ErrorCode.NONE if has_leader else ErrorCode.LEADER_NOT_AVAILABLE,
        "partition_index": number,
        "leader_id": state.leader if has_leader else NO_NODE,
        "leader_epoch": state.leader_epoch,
        "replica_nodes": replicas,
        "isr_nodes": isr,
        "offline_replicas": tuple(node for node in state.replicas if not is_live(node)),
    }


def _begin_creation(context: BrokerContext, name: str) -> None:
    """Have a topic created beside the requests, unless that is being done already."""
    if name in context.topics_in_creation:
        return
    context.topics_in_creation[name] = None  # at once: others may ask before the work begins
    internal = INTERNAL_TOPICS.get(name)
    if internal is None:
        topic = controller_pb2.NewTopic(name=name, partitions=-1, replication_factor=-1)
    else:
        topic = internal.creation(context.configs, context.image())
    context.spawn(_create(context, topic))


async def _create(context: BrokerContext, topic: controller_pb2.NewTopic) -> None:
    await create_topic(context, topic)
