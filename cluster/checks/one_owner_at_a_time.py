"""one-owner-at-a-time: in a group of the new protocol, no two members own the same partition at once.

A member owns what it was told that it may use, in its epoch, until it reports that it gave it up, or is gone: from
then on it is fenced, and what it still commits is refused. What counts is what members were told, not what a
coordinator believed: one that was itself fenced must not tell anybody.
"""

from __future__ import annotations

from cluster.base.group_trace import ConsumerAssigned, ConsumerGone, ConsumerReported, GroupStateChanged
from cluster.base.trace import Traced
from cluster.checks.oracle import Oracle, Violation

_DELETED = "Dead"


class OneOwnerAtATime(Oracle):
    """Remember who owns what, by group and partition: the owner and the epoch in which it was told."""

    name = "one-owner-at-a-time"
    kinds = (ConsumerAssigned.kind, ConsumerReported.kind, ConsumerGone.kind, GroupStateChanged.kind)

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, dict[str, tuple[str, int]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare an owner with the one that the partition has, or let go of what is given up."""
        event = traced.event
        if isinstance(event, ConsumerAssigned):
            owners = self._owners.setdefault(event.group, {})
            for partition in event.partitions:
                owner, epoch = owners.get(partition, (event.member, event.epoch))
                if owner != event.member:
                    message = (
                        f"{owner} owns {partition} since epoch {epoch} and {event.member} is told in epoch "
                        f"{event.epoch} that it may use it"
                    )
                    self.violated(Violation(traced.time_us, f"{event.group}: {message}"))
                owners[partition] = (event.member, event.epoch)
        elif isinstance(event, ConsumerReported):
            self._release(event.group, event.member, event.partitions)
        elif isinstance(event, ConsumerGone):
            self._release(event.group, event.member, ())
        elif isinstance(event, GroupStateChanged) and event.state == _DELETED:
            self._owners.pop(event.group, None)

    def _release(self, group: str, member: str, kept: tuple[str, ...]) -> None:
        owners = self._owners.get(group, {})
        self._owners[group] = {
            partition: owner for partition, owner in owners.items() if owner[0] != member or partition in kept
        }
