"""How far a share group has come with one partition, as it is kept: where it starts, and what became of what follows.

Here: frozen facts. Between the leader of the partition, which delivers, and the share coordinator, which remembers.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from cluster.base.ids import NO_OFFSET, TopicId
from cluster.sharing.states import RecordState


class SharePartitionKey(NamedTuple):
    """One partition as one group shares it."""

    group_id: str
    topic_id: TopicId
    partition: int

    @property
    def text(self) -> str:
        """The key whose hash says who coordinates it, as Kafka writes it: the topic's id in URL-safe base 64."""
        return f"{self.group_id}:{_base64(self.topic_id)}:{self.partition}"


class StateBatch(NamedTuple):
    """Consecutive offsets, both ends included, of which the same is true."""

    first_offset: int
    last_offset: int
    state: RecordState
    delivery_count: int


@dataclass(frozen=True, slots=True)
class ShareState:
    """What is kept of one partition.

    `start_offset` is -1 before the group has read anything; below it everything is done. Offsets in no batch have not
    been delivered. A write under an older `state_epoch` (an admin has moved the start) or `leader_epoch` (somebody else
    leads the partition) is refused.
    """

    state_epoch: int = 0
    leader_epoch: int = -1
    start_offset: int = NO_OFFSET
    batches: tuple[StateBatch, ...] = ()
    snapshot_epoch: int = 0


def _base64(topic_id: UUID) -> str:
    return urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
