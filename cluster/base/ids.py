"""Identities that every room shares: nodes, topics, partitions.

Here: names for things. Not here: anything that has state or meaning beyond equality.
"""

from __future__ import annotations

from typing import NamedTuple, NewType
from uuid import UUID

NodeId = NewType("NodeId", int)
"""A broker or a controller; ids are unique over both roles (Kafka's `node.id`)."""

TopicId = UUID
"""A topic's identity, which survives deletion and re-creation under the same name (KIP-516)."""

NO_NODE = NodeId(-1)
"""Kafka's "nobody": the leader of a partition that has none."""

NO_EPOCH = -1
"""Kafka's "unknown": a leader epoch or producer epoch that was not given."""

NO_OFFSET = -1
"""Kafka's "unknown": an offset that was not given or does not exist."""


class TopicPartition(NamedTuple):
    """One partition of a topic, by name. Its text form is the field's `topic-partition`."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    @classmethod
    def parse(cls, text: str) -> TopicPartition:
        """Read `orders-0`. Raises ValueError when the text has no partition number."""
        topic, dash, number = text.rpartition("-")
        if not dash or not topic or not number.isdigit():
            raise ValueError(f"{text!r} is not a partition; write it as topic-number, such as orders-0")
        return cls(topic, int(number))
