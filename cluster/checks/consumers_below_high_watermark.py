"""consumers-below-high-watermark: no consumer is given a record that is not committed.

A record above the high watermark exists on the leader only, and may be truncated; a consumer that saw it would have
seen what never was. Judged against the highest watermark that any leader had announced by then.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, RecordConsumed, Traced
from cluster.checks.oracle import Oracle, Violation


class ConsumersBelowHighWatermark(Oracle):
    """Every consumed offset is below a high watermark that a leader had reached."""

    name = "consumers-below-high-watermark"
    kinds = (HighWatermarkAdvanced.kind, RecordConsumed.kind)

    def __init__(self) -> None:
        super().__init__()
        self._high_watermarks: dict[TopicPartition, int] = {}

    def on_event(self, traced: Traced) -> None:
        """Follow the leaders' watermarks; compare what consumers get."""
        event = traced.event
        if isinstance(event, HighWatermarkAdvanced):
            partition = TopicPartition(event.topic, event.partition)
            if event.role == "leader" and event.high_watermark > self._high_watermarks.get(partition, 0):
                self._high_watermarks[partition] = event.high_watermark
        elif isinstance(event, RecordConsumed):
            partition = TopicPartition(event.topic, event.partition)
            high_watermark = self._high_watermarks.get(partition, 0)
            if event.offset >= high_watermark:
                message = (
                    f"{traced.node} was given {partition}@{event.offset} under a high watermark of {high_watermark}"
                )
                self.violated(Violation(traced.time_us, message, partition, event.offset, event.value))
