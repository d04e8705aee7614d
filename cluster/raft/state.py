"""What a voter has in every role: term, vote, log, commit index, and the effects it has not handed out yet.

Here: state and the few moves on it that every role shares. Not here: decisions (`node` and the role files).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.ids import NO_NODE, NodeId
from cluster.base.ports import Rng
from cluster.base.trace import RaftCommitted, TraceEvent
from cluster.raft.log import RaftLog
from cluster.raft.messages import Body, Entry, Message, Snapshot
from cluster.raft.settings import HardState, RaftSettings, Restored


@dataclass(frozen=True, slots=True)
class Ready:
    """What the shell must do now, **in this order**: everything is persisted before anything is sent.

    1. `hard_state`: store durably. 2. `snapshot`: store durably in place of the log, give it to the state machine.
    3. `entries`: append (a first index that is not new replaces the tail), begin to sync, and call
    `RaftNode.on_synced` later. 4. trace `events`. 5. send `messages`. 6. apply `committed`.
    """

    hard_state: HardState | None
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]
    events: tuple[TraceEvent, ...]
    messages: tuple[Message, ...]
    committed: tuple[Entry, ...]


class RaftState:
    """The part of a voter that its role does not own."""

    def __init__(self, settings: RaftSettings, restored: Restored, rng: Rng) -> None:
        self.settings = settings
        self.rng = rng
        self.term = restored.hard_state.term
        self.voted_for = restored.hard_state.voted_for
        self.snapshot = restored.snapshot
        start_index = restored.snapshot.last_index if restored.snapshot else 0
        self.log = RaftLog(restored.base_index, restored.base_term, restored.entries, start_index)
        self.commit_index = start_index
        self.applied_index = start_index
        self.events: list[TraceEvent] = []
        self._messages: list[Message] = []
        self._hard_state_given = restored.hard_state
        self._snapshot_to_install: Snapshot | None = None

    @property
    def hard_state(self) -> HardState:
        """Term and vote as they are now."""
        return HardState(self.term, self.voted_for)

    def enter_term(self, term: int) -> None:
        """Go to a higher term, in which nobody has this voter's vote yet."""
        assert term > self.term, "terms only grow"
        self.term = term
        self.voted_for = NO_NODE

    def vote_for(self, candidate: NodeId) -> None:
        """Give this term's one vote (paper, section 5.2)."""
        assert self.voted_for in (NO_NODE, candidate), "one vote in a term"
        self.voted_for = candidate

    def send(self, target: NodeId, body: Body, term: int | None = None) -> None:
        """Queue a message, under this voter's term unless told otherwise."""
        assert target != self.settings.node_id
        self._messages.append(Message(self.settings.node_id, target, self.term if term is None else term, body))

    def commit_to(self, index: int) -> None:
        """Raise the commit index."""
        assert self.commit_index <= index <= self.log.last_index, "what is committed stays, and exists"
        if index > self.commit_index:
            self.commit_index = index
            self.events.append(RaftCommitted(self.term, index))

    def install(self, snapshot: Snapshot) -> None:
        """Replace log and state machine by a leader's snapshot."""
        assert snapshot.last_index > self.commit_index
        self.log.restart_at(snapshot.last_index, snapshot.last_term)
        self.snapshot = snapshot
        self._snapshot_to_install = snapshot
        self.commit_index = self.applied_index = snapshot.last_index
        self.events.append(RaftCommitted(self.term, snapshot.last_index))

    def jitter_ms(self, base_ms: int) -> int:
        """Return a timeout of `base_ms` and up to an election timeout more, so that voters do not campaign at once."""
        return base_ms + self.rng.randrange(0, max(self.settings.election_timeout_ms, 1))

    def take_ready(self, batch_bytes_max: int) -> Ready:
        """Hand out the effects; committed entries in batches of about `batch_bytes_max`."""
        hard_state = self.hard_state if self.hard_state != self._hard_state_given else None
        self._hard_state_given = self.hard_state
        committed: tuple[Entry, ...] = ()
        if self.applied_index < self.commit_index:
            committed = self.log.between(self.applied_index + 1, self.commit_index, batch_bytes_max)
            self.applied_index = committed[-1].index
        ready = Ready(
            hard_state=hard_state,
            snapshot=self._snapshot_to_install,
            entries=self.log.take_unsaved(),
            events=tuple(self.events),
            messages=tuple(self._messages),
            committed=committed,
        )
        self._snapshot_to_install = None
        self.events.clear()
        self._messages.clear()
        return ready
