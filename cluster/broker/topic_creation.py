"""Having a topic created by the first request that needs it (Kafka: `AutoTopicCreationManager`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.coordinator import InternalTopic
from cluster.metadata import MetadataImage
from cluster.rpc import controller_pb2

log = logging.getLogger(__name__)

CREATION_TIMEOUT_MS = 5_000


class _Controller(Protocol):
    async def call(self, method: str, request: Any, *, timeout_ms: int) -> Any: ...


class TopicHost(Protocol):
    """What it takes to have a topic created (`BrokerContext` has it)."""

    configs: Configs
    topics_in_creation: dict[str, None]

    @property
    def image(self) -> Callable[[], MetadataImage]: ...
    @property
    def controller(self) -> _Controller: ...

    async def when_image(self, predicate: Callable[[MetadataImage], bool], timeout_ms: int) -> bool:
        """Return true once the predicate holds of the applied metadata, false when time is up."""


async def ensure_topic(context: TopicHost, topic: InternalTopic) -> None:
    """Have an internal topic created when there is none, by one of those who ask, and wait until this broker knows it.

    When it cannot be created a line in the log says why, and there is no topic afterwards.
    """
    image = context.image()
    if topic.name in image.topics:
        return
    if topic.name in context.topics_in_creation or await create_topic(context, topic.creation(context.configs, image)):
        await context.when_image(lambda image: topic.name in image.topics, CREATION_TIMEOUT_MS)


async def create_topic(context: TopicHost, topic: controller_pb2.NewTopic) -> bool:
    """Have the controller create a topic; return whether there is one then. A line in the log says why not.

    Until it has answered the name is among `topics_in_creation`: who finds it there need not ask.
    """
    context.topics_in_creation[topic.name] = None
    request = controller_pb2.CreateTopicsRequest(topics=[topic])
    try:
        reply = await context.controller.call("CreateTopics", request, timeout_ms=CREATION_TIMEOUT_MS)
        for result in reply.topics:
            if result.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                raise KafkaError(ErrorCode(result.error_code), result.error_message)
    except KafkaError as error:
        log.warning("topic %s could not be created: %s", topic.name, error)
        return False
    finally:
        context.topics_in_creation.pop(topic.name, None)
    return True
