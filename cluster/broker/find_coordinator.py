"""FindCoordinator (API 10), versions 0 to 6: which broker coordinates a group or a transactional id.

A group's coordinator is the leader of the partition of `__consumer_offsets` to which the group's id hashes. The topic
is created by the first who asks; COORDINATOR_NOT_AVAILABLE while it cannot be, or while nobody leads the partition:
clients ask again. Departure: Kafka always lets the first one ask again, here it waits until the topic is there.
Transactional ids (type 1): COORDINATOR_NOT_AVAILABLE until there are transactions; other types INVALID_REQUEST.
Versions up to 3 ask for one key, from 4 on for several (KIP-699); version 1 adds the key's type.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import until_applied
from cluster.broker.coordinator import CONSUMER_OFFSETS, InternalTopic
from cluster.metadata import MetadataImage
from cluster.wire import Fields, Message

log = logging.getLogger(__name__)

GROUP = 0
TRANSACTION = 1

CREATION_TIMEOUT_MS = 5_000

_INTERNAL_TOPIC_OF = {GROUP: CONSUMER_OFFSETS}


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Name the coordinators."""
    key_type = getattr(message, "key_type", GROUP)
    keys: Sequence[str] = [message.key] if version < 4 else message.coordinator_keys
    topic = _INTERNAL_TOPIC_OF.get(key_type)
    if topic is not None and topic.name not in context.image().topics:
        await _create(context, topic)
    if topic is None:
        known = key_type == TRANSACTION
        error = ErrorCode.COORDINATOR_NOT_AVAILABLE if known else ErrorCode.INVALID_REQUEST
        found = [_nobody(error) for _ in keys]
    else:
        image = context.image()
        found = [_coordinator_of(image, topic, key) for key in keys]
    if version < 4:
        return found[0]
    return {"coordinators": [{"key": key, **result} for key, result in zip(keys, found, strict=True)]}


def _coordinator_of(image: MetadataImage, topic: InternalTopic, key: str) -> Fields:
    if not key:
        return _nobody(ErrorCode.INVALID_GROUP_ID)
    number = topic.partition_for(key, image)
    if number is None:
        return _nobody(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    broker = image.brokers.get(image.topics[topic.name].partitions[number].leader)
    if broker is None or broker.fenced:
        return _nobody(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return {"node_id": broker.broker_id, "host": broker.kafka.host, "port": broker.kafka.port}


def _nobody(error: ErrorCode) -> Fields:
    return {"error_code": error, "error_message": None, "node_id": -1, "host": "", "port": -1}


async def _create(context: BrokerContext, topic: InternalTopic) -> None:
    """Have the topic created, by one of those who ask, and wait until this broker knows of it."""
    if topic.name not in context.topics_in_creation:
        context.topics_in_creation[topic.name] = None
        try:
            request = topic.creation(context.configs, context.image())
            reply = await context.controller.call("CreateTopics", request, timeout_ms=CREATION_TIMEOUT_MS)
            for result in reply.topics:
                if result.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                    error = ErrorCode(result.error_code).name
                    log.warning("%s could not be created: %s %s", topic.name, error, result.error_message)
                    return
        except KafkaError as error:
            log.warning("%s could not be created: %s", topic.name, error)
            return
        finally:
            context.topics_in_creation.pop(topic.name, None)
    await until_applied(context, lambda image: topic.name in image.topics, CREATION_TIMEOUT_MS)
