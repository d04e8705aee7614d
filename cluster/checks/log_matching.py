"""log-matching: what is committed under two high watermarks is the same.

LogMatching of the TLA+ specifications: any two replicas agree at every offset below both high watermarks. Judged at
every move of one, against the true high watermark: a leader never commits another record at an offset that was
committed, and a follower claims nothing that no leader committed.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import HighWatermarkAdvanced, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.epoch_runs import UNKNOWN_EPOCH
from cluster.checks.oracle import Oracle, Violation


class LogMatching(Oracle):
    """Compare what a replica calls committed with what was."""

    name = "log-matching"
    kinds = (HighWatermarkAdvanced.kind,)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def __init__(self) -> None:
        super().__init__()
        self._reported: dict[tuple[str, str, int, int], None] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge one replica's high watermark."""
        event = traced.event
        if not isinstance(event, HighWatermarkAdvanced) or self.model.is_ignored(traced.node, event.topic):
            return
        partition = self.model.partitions[(event.topic, event.partition)]
        if event.role == "leader":
            if partition.diverged_at is not None:
                self._wrong(traced, event, partition.diverged_at, "commits another record at")
            return
        committed, log = partition.committed, partition.replicas[traced.node].log
        last = event.high_watermark - 1
        if event.high_watermark > committed.end:
            self._wrong(traced, event, committed.end, "calls committed what no leader has committed,")
        elif log.epoch_at(last) != (epoch := committed.epoch_at(last)) and UNKNOWN_EPOCH not in (
            epoch,
            log.epoch_at(last),
        ):
            self._wrong(traced, event, last, "calls another record committed at")

    def _wrong(self, traced: Traced, event: HighWatermarkAdvanced, offset: int, what: str) -> None:
        reported = (traced.node, event.topic, event.partition, event.leader_epoch)
        if event.role == "leader" or reported not in self._reported:
            self._reported[reported] = None
            partition = TopicPartition(event.topic, event.partition)
            message = f"{traced.node} ({event.role}, epoch {event.leader_epoch}) {what} {partition}@{offset}"
            self.violated(Violation(traced.time_us, message, partition, offset))
