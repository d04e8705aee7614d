"""Having an internal topic created, by the first request that needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.coordinator import InternalTopic
from cluster.metadata import MetadataImage

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
    """Have the topic created when there is none, by one of those who ask, and wait until this broker knows of it.

    When it cannot be created a line in the log says why, and there is no topic afterwards.
    """
    if topic.name in context.image().topics:
        return
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
    await context.when_image(lambda image: topic.name in image.topics, CREATION_TIMEOUT_MS)
