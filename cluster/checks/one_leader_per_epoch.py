"""one-leader-per-epoch: under one leader epoch of a partition, one broker leads.

Two brokers may both act as leader at one time, under different epochs: the older is a zombie, which the epoch fences.
Two under one epoch would be split brain.
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import (
    BatchAppended,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    TopicDeleted,
    Traced,
)
from cluster.checks.oracle import Oracle, Violation


class OneLeaderPerEpoch(Oracle):
    """Neither two nodes act as leader under one epoch, nor do two versions of metadata name different ones."""

    name = "one-leader-per-epoch"
    kinds = (PartitionMetadataApplied.kind, PartitionRoleChanged.kind, BatchAppended.kind, TopicDeleted.kind)

    def __init__(self) -> None:
        super().__init__()
        self._acting: dict[tuple[TopicPartition, int], str] = {}
        self._declared: dict[tuple[TopicPartition, int], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare a leader with the one that the epoch already has."""
        event = traced.event
        if isinstance(event, PartitionMetadataApplied):
            self._on_declared(traced, event)
        elif isinstance(event, PartitionRoleChanged | BatchAppended) and event.role == "leader":
            self._on_acting(traced, TopicPartition(event.topic, event.partition), event.leader_epoch)
        elif isinstance(event, TopicDeleted):
            # A topic of the same name would begin at epoch 0 again.
            self._acting = {key: node for key, node in self._acting.items() if key[0].topic != event.topic}
            self._declared = {key: leader for key, leader in self._declared.items() if key[0].topic != event.topic}

    def _on_acting(self, traced: Traced, partition: TopicPartition, epoch: int) -> None:
        first = self._acting.setdefault((partition, epoch), traced.node)
        if first != traced.node:
            message = f"{first} and {traced.node} both led {partition} in epoch {epoch}"
            self.violated(Violation(traced.time_us, message, partition))

    def _on_declared(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        if event.leader == NO_NODE:
            return
        partition = TopicPartition(event.topic, event.partition)
        first = self._declared.setdefault((partition, event.leader_epoch), event.leader)
        if first != event.leader:
            message = (
                f"metadata names {first} and {event.leader} as leaders of {partition} in epoch {event.leader_epoch}"
            )
            self.violated(Violation(traced.time_us, message, partition))
