"""commit-needs-min-isr: nothing is committed while fewer replicas are in sync than min.insync.replicas asks for.

KIP-966: the high watermark stands still below the minimum, or an eligible leader replica would lack what was
committed without it. Judged on the ISR that the leader itself knows.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, Traced
from cluster.checks.oracle import Oracle, Violation


class CommitNeedsMinIsr(Oracle):
    """Count the ISR whenever a leader commits."""

    name = "commit-needs-min-isr"
    kinds = (HighWatermarkAdvanced.kind,)
    uses_model = True

    def on_event(self, traced: Traced) -> None:
        """Judge a leader that moves its high watermark."""
        event = traced.event
        assert isinstance(event, HighWatermarkAdvanced)
        if event.role != "leader" or self.model.is_ignored(traced.node, event.topic):
            return
        partition = self.model.partitions[(event.topic, event.partition)]
        leader = partition.replicas[traced.node]
        if partition.metadata is None or not leader.isr:
            return
        needed = self.model.min_isr(event.topic, len(partition.metadata.replicas))
        if len(leader.isr) < needed:
            where = TopicPartition(event.topic, event.partition)
            message = (
                f"{traced.node} commits {where} to {event.high_watermark} with {len(leader.isr)} of {needed} in sync"
            )
            self.violated(Violation(traced.time_us, message, where, event.high_watermark - 1))
