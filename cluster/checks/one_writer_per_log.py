"""valid-fetcher: one hand writes each log, and in order.

ValidFetcher of the KIP-966 specification: a follower has one fetcher, a leader none. Seen from the log: what is
appended continues it without a gap or an overlap, under the role that the replica has, and a leader's batches carry the
epoch under which it leads.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    LogTruncated,
    NodeStarted,
    PartitionRoleChanged,
    TopicDeleted,
    Traced,
)
from cluster.checks.oracle import Oracle, Violation


class OneWriterPerLog(Oracle):
    """Follow the end of each log and the role of each replica."""

    name = "valid-fetcher"
    kinds = (BatchAppended.kind, LogTruncated.kind, NodeStarted.kind, PartitionRoleChanged.kind, TopicDeleted.kind)

    def __init__(self) -> None:
        super().__init__()
        self._replicas: dict[str, dict[tuple[str, int], tuple[str, int, int]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge an append; follow everything else. A replica is known from its first role on: (role, epoch, end)."""
        event = traced.event
        own = self._replicas.setdefault(traced.node, {})
        if isinstance(event, BatchAppended):
            key = (event.topic, event.partition)
            known = own.get(key)
            if known is not None:
                role, epoch, end = known
                is_right = event.role == role and (role != "leader" or event.leader_epoch == epoch)
                if not is_right or event.base_offset != end:
                    self._judge(traced, event, known)
                own[key] = (role, epoch, event.last_offset + 1)
        elif isinstance(event, PartitionRoleChanged):
            own[(event.topic, event.partition)] = (event.role, event.leader_epoch, event.log_end_offset)
        elif isinstance(event, LogTruncated):
            role, epoch, _ = own.get((event.topic, event.partition), (event.kind, -1, 0))
            if role != event.kind:
                own[(event.topic, event.partition)] = (role, epoch, event.to_offset)
        elif isinstance(event, TopicDeleted):
            self._replicas[traced.node] = {key: known for key, known in own.items() if key[0] != event.topic}
        else:
            own.clear()

    def _judge(self, traced: Traced, event: BatchAppended, known: tuple[str, int, int]) -> None:
        role, epoch, end = known
        where = TopicPartition(event.topic, event.partition)
        place = f"{where}@{event.base_offset}"
        if event.role != role:
            message = f"{traced.node} appends {place} as {event.role} and is {role}"
        elif role == "leader" and event.leader_epoch != epoch:
            message = f"{traced.node} leads in epoch {epoch} and appends {place} under {event.leader_epoch}"
        elif role == "follower" and event.base_offset > end:
            return  # it began anew where its leader's log begins: what it lacked was deleted by retention
        else:
            message = f"{traced.node} appends {place} to a log that ends at {end}"
        self.violated(Violation(traced.time_us, message, where, event.base_offset))
