"""consistent-read: a record that a consumer was given stays at its offset on every later leader.

ConsistentRead of the KIP-966 specification. Judged when a replica begins to lead, of everything below the highest
offset that any consumer had been given, and of each record that is given, against what was committed at its offset.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import PartitionRoleChanged, RecordConsumed, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.oracle import Oracle, Violation


class ConsistentRead(Oracle):
    """Compare a new leader's log with what was consumed."""

    name = "consistent-read"
    kinds = (PartitionRoleChanged.kind, RecordConsumed.kind)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def __init__(self) -> None:
        super().__init__()
        self._consumed: dict[tuple[str, int], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Note what is consumed; judge a replica that begins to lead."""
        event = traced.event
        if isinstance(event, RecordConsumed):
            if event.offset >= self._consumed.get((event.topic, event.partition), 0):
                self._consumed[(event.topic, event.partition)] = event.offset + 1
        elif isinstance(event, PartitionRoleChanged) and event.role == "leader":
            self._on_leader(traced, event)

    def _on_leader(self, traced: Traced, event: PartitionRoleChanged) -> None:
        if self.model.is_ignored(traced.node, event.topic):
            return
        key = (event.topic, event.partition)
        partition = self.model.partition(key)
        if partition.metadata is not None and partition.metadata.leader_epoch > event.leader_epoch:
            return
        end = min(self._consumed.get(key, 0), partition.committed.end)
        log = partition.replicas[traced.node].log
        changed = log.first_difference(partition.committed, end)
        if changed is None and log.end < end:
            changed = log.end
        if changed is not None:
            self._consumed[key] = changed
            where = TopicPartition(*key)
            message = (
                f"{traced.node} leads {where} in epoch {event.leader_epoch} without @{changed}, which was consumed"
            )
            self.violated(Violation(traced.time_us, message, where, changed))
