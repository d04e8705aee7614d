"""What must hold after every step of every schedule (paper, figure 3, and what this implementation adds).

Here: one small class for each invariant, and `Invariants`, which asks them all. Each remembers only what it needs.
`test_raft_planted_bugs` shows that each can fail.
"""

from __future__ import annotations

from raft_cluster import Voter, read_state

from cluster.base.ids import NodeId
from cluster.raft import Entry, Ready, Snapshot
from cluster.raft.messages import AppendEntriesReply, RequestVote, RequestVoteReply


class Violation(Exception):
    """An invariant does not hold; `invariant` is its class name."""

    def __init__(self, invariant: Invariant, text: str) -> None:
        self.invariant = type(invariant).__name__
        super().__init__(f"{self.invariant}: {text}")


class Invariant:
    """Looks at what a voter does (`on_...`) and at all living voters after each step (`on_step`)."""

    def on_ready(self, voter: Voter, ready: Ready) -> None: ...
    def on_applied(self, voter: Voter, entry: Entry) -> None: ...
    def on_installed(self, voter: Voter, snapshot: Snapshot) -> None: ...
    def on_started(self, voter: Voter) -> None: ...
    def on_step(self, voters: list[Voter]) -> None: ...

    def demand(self, holds: bool, text: str) -> None:
        if not holds:
            raise Violation(self, text)


class ElectionSafety(Invariant):
    """At most one leader in a term."""

    def __init__(self) -> None:
        self._leaders: dict[int, NodeId] = {}

    def on_step(self, voters: list[Voter]) -> None:
        for voter in voters:
            if voter.node.is_leader:
                first = self._leaders.setdefault(voter.node.term, voter.voter_id)
                self.demand(first == voter.voter_id, f"{first} and {voter.voter_id} lead term {voter.node.term}")


class OneVote(Invariant):
    """A voter grants at most one candidate its vote in a term, whatever it forgot in between."""

    def __init__(self) -> None:
        self._votes: dict[tuple[NodeId, int], NodeId] = {}

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        for message in ready.messages:
            body = message.body
            if isinstance(body, RequestVoteReply) and body.granted and not body.pre_vote:
                self._note(voter, message.term, message.target)
            elif isinstance(body, RequestVote) and not body.pre_vote:
                self._note(voter, message.term, voter.voter_id)

    def _note(self, voter: Voter, term: int, candidate: NodeId) -> None:
        first = self._votes.setdefault((voter.voter_id, term), candidate)
        self.demand(first == candidate, f"{voter.voter_id} voted for {first} and {candidate} in term {term}")


class TermMonotonic(Invariant):
    """No voter speaks under a term older than one it acknowledged before, not even after a crash."""

    def __init__(self) -> None:
        self._terms: dict[NodeId, int] = {}

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        for message in ready.messages:
            asks = isinstance(message.body, RequestVote | RequestVoteReply) and message.body.pre_vote
            if not asks:  # a pre-vote is about a term that nobody is in yet
                seen = self._terms.get(voter.voter_id, 0)
                self.demand(message.term >= seen, f"{voter.voter_id} went from term {seen} to {message.term}")
                self._terms[voter.voter_id] = message.term


class LeaderAppendOnly(Invariant):
    """A leader never overwrites or deletes entries in its log; it only appends."""

    def __init__(self) -> None:
        self._ends: dict[tuple[NodeId, int], int] = {}

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        if voter.node.is_leader:
            key = (voter.voter_id, voter.node.term)
            end = self._ends.get(key, 0)
            appends = not ready.entries or end == 0 or ready.entries[0].index == end + 1
            self.demand(appends, f"leader {voter.voter_id} rewrote its log before {end}")
            self._ends[key] = voter.node.last_index


