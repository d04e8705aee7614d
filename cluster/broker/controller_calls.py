"""Passing a client's request on to the active controller, and waiting until this broker knows of the outcome.

Here: what the APIs share that change metadata or ask the quorum. Kafka passes such requests on in envelopes (KIP-590);
here the controller has its own messages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.metadata import MetadataImage

DEFAULT_TIMEOUT_MS = 60_000
"""For requests that name no timeout (Kafka's `request.timeout.ms` of the controller's clients, doubled)."""

_CALL_TIMEOUT_MS_MIN = 1_000
"""A client that says it will not wait still wants its request carried out."""

_APPLIED_TIMEOUT_MS = 5_000


def milliseconds(duration: timedelta) -> int:
    """Return a request's timeout in milliseconds; at least 0."""
    return max(round(duration.total_seconds() * 1000), 0)


async def ask_controller(context: BrokerContext, method: str, request: Any, timeout_ms: int) -> Any:
    """Return the controller's reply. Raises KafkaError when there is none in time, or it refuses the whole request."""
    patience_ms = max(timeout_ms, _CALL_TIMEOUT_MS_MIN)
    reply = await context.controller.call(method, request, timeout_ms=patience_ms)
    status = reply.status
    if status.error_code != ErrorCode.NONE:
        raise KafkaError(ErrorCode(status.error_code), status.error_message)
    return reply


async def until_applied(context: BrokerContext, predicate: Callable[[MetadataImage], bool], timeout_ms: int) -> None:
    """Wait until the outcome has reached this broker, so that the client's next question shows it.

    Kafka does not wait, and its clients ask again; here it costs some milliseconds and saves surprises. When time
    is up nothing is wrong: the outcome is committed, this broker is merely behind.
    """
    await context.when_image(predicate, min(timeout_ms, _APPLIED_TIMEOUT_MS))
