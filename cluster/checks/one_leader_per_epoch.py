"""one-leader-per-epoch: under one leader epoch of a partition, one broker leads.

Two brokers may both act as leader at one time, under different epochs: the older is a zombie, which the epoch fences.
Two under one epoch would be split brain.

A topic that is deleted and created again begins at epoch 0 again. A node that starts is told the whole history, the
deleted topic included: metadata is told apart by how many deletions lie below it in the metadata log.
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
        self._declared: dict[tuple[TopicPartition, int, int], int] = {}
        self._deleted_at: dict[str, list[int]] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare a leader with the one that the epoch already has."""
        event = traced.event
        if isinstance(event, PartitionMetadataApplied):
            self._on_declared(traced, event)
        elif isinstance(event, PartitionRoleChanged | BatchAppended) and event.role == "leader":
            self._on_acting(traced, TopicPartition(event.topic, event.partition), event.leader_epoch)
        elif isinstance(event, TopicDeleted):
            self._on_deleted(event)

    def _on_deleted(self, event: TopicDeleted) -> None:
        deletions = self._deleted_at.setdefault(event.topic, [])
        if event.metadata_offset not in deletions:
            deletions.append(event.metadata_offset)
            self._acting = {key: node for key, node in self._acting.items() if key[0].topic != event.topic}

    def _on_acting(self, traced: Traced, partition: TopicPartition, epoch: int) -> None:
        first = self._acting.setdefault((partition, epoch), traced.node)
        if first != traced.node:
            message = f"{first} and {traced.node} both led {partition} in epoch {epoch}"
            self.violated(Violation(traced.time_us, message, partition))

    def _on_declared(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        if event.leader == NO_NODE:
            return
        partition = TopicPartition(event.topic, event.partition)
        life = sum(offset < event.metadata_offset for offset in self._deleted_at.get(event.topic, ()))
        first = self._declared.setdefault((partition, life, event.leader_epoch), event.leader)
        if first != event.leader:
            message = (
                f"metadata names {first} and {event.leader} as leaders of {partition} in epoch {event.leader_epoch}"
            )
            self.violated(Violation(traced.time_us, message, partition))
