"""raft-commits-held-by-majority, raft-leader-completeness, raft-commit-index-monotonic: what is committed stays.

Kafka's `RaftEventSimulationTest`: a majority of voters holds everything below the leader's high watermark, which never
decreases. Raft §5.4: a leader has every entry that was committed before. A voter holds what its disk has synced.
"""

from __future__ import annotations

from cluster.base.trace import NodeStarted, RaftCommitted, RaftRoleChanged, RaftSynced, Traced
from cluster.checks.contract import QUORUM_DAMAGED
from cluster.checks.oracle import Oracle, Violation


class RaftCommitsHeldByMajority(Oracle):
    """Count the voters whose disks hold what a leader calls committed.

    A voter holds an entry when its synced log ends at or behind it, under the leader's term or a later one: it took
    entries of that term only after its log had matched the leader's.
    """

    name = "raft-commits-held-by-majority"
    kinds = (RaftCommitted.kind, RaftRoleChanged.kind, RaftSynced.kind)
    permitted_as = QUORUM_DAMAGED

    def __init__(self) -> None:
        super().__init__()
        self._synced: dict[str, tuple[int, int]] = {}
        self._leads: dict[str, bool] = {}

    def on_event(self, traced: Traced) -> None:
        """Judge a leader's commit."""
        event = traced.event
        if isinstance(event, RaftSynced):
            self._synced[traced.node] = (event.term, event.index)
        elif isinstance(event, RaftRoleChanged):
            self._leads[traced.node] = event.role == "leader"
        elif isinstance(event, RaftCommitted) and self._leads.get(traced.node):
            voters = self.setting.voters
            holders = [name for name in voters if self._holds(name, event.term, event.index)]
            if 2 * len(holders) <= len(voters):
                have = ", ".join(holders) or "nobody"
                message = f"{traced.node} commits entry {event.index} of term {event.term}, which {have} has on disk"
                self.violated(Violation(traced.time_us, message))

    def _holds(self, voter: str, term: int, index: int) -> bool:
        synced_term, synced_index = self._synced.get(voter, (-1, -1))
        return synced_term >= term and synced_index >= index


class RaftLeaderCompleteness(Oracle):
    """Compare the end of a new leader's log with the last entry that was committed."""

    name = "raft-leader-completeness"
    kinds = (RaftCommitted.kind, RaftRoleChanged.kind)
    permitted_as = QUORUM_DAMAGED

    def __init__(self) -> None:
        super().__init__()
        self._committed = -1

    def on_event(self, traced: Traced) -> None:
        """Follow commits; judge a new leader."""
        event = traced.event
        if isinstance(event, RaftCommitted):
            self._committed = max(self._committed, event.index)
        elif isinstance(event, RaftRoleChanged) and event.role == "leader" and 0 <= event.last_index < self._committed:
            message = f"{traced.node} leads in term {event.term} with {event.last_index} of {self._committed} entries"
            self.violated(Violation(traced.time_us, message))


class RaftCommitIndexMonotonic(Oracle):
    """Compare each voter's commit index with its last one; a restarted voter learns it anew."""

    name = "raft-commit-index-monotonic"
    kinds = (NodeStarted.kind, RaftCommitted.kind)

    def __init__(self) -> None:
        super().__init__()
        self._indexes: dict[str, int] = {}

    def on_event(self, traced: Traced) -> None:
        """Take a commit index in."""
        event = traced.event
        if isinstance(event, NodeStarted):
            self._indexes.pop(traced.node, None)
        elif isinstance(event, RaftCommitted):
            last = self._indexes.get(traced.node, -1)
            if event.index < last:
                message = f"{traced.node} moved its commit index back from {last} to {event.index}"
                self.violated(Violation(traced.time_us, message))
            self._indexes[traced.node] = event.index
