"""What consumers put into their subscriptions and assignments, as far as a coordinator looks into them.

Here: the embedded consumer protocol (schemas `ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`). A
coordinator passes these bytes through untouched. It looks into them because offsets of topics that are being read must
not be deleted, because the trace shall say who owns what, and because members of both protocols may meet in one group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.base.ids import TopicPartition
from cluster.groups.group import Group
from cluster.wire import INT16, INT32, Cursor, MalformedMessage, string

CONSUMER_PROTOCOL = "consumer"
"""The protocol type of consumers; others, such as Kafka Connect's, put something else into the bytes."""

_NO_DATA = INT32.pack(-1)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a consumer of the classic protocol says when it joins. Versions before 1 do not say what it owns."""

    version: int
    topics: tuple[str, ...]
    owned: tuple[TopicPartition, ...] = ()
    rack_id: str | None = None


def subscribed_topics(group: Group) -> frozenset[str] | None:
    """Return the topics that members of a group read; None when a member's subscription cannot be understood."""
    topics: list[str] = []
    for member in group.members.values():
        for _, metadata in member.protocols[:1]:
            try:
                topics += _topics(metadata)
            except MalformedMessage:
                return None
    return frozenset(topics)


def _topics(metadata: bytes) -> list[str]:
    cursor = Cursor(metadata)
    cursor.number(INT16)  # the version; all begin with the topics
    return [cursor.text(False) for _ in cursor.elements(False)]


def read_subscription(metadata: bytes) -> Subscription:
    """Read what a consumer says when it joins. Raises MalformedMessage."""
    cursor = Cursor(metadata)
    version = cursor.number(INT16)
    if version < 0:
        raise MalformedMessage(f"a subscription of version {version}")
    topics = tuple(cursor.text(False) for _ in cursor.elements(False))
    cursor.data(False)
    owned = _partitions(cursor) if version >= 1 else ()
    rack_id = None
    if version >= 3:
        cursor.number(INT32)  # the generation in which it owned them
        rack_id = cursor.string(False)
    return Subscription(version, topics, owned, rack_id)


def assigned_partitions(assignment: bytes) -> tuple[TopicPartition, ...]:
    """Return the partitions of an assignment, in order; nothing when it is empty or no consumer's."""
    try:
        return read_assignment(assignment)[0] if assignment else ()
    except MalformedMessage:
        return ()


def read_assignment(assignment: bytes) -> tuple[tuple[TopicPartition, ...], bytes]:
    """Return the partitions of an assignment, in order, and what its assignor put beside them.

    Raises MalformedMessage.
    """
    cursor = Cursor(assignment)
    cursor.number(INT16)
    partitions = tuple(sorted(_partitions(cursor)))
    says_more = cursor.position < len(assignment)
    return partitions, bytes(cursor.data(False) or b"") if says_more else b""


def write_assignment(partitions: Iterable[TopicPartition], version: int) -> bytes:
    """Return an assignment in the version of the subscription that it answers."""
    topics: dict[str, list[int]] = {}
    for topic, number in partitions:
        topics.setdefault(topic, []).append(number)
    parts = [INT16.pack(version), INT32.pack(len(topics))]
    for topic, numbers in topics.items():
        parts += (string(topic, False), INT32.pack(len(numbers)), *(INT32.pack(number) for number in numbers))
    return b"".join((*parts, _NO_DATA))


def _partitions(cursor: Cursor) -> tuple[TopicPartition, ...]:
    found: list[TopicPartition] = []
    for _ in cursor.elements(False):
        topic = cursor.text(False)
        found += [TopicPartition(topic, cursor.number(INT32)) for _ in cursor.elements(False)]
    return tuple(found)
