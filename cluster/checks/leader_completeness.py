"""leader-completeness: whoever begins to lead holds every record that was committed.

LeaderCompleteness of the TLA+ specifications of KIP-966 and of Kafka's replication, judged when a replica takes the
role, against the true high watermark. A leader of an epoch that the cluster has left already is not judged: nobody
will be told anything by it.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import PartitionRoleChanged, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.oracle import Oracle, Violation


class LeaderCompleteness(Oracle):
    """Compare a new leader's log with what was committed."""

    name = "leader-completeness"
    kinds = (PartitionRoleChanged.kind,)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def on_event(self, traced: Traced) -> None:
        """Judge a replica that begins to lead."""
        event = traced.event
        if not isinstance(event, PartitionRoleChanged) or event.role != "leader":
            return
        if self.model.is_ignored(traced.node, event.topic):
            return
        partition = self.model.partition((event.topic, event.partition))
        if partition.metadata is not None and partition.metadata.leader_epoch > event.leader_epoch:
            return
        committed, log = partition.committed, partition.replicas[traced.node].log
        missing = log.first_difference(committed, committed.end)
        if missing is None and log.end < committed.end:
            missing = log.end
        if missing is not None:
            key = TopicPartition(event.topic, event.partition)
            message = (
                f"{traced.node} leads {key} in epoch {event.leader_epoch} without {committed.end - missing} committed "
                f"records from @{missing} on"
            )
            self.violated(Violation(traced.time_us, message, key, missing))
