"""FindCoordinator (API 10), versions 0 to 6: which broker coordinates a group or a transactional id.

A group's coordinator is the leader of the partition of `__consumer_offsets` to which the group's id hashes, that of a
transactional id (type 1) the leader of its partition of `__transaction_state`, that of a share partition (type 2, from
version 6 on: `group:topic id:partition`) of `__share_group_state`; other types and keys are INVALID_REQUEST. The topic
is created by the first who asks; COORDINATOR_NOT_AVAILABLE while it cannot be, or while nobody leads the partition:
clients ask again. Departure: Kafka always lets the first one ask again, here it waits until the topic is there.
Versions up to 3 ask for one key, from 4 on for several (KIP-699); version 1 adds the key's type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE, InternalTopic
from cluster.broker.topic_creation import ensure_topic
from cluster.metadata import MetadataImage
from cluster.wire import Fields, Message

GROUP = 0
TRANSACTION = 1
SHARE = 2

SHARES_FROM = 6

_SHARE_KEY = re.compile(r".+:[A-Za-z0-9_-]{22}:\d+")

_INTERNAL_TOPIC_OF = {GROUP: CONSUMER_OFFSETS, TRANSACTION: TRANSACTION_STATE, SHARE: SHARE_GROUP_STATE}


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Name the coordinators."""
    key_type = getattr(message, "key_type", GROUP)
    keys: Sequence[str] = [message.key] if version < 4 else message.coordinator_keys
    topic = _INTERNAL_TOPIC_OF.get(key_type)
    if topic is None or (key_type == SHARE and version < SHARES_FROM):
        found = [_nobody(ErrorCode.INVALID_REQUEST) for _ in keys]
    else:
        await ensure_topic(context, topic)
        image = context.image()
        found = [_coordinator_of(image, topic, key) for key in keys]
    if version < 4:
        return found[0]
    return {"coordinators": [{"key": key, **result} for key, result in zip(keys, found, strict=True)]}


def _coordinator_of(image: MetadataImage, topic: InternalTopic, key: str) -> Fields:
    if not key:
        return _nobody(ErrorCode.INVALID_GROUP_ID if topic is CONSUMER_OFFSETS else ErrorCode.INVALID_REQUEST)
    if topic is SHARE_GROUP_STATE and not _SHARE_KEY.fullmatch(key):
        return _nobody(ErrorCode.INVALID_REQUEST)
    number = topic.partition_for(key, image)
    if number is None:
        return _nobody(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    broker = image.brokers.get(image.topics[topic.name].partitions[number].leader)
    if broker is None or broker.fenced:
        return _nobody(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return {"node_id": broker.broker_id, "host": broker.kafka.host, "port": broker.kafka.port}


def _nobody(error: ErrorCode) -> Fields:
    return {"error_code": error, "error_message": None, "node_id": -1, "host": "", "port": -1}
