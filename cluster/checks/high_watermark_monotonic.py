"""high-watermark-monotonic-per-epoch: within one leader epoch, a high watermark never goes back.

A new leader may start below the old one's high watermark and catch up (Kafka allows that, clients see
OFFSET_NOT_AVAILABLE), and a restarted process starts from its checkpoint; so a replica is compared with itself only,
within one epoch and one life.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, NodeStarted, TopicDeleted, Traced
from cluster.checks.oracle import Oracle, Violation


class HighWatermarkMonotonic(Oracle):
    """Each replica's high watermark rises within an epoch."""

    name = "high-watermark-monotonic-per-epoch"
    kinds = (HighWatermarkAdvanced.kind, NodeStarted.kind, TopicDeleted.kind)

    def __init__(self) -> None:
        super().__init__()
        self._highest: dict[str, dict[TopicPartition, tuple[int, int]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare with the same replica's last one."""
        event = traced.event
        if isinstance(event, NodeStarted):
            self._highest.pop(traced.node, None)
        elif isinstance(event, TopicDeleted):
            own = self._highest.get(traced.node, {})
            self._highest[traced.node] = {tp: last for tp, last in own.items() if tp.topic != event.topic}
        elif isinstance(event, HighWatermarkAdvanced):
            self._on_moved(traced, event)

    def _on_moved(self, traced: Traced, event: HighWatermarkAdvanced) -> None:
        partition = TopicPartition(event.topic, event.partition)
        own = self._highest.setdefault(traced.node, {})
        epoch, last = own.get(partition, (-1, -1))
        if event.leader_epoch == epoch and event.high_watermark < last:
            message = f"{traced.node} moved {partition} back from {last} to {event.high_watermark} in epoch {epoch}"
            self.violated(Violation(traced.time_us, message, partition, event.high_watermark))
        own[partition] = (event.leader_epoch, event.high_watermark)
