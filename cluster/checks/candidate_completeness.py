"""isr-has-all-committed, leader-candidate-completeness: whoever may be elected holds every committed record.

StrongIsr of the 2018 specification of Kafka's replication (below a leader's high watermark the *controller's* ISR holds
identical records), and LeaderCandidateCompleteness of KIP-966, which asks the same of eligible leader replicas. Judged
whenever something is committed or another ISR or ELR becomes known, of members whose process runs.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, PartitionMetadataApplied, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.oracle import Oracle, Violation


class IsrHasAllCommitted(Oracle):
    """Compare the logs of the newest ISR with what was committed."""

    name = "isr-has-all-committed"
    kinds = (HighWatermarkAdvanced.kind, PartitionMetadataApplied.kind)
    uses_model = True
    permitted_as = COMMITTED_LOST
    with_elr = False

    def __init__(self) -> None:
        super().__init__()
        self._reported: dict[tuple[str, int, str], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge all members."""
        event = traced.event
        if isinstance(event, HighWatermarkAdvanced):
            if event.role != "leader" or self.model.is_ignored(traced.node, event.topic):
                return
        elif not isinstance(event, PartitionMetadataApplied):
            return
        key = (event.topic, event.partition)
        partition = self.model.partition(key)
        newest = partition.metadata
        if newest is None or (isinstance(event, PartitionMetadataApplied) and newest is not event):
            return
        committed = partition.committed
        end = committed.end
        if end == 0:
            return
        epoch = committed.epoch_at(end - 1)
        for number in (*newest.isr, *newest.elr) if self.with_elr else newest.isr:
            member = self.model.member(partition, number)
            if member is None or (member.log.end >= end and member.log.epoch_at(end - 1) == epoch):
                continue
            missing = member.log.first_difference(committed, end)
            if missing is None:
                missing = member.log.end
            if missing < end and self._reported.get((*key, member.node), -1) != missing:
                self._reported[(*key, member.node)] = missing
                where = TopicPartition(*key)
                what = "ISR" if number in newest.isr else "ELR"
                message = f"{member.node} is in the {what} of {where} without @{missing}, which is committed (to {end})"
                self.violated(Violation(traced.time_us, message, where, missing))


class LeaderCandidateCompleteness(IsrHasAllCommitted):
    """The same of the ISR and of eligible leader replicas."""

    name = "leader-candidate-completeness"
    with_elr = True
