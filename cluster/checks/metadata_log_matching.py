"""metadata-log-matching: all nodes are told the same about a partition.

MetadataLogMatching of the KIP-966 specification: each broker's metadata is a prefix-equal copy of the controller's.
Every change of a partition has a partition epoch of its own, so two nodes that know one epoch know the same facts.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import PartitionMetadataApplied, Traced
from cluster.checks.oracle import Oracle, Violation

_Facts = tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class MetadataLogMatching(Oracle):
    """Compare what nodes apply, by partition epoch."""

    name = "metadata-log-matching"
    kinds = (PartitionMetadataApplied.kind,)
    uses_model = True

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[tuple[str, int, int, int], tuple[str, _Facts]] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare with who learned it first."""
        event = traced.event
        assert isinstance(event, PartitionMetadataApplied)
        life = self.model.life(event.topic, event.metadata_offset)
        facts = (event.leader, event.leader_epoch, event.replicas, event.isr, event.elr)
        key = (event.topic, event.partition, life, event.partition_epoch)
        first, known = self._facts.setdefault(key, (traced.node, facts))
        if known != facts:
            where = TopicPartition(event.topic, event.partition)
            message = f"{first} and {traced.node} know {where} differently in partition epoch {event.partition_epoch}"
            self.violated(Violation(traced.time_us, message, where))
