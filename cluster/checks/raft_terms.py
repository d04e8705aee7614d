"""raft-terms-monotonic, raft-one-vote-per-term: what a voter has promised it keeps, also through crashes.

Kafka's `RaftEventSimulationTest`, MonotonicEpoch, and the paper's §5.2: a term never decreases on one node, and in one
term it votes for one candidate. Both are on disk before anybody is told, so a restart changes nothing.
"""

from __future__ import annotations

from cluster.base.trace import RaftCommitted, RaftRoleChanged, RaftVoted, Traced
from cluster.checks.contract import QUORUM_DAMAGED
from cluster.checks.oracle import Oracle, Violation


class RaftTermsMonotonic(Oracle):
    """Compare each voter's term with its last one."""

    name = "raft-terms-monotonic"
    kinds = (RaftCommitted.kind, RaftRoleChanged.kind, RaftVoted.kind)
    permitted_as = QUORUM_DAMAGED

    def __init__(self) -> None:
        super().__init__()
        self._terms: dict[str, int] = {}

    def on_event(self, traced: Traced) -> None:
        """Take a term in."""
        event = traced.event
        assert isinstance(event, RaftCommitted | RaftRoleChanged | RaftVoted)
        if event.term < self._terms.get(traced.node, -1):
            message = f"{traced.node} went back from term {self._terms[traced.node]} to {event.term}"
            self.violated(Violation(traced.time_us, message))
        self._terms[traced.node] = event.term


class RaftOneVotePerTerm(Oracle):
    """Remember for whom each voter voted."""

    name = "raft-one-vote-per-term"
    kinds = (RaftVoted.kind,)
    permitted_as = QUORUM_DAMAGED

    def __init__(self) -> None:
        super().__init__()
        self._votes: dict[tuple[str, int], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare a vote with the one that the term already has."""
        event = traced.event
        assert isinstance(event, RaftVoted)
        first = self._votes.setdefault((traced.node, event.term), event.candidate)
        if first != event.candidate:
            message = f"{traced.node} voted for {first} and for {event.candidate} in term {event.term}"
            self.violated(Violation(traced.time_us, message))
