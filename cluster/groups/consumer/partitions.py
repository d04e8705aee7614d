"""Partitions by topic id, as the new protocol speaks of them.

Here: the word that all of this room shares, and how it is ordered and grouped. A set is never gone through as it is:
its order depends on the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cluster.base.ids import TopicId, TopicPartition
from cluster.metadata import MetadataImage


class TopicIdPartition(NamedTuple):
    """One partition of a topic, by id: a topic that is deleted and created again is another one (KIP-516)."""

    topic_id: TopicId
    partition: int


Partitions = frozenset[TopicIdPartition]

NO_PARTITIONS: Partitions = frozenset()


def by_topic(partitions: Iterable[TopicIdPartition]) -> dict[TopicId, list[int]]:
    """Return partition numbers by topic, both in order."""
    topics: dict[TopicId, list[int]] = {}
    for topic_id, number in sorted(partitions):
        topics.setdefault(topic_id, []).append(number)
    return topics


def named(partitions: Iterable[TopicIdPartition], image: MetadataImage) -> tuple[TopicPartition, ...]:
    """Return partitions by their topics' names, in order; those of topics that are gone are left out."""
    names = image.topic_names
    return tuple(
        sorted(TopicPartition(names[each.topic_id], each.partition) for each in partitions if each[0] in names)
    )


def identified(partitions: Iterable[TopicPartition], image: MetadataImage) -> Partitions:
    """Return partitions by their topics' ids; those of topics that do not exist are left out."""
    topics = image.topics
    return frozenset(
        TopicIdPartition(topics[each.topic].topic_id, each.partition) for each in partitions if each.topic in topics
    )
