"""What consumers put into their subscriptions and assignments, as far as a coordinator looks into them.

Here: the embedded consumer protocol (schemas `ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`), read only.
A coordinator passes these bytes through untouched. It looks into them for two reasons: offsets of topics that are
being read must not be deleted, and the trace shall say who owns what.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.groups.group import Group
from cluster.wire import INT16, INT32, Cursor, MalformedMessage

CONSUMER_PROTOCOL = "consumer"
"""The protocol type of consumers; others, such as Kafka Connect's, put something else into the bytes."""


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


def assigned_partitions(assignment: bytes) -> tuple[TopicPartition, ...]:
    """Return the partitions of an assignment, in order; nothing when it is empty or no consumer's."""
    if not assignment:
        return ()
    cursor = Cursor(assignment)
    found: list[TopicPartition] = []
    try:
        cursor.number(INT16)
        for _ in cursor.elements(False):
            topic = cursor.text(False)
            found += [TopicPartition(topic, cursor.number(INT32)) for _ in cursor.elements(False)]
    except MalformedMessage:
        return ()
    return tuple(sorted(found))
