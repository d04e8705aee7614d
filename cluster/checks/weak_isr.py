"""weak-isr: below a leader's high watermark, whoever the leader itself counts as in sync holds the same records.

WeakIsr of the 2018 specification of Kafka's replication: it holds for stale leaders as well, which commit by their own
knowledge. Judged when a leader commits, of members whose process runs.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.epoch_runs import UNKNOWN_EPOCH
from cluster.checks.oracle import Oracle, Violation


class WeakIsr(Oracle):
    """Compare the logs of a leader's own ISR at the last committed record."""

    name = "weak-isr"
    kinds = (HighWatermarkAdvanced.kind,)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def on_event(self, traced: Traced) -> None:
        """Judge a leader that moves its high watermark."""
        event = traced.event
        assert isinstance(event, HighWatermarkAdvanced)
        if event.role != "leader" or self.model.is_ignored(traced.node, event.topic):
            return
        partition = self.model.partitions[(event.topic, event.partition)]
        leader = partition.replicas[traced.node]
        last = event.high_watermark - 1
        epoch = leader.log.epoch_at(last)
        for number in leader.isr:
            member = self.model.member(partition, number)
            if member is None or member is leader:
                continue
            if member.log.end <= last or UNKNOWN_EPOCH != member.log.epoch_at(last) != epoch != UNKNOWN_EPOCH:
                where = TopicPartition(event.topic, event.partition)
                message = f"{traced.node} commits {where}@{last}, which {member.node} of its ISR does not hold"
                self.violated(Violation(traced.time_us, message, where, last))
