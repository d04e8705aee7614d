"""Where the console consumer's records come from: which partitions, from where, and until when.

Here: assignment, waiting, counting. Not here: how a record is printed (`message_formatter`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.console.clients import Say
from cluster.console.errors import failure, kafka_errors, remedy_for
from cluster.console.message_formatter import ConsumedRecord

if TYPE_CHECKING:
    from confluent_kafka import Consumer

EARLIEST = -2
LATEST = -1
"""The offsets that Kafka's protocol has for the two ends of a log."""

POLL_S = 0.1
"""How long Ctrl-C may have to wait."""

METADATA_TIMEOUT_S = 2.0

_TEMPORARY = ("_TRANSPORT", "_ALL_BROKERS_DOWN", "UNKNOWN_TOPIC_OR_PART", "LEADER_NOT_AVAILABLE", "_TIMED_OUT")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read: a topic or a pattern of topics, or one partition from an offset (or `EARLIEST`, `LATEST`)."""

    topic: str | None = None
    pattern: str | None = None
    partition: int | None = None
    offset: int = LATEST


def select(consumer: Consumer, selection: Selection) -> None:
    """Tell the consumer what to read. One partition is assigned without a group."""
    from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition

    with kafka_errors("Cannot consume"):
        if selection.partition is not None:
            assert selection.topic is not None, "a partition belongs to a topic"
            _know_leaders(consumer, selection.topic)
            start = {EARLIEST: OFFSET_BEGINNING, LATEST: OFFSET_END}.get(selection.offset, selection.offset)
            consumer.assign([TopicPartition(selection.topic, selection.partition, start)])
        elif selection.topic is not None:
            consumer.subscribe([selection.topic])
        else:
            consumer.subscribe([f"^{selection.pattern}"])


def consume(consumer: Consumer, max_messages: int, timeout_ms: int, say: Say) -> Iterator[ConsumedRecord]:
    """Yield records until there were `max_messages` (-1: no end), or none came for `timeout_ms` (-1: wait for ever).

    Raises LabError for what waiting does not heal.
    """
    count = 0
    last_s = time.monotonic()
    told: set[str] = set()
    while count < max_messages or max_messages < 0:
        message = consumer.poll(POLL_S)
        if message is not None and message.error() is None:
            count += 1
            yield record_of(message)
            last_s = time.monotonic()
        elif message is not None:
            tell(message.error(), told, say)
        elif timeout_ms >= 0 and (time.monotonic() - last_s) * 1000 > timeout_ms:
            return


def _know_leaders(consumer: Consumer, topic: str) -> None:
    """Ask who leads the partitions: librdkafka looks for an offset half a second later when it does not know yet."""
    from confluent_kafka import KafkaException

    with suppress(KafkaException):  # that nobody answers yet is told while waiting for records
        consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S)


def record_of(message: Any) -> ConsumedRecord:
    """Return what a message of confluent-kafka holds."""
    timestamp_type, timestamp_ms = message.timestamp()
    return ConsumedRecord(
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.topic(),
        tuple(message.headers() or ()),
        timestamp_type,
        timestamp_ms,
        message.leader_epoch(),
    )


def tell(error: Any, told: set[str], say: Say) -> None:
    """Say what may heal by itself, once; raise what does not."""
    name = error.name()
    if name == "_PARTITION_EOF":
        return
    if name not in _TEMPORARY and not error.retriable():
        raise failure(f"Cannot consume: {name.lstrip('_')}: {error.str()}", remedy_for(name))
    if name not in told:
        told.add(name)
        say(f"{name.lstrip('_')}: {error.str()}; waiting.")
