"""Having an internal topic created, by the first request that needs it."""

from __future__ import annotations

import logging

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import until_applied
from cluster.broker.coordinator import InternalTopic

log = logging.getLogger(__name__)

CREATION_TIMEOUT_MS = 5_000


async def ensure_topic(context: BrokerContext, topic: InternalTopic) -> None:
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
    await until_applied(context, lambda image: topic.name in image.topics, CREATION_TIMEOUT_MS)
