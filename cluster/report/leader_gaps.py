"""How long partitions had no leader: the price of a failover, which producers feel as silence."""

from __future__ import annotations

from typing import ClassVar

from cluster.base.ids import TopicPartition
from cluster.base.trace import NodeFaulted, NodeStarted, PartitionMetadataApplied, Traced
from cluster.report.cluster_view import ClusterView


class LeaderGaps:
    """Adds up the time without a leader, over all partitions of a view that has taken each event in already."""

    kinds: ClassVar[tuple[str, ...]] = (NodeFaulted.kind, NodeStarted.kind, PartitionMetadataApplied.kind)
    """The events that it must be shown."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._since_us: dict[TopicPartition, int] = {}
        self._total_us = 0

    def on_event(self, traced: Traced) -> None:
        """Note where leaders were lost or found."""
        if traced.event.kind not in self.kinds:
            return
        for partition in self._view.partitions:
            if self._view.leader(partition) is None:
                self._since_us.setdefault(partition, traced.time_us)
            elif partition in self._since_us:
                self._total_us += traced.time_us - self._since_us.pop(partition)

    def total_us(self, now_us: int) -> int:
        """Partition-microseconds without a leader until now."""
        return self._total_us + sum(now_us - since_us for since_us in self._since_us.values())
