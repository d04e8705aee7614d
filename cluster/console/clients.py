"""The clients behind the tools: made of properties, with librdkafka's complaints told on standard error.

Here: construction and error callbacks. Not here: which properties there are (`client_properties`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cluster.console.client_properties import Role, not_accepted, translate

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer, ShareConsumer
    from confluent_kafka.admin import AdminClient

Say = Callable[[str], None]
"""Tells the person something, on standard error."""


def make_producer(properties: Mapping[str, str], say: Say) -> Producer:
    """Make a producer. Raises LabError (usage) when a property is not accepted."""
    from confluent_kafka import Producer

    producer: Producer = _make(Producer, properties, Role.PRODUCER, say)
    return producer


def make_consumer(properties: Mapping[str, str], say: Say) -> Consumer:
    """Make a consumer. Raises LabError (usage) when a property is not accepted."""
    from confluent_kafka import Consumer

    consumer: Consumer = _make(Consumer, properties, Role.CONSUMER, say)
    return consumer


def make_share_consumer(properties: Mapping[str, str], say: Say) -> ShareConsumer:
    """Make a share consumer that says of each record what becomes of it. Raises LabError (usage)."""
    from confluent_kafka import ShareConsumer

    explicit = {**properties, "share.acknowledgement.mode": "explicit"}
    consumer: ShareConsumer = _make(ShareConsumer, explicit, Role.SHARE_CONSUMER, say)
    return consumer


def make_admin(properties: Mapping[str, str], say: Say) -> AdminClient:
    """Make an admin client. Raises LabError (usage) when a property is not accepted."""
    from confluent_kafka.admin import AdminClient

    admin: AdminClient = _make(AdminClient, properties, Role.ADMIN, say)
    return admin


def _make(kind: Callable[[dict[str, Any]], Any], properties: Mapping[str, str], role: Role, say: Say) -> Any:
    from confluent_kafka import KafkaException

    translated = translate(properties, role)
    for note in translated.notes:
        say(note)
    # librdkafka's own log lines repeat what the callback is told, in another style.
    config = {"log_level": "0", **translated.properties, "error_cb": _Complaints(say)}
    try:
        return kind(config)
    except (KafkaException, ValueError, TypeError) as error:
        reason = error.args[0]
        raise not_accepted(reason.str() if hasattr(reason, "str") else str(reason), translated.properties) from error


class _Complaints:
    """Tells each error once, until another one comes: a broker that is down is complained about every second."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = ""

    def __call__(self, error: Any) -> None:
        if error.name() == "_TRANSPORT":  # followed by _ALL_BROKERS_DOWN when it matters
            return
        text = f"{error.name().lstrip('_')}: {error.str()}"
        if text != self._last:
            self._last = text
            self._say(text)