class LogMatching(Invariant):
    """Two logs that have an entry of the same index and term are the same up to it.

    By induction: an (index, term) always holds the same data and follows an entry of the same term.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[int | None, bytes]] = {}

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        for entry in ready.entries:
            previous_term = voter.node.term_at(entry.index - 1)
            known = self._known.setdefault((entry.index, entry.term), (previous_term, entry.data))
            same = known == (previous_term, entry.data)
            self.demand(same, f"entry {entry.index} of term {entry.term} differs on {voter.voter_id}")


class CommitMonotonic(Invariant):
    """While a voter runs, its commit index does not go back; it applies entries one after the other."""

    def __init__(self) -> None:
        self._commits: dict[NodeId, int] = {}

    def on_started(self, voter: Voter) -> None:
        self._commits[voter.voter_id] = voter.node.commit_index

    def on_step(self, voters: list[Voter]) -> None:
        for voter in voters:
            seen = self._commits[voter.voter_id]
            commit_index = voter.node.commit_index
            self.demand(commit_index >= seen, f"{voter.voter_id} went from commit index {seen} to {commit_index}")
            self._commits[voter.voter_id] = commit_index


class AcknowledgedIsDurable(Invariant):
    """Nothing is acknowledged before the disk holds it."""

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        for message in ready.messages:
            if isinstance(message.body, AppendEntriesReply) and message.body.success:
                held = voter.durable_index
                claimed = message.body.match_index
                self.demand(claimed <= held, f"{voter.voter_id} acknowledged {claimed}, its disk holds {held}")


class LeaderCompleteness(Invariant):
    """What was committed in a term is in the log of every leader of a later term."""

    def __init__(self) -> None:
        self._committed: dict[int, tuple[int, int]] = {}  # index -> its term, and the term it was committed in
        self._checked: dict[NodeId, int] = {}

    def on_applied(self, voter: Voter, entry: Entry) -> None:
        self._committed.setdefault(entry.index, (entry.term, voter.node.term))

    def on_step(self, voters: list[Voter]) -> None:
        for voter in voters:
            term = voter.node.term
            if not voter.node.is_leader or self._checked.get(voter.voter_id) == term:
                continue
            self._checked[voter.voter_id] = term
            for index, (entry_term, committed_in) in self._committed.items():
                if committed_in < term and index > voter.node.base_index:
                    has = voter.node.term_at(index) == entry_term
                    self.demand(has, f"leader {voter.voter_id} of term {term} lacks committed entry {index}")


class StateMachineSafety(Invariant):
    """No two voters apply different entries at one index, be it as an entry or within a snapshot."""

    def __init__(self) -> None:
        self.applied: dict[int, tuple[int, str]] = {}

    def on_applied(self, voter: Voter, entry: Entry) -> None:
        self._note(voter, entry.index, entry.term, entry.data.decode())

    def on_installed(self, voter: Voter, snapshot: Snapshot) -> None:
        for index, term, text in read_state(snapshot.data):
            self._note(voter, index, term, text)

    def _note(self, voter: Voter, index: int, term: int, text: str) -> None:
        first = self.applied.setdefault(index, (term, text))
        self.demand(first == (term, text), f"{voter.voter_id} applied {(term, text)} at {index}, others {first}")


class Invariants:
    """All of them, or `only` one, as one watcher. The order makes causes come before consequences."""

    def __init__(self, only: str | None = None) -> None:
        self.state_machine_safety = StateMachineSafety()
        self._all: list[Invariant] = [
            OneVote(),
            TermMonotonic(),
            ElectionSafety(),
            LeaderAppendOnly(),
            LogMatching(),
            AcknowledgedIsDurable(),
            LeaderCompleteness(),
            self.state_machine_safety,
            CommitMonotonic(),
        ]
        if only is not None:
            self._all = [invariant for invariant in self._all if type(invariant).__name__ == only]
            assert self._all, f"no invariant is called {only}"

    def on_ready(self, voter: Voter, ready: Ready) -> None:
        for invariant in self._all:
            invariant.on_ready(voter, ready)

    def on_applied(self, voter: Voter, entry: Entry) -> None:
        for invariant in self._all:
            invariant.on_applied(voter, entry)

    def on_installed(self, voter: Voter, snapshot: Snapshot) -> None:
        for invariant in self._all:
            invariant.on_installed(voter, snapshot)

    def on_started(self, voter: Voter) -> None:
        for invariant in self._all:
            invariant.on_started(voter)

    def on_step(self, voters: list[Voter]) -> None:
        for invariant in self._all:
            invariant.on_step(voters)
