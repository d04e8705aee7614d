"""one-active-controller-per-epoch: an epoch of the metadata quorum has one leader (Raft's election safety, §5.2)."""

from __future__ import annotations

from cluster.base.trace import ControllerActivated, RaftRoleChanged, Traced
from cluster.checks.oracle import Oracle, Violation


class OneActiveControllerPerEpoch(Oracle):
    """No two nodes become Raft leader, or active controller, in one term."""

    name = "one-active-controller-per-epoch"
    kinds = (ControllerActivated.kind, RaftRoleChanged.kind)

    def __init__(self) -> None:
        super().__init__()
        self._leaders: dict[int, str] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare with the node that already led in the term."""
        event = traced.event
        if isinstance(event, ControllerActivated):
            epoch = event.epoch
        elif isinstance(event, RaftRoleChanged) and event.role == "leader":
            epoch = event.term
        else:
            return
        first = self._leaders.setdefault(epoch, traced.node)
        if first != traced.node:
            message = f"{first} and {traced.node} were both active controller in epoch {epoch}"
            self.violated(Violation(traced.time_us, message))
