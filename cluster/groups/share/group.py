"""A share group, whose members may read the same partitions at once (Kafka: `ShareGroup`, a `ModernGroup`).

Here: the facts. They are those of a consumer group, kept and written in the same way; but an assignment counts at once,
because nothing has to be revoked first. Which records each member gets is decided by the partitions' leaders
(`cluster.sharing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.base.ids import TopicId
from cluster.groups.consumer.group import ConsumerGroup
from cluster.groups.consumer.states import ConsumerGroupState


@dataclass(frozen=True, slots=True)
class SharedTopic:
    """A topic that the group has read: how far is kept for so many of its partitions."""

    name: str
    partitions: int


@dataclass(frozen=True, slots=True)
class ShareGroup(ConsumerGroup):
    """One share group. `shared` are the topics that it has ever read, while they exist."""

    shared: Mapping[TopicId, SharedTopic] = field(default_factory=dict)

    @property
    def state(self) -> ConsumerGroupState:
        """A share group is stable while it has members: nobody waits for anybody."""
        return ConsumerGroupState.STABLE if self.members else ConsumerGroupState.EMPTY
