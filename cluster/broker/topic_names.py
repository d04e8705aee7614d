"""Topics in requests that name them by name in old versions and by id in new ones (KIP-516).

Here: from either to the name, and back into the response, for the offset APIs.
"""

from __future__ import annotations

from typing import Any

from cluster.broker.context import BrokerContext
from cluster.wire import Fields

BY_ID_FROM = 10
"""The version of OffsetCommit and OffsetFetch from which topics are named by id (KIP-848, KIP-1157)."""


def topic_name(context: BrokerContext, version: int, topic: Any) -> str | None:
    """Return the name of a request's topic; None for an id that this broker does not know."""
    if version < BY_ID_FROM:
        name: str = topic.name
        return name
    return context.image().topic_names.get(topic.topic_id)


def topic_key(version: int, topic: Any) -> Fields:
    """Return the part of a response that says which topic it is about, as the request did."""
    return {"name": topic.name} if version < BY_ID_FROM else {"topic_id": topic.topic_id}
