"""one-owner-per-generation: in one generation of a group, no two members own the same partition.

What counts is what members were told, not what a coordinator believed: one that was fenced may believe for a while in
an assignment that was never committed, but must not tell anybody.
"""

from __future__ import annotations

from cluster.base.group_trace import GroupAssigned, GroupStateChanged
from cluster.base.trace import Traced
from cluster.checks.oracle import Oracle, Violation

_DELETED = "Dead"


class OneOwnerPerGeneration(Oracle):
    """Remember who was told to own what, by group and generation."""

    name = "one-owner-per-generation"
    kinds = (GroupAssigned.kind, GroupStateChanged.kind)

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, dict[tuple[int, str], str]] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare an owner with the one that the partition already has."""
        event = traced.event
        if isinstance(event, GroupAssigned):
            owners = self._owners.setdefault(event.group, {})
            for partition in event.partitions:
                first = owners.setdefault((event.generation, partition), event.member)
                if first != event.member:
                    message = f"{first} and {event.member} both own {partition} in generation {event.generation}"
                    self.violated(Violation(traced.time_us, f"{event.group}: {message}"))
        elif isinstance(event, GroupStateChanged) and event.state == _DELETED:
            self._owners.pop(event.group, None)  # a group of the same name would begin to count anew
