"""replication-quorum-superset: a leader waits for everybody whom the controller may elect.

ReplicationQuorumSuperset of the KIP-966 specification: on a leader that is not stale and whose ISR is large enough
to commit, the maximal ISR (what it knows, and what it has asked for) covers the controller's ISR and ELR.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    PartitionMetadataApplied,
    Traced,
)
from cluster.checks.contract import ISR_UNCOVERED
from cluster.checks.oracle import Oracle, Violation


class MaximalIsrCovers(Oracle):
    """Compare a leader's maximal ISR with the newest metadata."""

    name = "replication-quorum-superset"
    kinds = (
        HighWatermarkAdvanced.kind,
        IsrChangeAnswered.kind,
        IsrChangeRequested.kind,
        PartitionMetadataApplied.kind,
    )
    uses_model = True
    permitted_as = ISR_UNCOVERED

    def __init__(self) -> None:
        super().__init__()
        self._reported: dict[tuple[str, int, int], None] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge the partition's leader, when it commits or either side changes."""
        event = traced.event
        assert isinstance(
            event, HighWatermarkAdvanced | IsrChangeAnswered | IsrChangeRequested | PartitionMetadataApplied
        )
        if isinstance(event, HighWatermarkAdvanced) and event.role != "leader":
            return
        key = (event.topic, event.partition)
        partition = self.model.partition(key)
        newest = partition.metadata
        if newest is None:
            return
        leader = self.model.member(partition, newest.leader)
        if leader is None or leader.role != "leader" or leader.leader_epoch != newest.leader_epoch:
            return
        if len(leader.isr) < self.model.min_isr(event.topic, len(newest.replicas)):
            return
        waits_for = leader.maximal_isr
        missing = [number for number in (*newest.isr, *newest.elr) if number not in waits_for]
        reported = (*key, newest.partition_epoch)
        if missing and reported not in self._reported:
            self._reported[reported] = None
            where = TopicPartition(*key)
            names = ", ".join(self.model.names.get(number, str(number)) for number in missing)
            message = f"{leader.node} leads {where} and does not wait for {names}, whom the controller may elect"
            self.violated(Violation(traced.time_us, message, where))
