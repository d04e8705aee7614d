"""A candidate or a pre-candidate: asks for votes and counts them (paper, section 5.2; thesis, section 9.6).

Here: one campaign. Not here: how a voter answers it, and what follows from its outcome (`node`).
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, NodeId
from cluster.raft.majority import Tally, tally
from cluster.raft.messages import RequestVote
from cluster.raft.state import RaftState


class Candidate:
    """One campaign. A pre-vote asks about the next term without entering it."""

    leader_id = NO_NODE

    def __init__(self, state: RaftState, pre_vote: bool, deadline_ms: int) -> None:
        self._state = state
        self.pre_vote = pre_vote
        self.campaign_term = state.term + 1 if pre_vote else state.term
        self.deadline_ms = deadline_ms
        self._votes: dict[NodeId, bool] = {state.settings.node_id: True}

    def ask(self, leadership_transfer: bool) -> None:
        """Ask every peer for its vote."""
        state = self._state
        request = RequestVote(self.pre_vote, state.log.last_index, state.log.last_term, leadership_transfer)
        for peer in state.settings.peers:
            state.send(peer, request, term=self.campaign_term)

    def count(self, source: NodeId, granted: bool) -> None:
        """Take one voter's answer; the first one stands."""
        self._votes.setdefault(source, granted)

    @property
    def outcome(self) -> Tally:
        """How the campaign stands."""
        return tally(self._state.settings.voters, self._votes)
