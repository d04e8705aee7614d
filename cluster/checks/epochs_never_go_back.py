"""epochs-never-go-back: no node's leader epochs, partition epochs or metadata offsets return to an earlier one.

The fencing of KIP-101, KIP-320 and KIP-497 rests on it. A restarted node reads the metadata again from the beginning,
so views are compared within one life; the epoch under which a replica acts is compared across lives as long as its
log says so, which is not traced: within one life too.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import NodeStarted, PartitionMetadataApplied, PartitionRoleChanged, TopicDeleted, Traced
from cluster.checks.oracle import Oracle, Violation


class EpochsNeverGoBack(Oracle):
    """Compare each node's epochs with its own last ones."""

    name = "epochs-never-go-back"
    kinds = (NodeStarted.kind, PartitionMetadataApplied.kind, PartitionRoleChanged.kind, TopicDeleted.kind)

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[str, dict[tuple[str, int], tuple[int, int, int]]] = {}
        self._roles: dict[str, dict[tuple[str, int], int]] = {}

    def on_event(self, traced: Traced) -> None:
        """Take a view or a role in."""
        event = traced.event
        if isinstance(event, PartitionMetadataApplied):
            self._on_view(traced, event)
        elif isinstance(event, PartitionRoleChanged):
            roles = self._roles.setdefault(traced.node, {})
            key = (event.topic, event.partition)
            if event.leader_epoch < roles.get(key, -1):
                where = TopicPartition(*key)
                message = f"{traced.node} is {event.role} of {where} in epoch {event.leader_epoch} after {roles[key]}"
                self.violated(Violation(traced.time_us, message, where))
            roles[key] = event.leader_epoch
        elif isinstance(event, TopicDeleted):
            for known in (self._views, self._roles):
                own = known.get(traced.node, {})
                for key in [key for key in own if key[0] == event.topic]:
                    del own[key]
        else:
            self._views.pop(traced.node, None)
            self._roles.pop(traced.node, None)

    def _on_view(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        views = self._views.setdefault(traced.node, {})
        key = (event.topic, event.partition)
        now = (event.metadata_offset, event.leader_epoch, event.partition_epoch)
        before = views.get(key)
        if before is not None and any(new < old for new, old in zip(now, before, strict=True)):
            where = TopicPartition(*key)
            message = f"{traced.node} went from metadata offset, leader epoch, partition epoch {before} to {now}"
            self.violated(Violation(traced.time_us, f"{where}: {message}", where))
        views[key] = now
