"""no-committed-record-lost-globally: every committed record is on the disk of some broker.

NoCommittedRecordLostGlobally of the KIP-966 specification. Judged when a log becomes shorter; a node that is down
counts with what it had, until it comes back with less.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import LogTruncated, PartitionRoleChanged, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.oracle import Oracle, Violation


class CommittedKeptSomewhere(Oracle):
    """Look for a log that holds everything up to the true high watermark."""

    name = "no-committed-record-lost-globally"
    kinds = (LogTruncated.kind, PartitionRoleChanged.kind)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def __init__(self) -> None:
        super().__init__()
        self._lost: dict[tuple[str, int], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge the partition whose log may have become shorter."""
        event = traced.event
        if not isinstance(event, LogTruncated | PartitionRoleChanged):
            return
        if self.model.is_ignored(traced.node, event.topic):
            return
        key = (event.topic, event.partition)
        partition = self.model.partition(key)
        committed = partition.committed
        end = committed.end
        best = 0
        for replica in partition.replicas.values():
            kept = min(replica.log.end, end)
            different = replica.log.first_difference(committed, end)
            best = max(best, kept if different is None else different)
        if best < end and self._lost.get(key) != best:
            self._lost[key] = best
            where = TopicPartition(*key)
            message = (
                f"no broker has {where}@{best} to @{end - 1} any more, which was committed ({traced.node} lost it)"
            )
            self.violated(Violation(traced.time_us, message, where, best))
