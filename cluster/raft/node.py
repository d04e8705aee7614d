"""One voter of the metadata quorum, without IO: a message, a tick or a proposal goes in, a `Ready` comes out.

Here: terms, votes, and every change of role (`become_*`). What a role does is in `follower`, `candidate` and
`leader`; what must survive a crash is named by `Ready` and stored by the shell **before** any message leaves.
The algorithm is the Raft paper's (Ongaro and Ousterhout, 2014) with PreVote, CheckQuorum and leadership transfer
of Ongaro's thesis.
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, NodeId
from cluster.base.limits import (
    RAFT_APPEND_BYTES_MAX,
    RAFT_ENTRIES_KEPT,
    RAFT_ENTRY_BYTES_MAX,
    RAFT_SNAPSHOT_BYTES_MAX,
)
from cluster.base.ports import Rng
from cluster.base.trace import RaftRoleChanged, RaftVoted
from cluster.raft.candidate import Candidate
from cluster.raft.follower import Follower
from cluster.raft.leader import Leader, VoterStatus
from cluster.raft.majority import Tally
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    EntryKind,
    InstallSnapshot,
    Message,
    RequestVote,
    RequestVoteReply,
    Snapshot,
)
from cluster.raft.roles import Role, check_transition
from cluster.raft.settings import RaftSettings, Restored
from cluster.raft.state import RaftState, Ready


class RaftNode:
    """A voter. After each call to `step`, `tick`, `propose`, `on_synced` or `transfer`, drain `ready()`."""

    def __init__(self, settings: RaftSettings, restored: Restored, rng: Rng, now_ms: int) -> None:
        self._state = RaftState(settings, restored, rng)
        self.role = Role.FOLLOWER
        self._now_ms = now_ms
        deadline_ms = now_ms + self._state.jitter_ms(settings.fetch_timeout_ms)
        is_new = self.term == 0 and self._state.log.last_index == 0
        if (is_new and settings.node_id == settings.voters[0]) or len(settings.voters) == 1:
            deadline_ms = now_ms  # a new quorum need not wait for a leader that cannot exist
        self._holder: Follower | Candidate | Leader = Follower(self._state, NO_NODE, now_ms, deadline_ms)

    # --- what is known

    @property
    def settings(self) -> RaftSettings:
        """Identity and timeouts."""
        return self._state.settings

    @property
    def term(self) -> int:
        """The current term."""
        return self._state.term

    @property
    def voted_for(self) -> NodeId:
        """Who has this voter's vote in the current term."""
        return self._state.voted_for

    @property
    def leader_id(self) -> NodeId:
        """Who leads the current term, from its own messages; NO_NODE when it has not spoken to this voter."""
        return self._holder.leader_id

    @property
    def is_leader(self) -> bool:
        """Whether this voter leads the current term, as far as it knows."""
        return self.role is Role.LEADER

    @property
    def commit_index(self) -> int:
        """The last entry that is known to be committed."""
        return self._state.commit_index

    @property
    def applied_index(self) -> int:
        """The last entry that `ready()` handed out for application."""
        return self._state.applied_index

    @property
    def last_index(self) -> int:
        """The last entry of the log, committed or not."""
        return self._state.log.last_index

    @property
    def base_index(self) -> int:
        """The last entry that was compacted away; 0 when none was."""
        return self._state.log.base_index

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest snapshot, taken here or by a leader."""
        return self._state.snapshot

    @property
    def next_tick_ms(self) -> int:
        """When `tick` next has something to do, unless a message comes first."""
        return self._holder.deadline_ms

    def term_at(self, index: int) -> int | None:
        """Return the term of an entry; None when it is compacted away or does not exist."""
        return self._state.log.term_at(index)

    def entries(self, first_index: int, last_index: int, bytes_max: int) -> tuple[Entry, ...] | None:
        """Return entries from `first_index`, at least one if there is one; None when it is compacted away."""
        if first_index <= self.base_index:
            return None
        last_index = min(last_index, self.last_index)
        return self._state.log.between(first_index, last_index, bytes_max) if first_index <= last_index else ()

    def status(self) -> tuple[VoterStatus, ...]:
        """Return what this voter, as leader, knows of all voters; nothing in another role."""
        return self._holder.status(self._now_ms) if isinstance(self._holder, Leader) else ()

    # --- inputs

    def tick(self, now_ms: int) -> None:
        """Let time pass: campaign, send heartbeats, or resign when the majority is out of reach."""
        self._advance_clock(now_ms)
        holder = self._holder
        if now_ms < holder.deadline_ms:
            return
        if isinstance(holder, Leader):
            if not holder.tick(now_ms):
                self._become_follower(NO_NODE)
        else:
            self._become_pre_candidate()

    def step(self, message: Message, now_ms: int) -> None:
        """Take a message. Whoever is no voter, or means somebody else, is not heard."""
        self._advance_clock(now_ms)
        if message.target != self.settings.node_id or message.source not in self.settings.peers:
            return
        if message.term < self.term:
            self._answer_stale(message)
        elif message.term == self.term or self._admit_higher_term(message):
            self._dispatch(message)

    def propose(self, data: bytes) -> int | None:
        """Append data to the log and return its index; None unless this voter leads and is not handing over."""
        assert len(data) <= RAFT_ENTRY_BYTES_MAX
        if not isinstance(self._holder, Leader) or self._holder.transfer_target != NO_NODE:
            return None
        return self._holder.propose(EntryKind.DATA, data)

    def on_synced(self, index: int, term: int) -> None:
        """Note that the disk holds everything up to the entry (index, term): now it may be acknowledged."""
        if not self._state.log.mark_stable(index, term):
            return
        if isinstance(self._holder, Leader):
            self._holder.advance_commit()
        elif isinstance(self._holder, Follower):
            self._holder.on_synced()

    def compact(self, snapshot: Snapshot) -> None:
        """Take a snapshot of applied entries as the latest, and forget most entries below it.

        Some stay, so that whoever is a little behind needs no snapshot. The shell stores the snapshot and
        `kept_entries` durably in the same step, before anything else happens.
        """
        assert len(snapshot.data) <= RAFT_SNAPSHOT_BYTES_MAX
        assert snapshot.last_index <= self.applied_index and self.term_at(snapshot.last_index) == snapshot.last_term
        self._state.snapshot = snapshot
        self._state.log.compact(snapshot.last_index, RAFT_ENTRIES_KEPT, RAFT_APPEND_BYTES_MAX)

    def kept_entries(self) -> tuple[int, int, tuple[Entry, ...]]:
        """Return what the log holds: index and term of its base, and all entries after it."""
        log = self._state.log
        return log.base_index, log.base_term, log.after(log.base_index)

    def transfer(self, target: NodeId, now_ms: int) -> NodeId:
        """Begin to hand leadership to `target`, or to the best follower (NO_NODE). Return to whom, or NO_NODE."""
        self._advance_clock(now_ms)
        return self._holder.transfer(target, now_ms) if isinstance(self._holder, Leader) else NO_NODE

    def ready(self) -> Ready:
        """Hand out all effects since the last call."""
        if isinstance(self._holder, Leader):
            self._holder.replicate(self._now_ms)
        self._check_invariants()
        return self._state.take_ready(RAFT_APPEND_BYTES_MAX)

    # --- terms

    def _admit_higher_term(self, message: Message) -> bool:
        """Decide what a higher term does: usually this voter follows it. Whether the message is to be handled."""
        body = message.body
        if isinstance(body, RequestVote) and not body.leadership_transfer and self._hears_leader():
            return False  # somebody cut off returns: the leader it cannot hear is alive (thesis, section 4.2.3)
        if isinstance(body, RequestVote) and body.pre_vote:
            return True  # a question about a term changes no term
        if isinstance(body, RequestVoteReply) and body.pre_vote and body.granted:
            return True  # carries the term that was asked about
        self._state.enter_term(message.term)
        leads = isinstance(body, AppendEntries | InstallSnapshot)
        self._become_follower(message.source if leads else NO_NODE)
        return True

    def _hears_leader(self) -> bool:
        if isinstance(self._holder, Follower):
            return self._holder.hears_leader(self._now_ms)
        return isinstance(self._holder, Leader)

    def _answer_stale(self, message: Message) -> None:
        """Tell a sender with an old term about the new one; old answers need none."""
        match message.body:
            case AppendEntries(round=contact_round) | InstallSnapshot(round=contact_round):
                self._state.send(message.source, AppendEntriesReply(False, 0, 0, 0, 0, contact_round))
            case RequestVote(pre_vote=pre_vote):
                self._state.send(message.source, RequestVoteReply(pre_vote, granted=False))
            case _:
                pass

    # --- messages of this term

    def _dispatch(self, message: Message) -> None:
        match message.body:
            case RequestVote() as request:
                self._on_request_vote(message, request)
            case RequestVoteReply() as reply:
                self._on_vote(message, reply)
            case AppendEntries() as append:
                self._follower_of(message.source).on_append(message.source, append, self._now_ms)
            case InstallSnapshot() as install:
                self._follower_of(message.source).on_snapshot(message.source, install, self._now_ms)
            case AppendEntriesReply() as reply:
                if isinstance(self._holder, Leader):
                    self._holder.on_reply(message.source, reply)
            case _:
                if isinstance(self._holder, Follower):  # TimeoutNow
                    self._become_candidate(leadership_transfer=True)

    def _follower_of(self, leader_id: NodeId) -> Follower:
        """Return this voter as a follower of the leader that just spoke."""
        assert not self.is_leader, "one leader in a term"
        if not isinstance(self._holder, Follower) or self._holder.leader_id == NO_NODE:
            self._become_follower(leader_id)
        assert isinstance(self._holder, Follower)
        return self._holder

    def _on_request_vote(self, message: Message, request: RequestVote) -> None:
        """Answer a campaign (paper, sections 5.2 and 5.4.1). A pre-vote is a question and binds nobody."""
        state = self._state
        complete = state.log.is_up_to_date(request.last_log_index, request.last_log_term)
        if request.pre_vote:
            granted = complete and message.term > self.term
        else:
            granted = complete and self._may_vote_for(message.source)
            if granted and state.voted_for == NO_NODE:
                state.vote_for(message.source)
                state.events.append(RaftVoted(self.term, message.source))
            if granted and isinstance(self._holder, Follower):
                self._holder.postpone(self._now_ms)
        reply = RequestVoteReply(request.pre_vote, granted)
        state.send(message.source, reply, term=message.term if granted else self.term)

    def _may_vote_for(self, candidate: NodeId) -> bool:
        if self._state.voted_for == candidate:
            return True
        return self._state.voted_for == NO_NODE and self.leader_id == NO_NODE

    def _on_vote(self, message: Message, reply: RequestVoteReply) -> None:
        campaign = self._holder
        if not isinstance(campaign, Candidate) or campaign.pre_vote != reply.pre_vote:
            return
        if reply.granted and message.term != campaign.campaign_term:
            return
        campaign.count(message.source, reply.granted)
        self._conclude(campaign)

    def _conclude(self, campaign: Candidate) -> None:
        match campaign.outcome, campaign.pre_vote:
            case Tally.WON, True:
                self._become_candidate(leadership_transfer=False)
            case Tally.WON, False:
                self._become_leader()
            case Tally.LOST, _:
                self._become_follower(NO_NODE)
            case _:
                pass

    # --- changes of role

    def _become_follower(self, leader_id: NodeId) -> None:
        deadline_ms = self._now_ms + self._state.jitter_ms(self.settings.fetch_timeout_ms)
        self._take_role(Role.FOLLOWER, Follower(self._state, leader_id, self._now_ms, deadline_ms))

    def _become_pre_candidate(self) -> None:
        self._campaign(Role.PRE_CANDIDATE, leadership_transfer=False)

    def _become_candidate(self, leadership_transfer: bool) -> None:
        state = self._state
        state.enter_term(state.term + 1)
        state.vote_for(self.settings.node_id)
        state.events.append(RaftVoted(state.term, self.settings.node_id))
        self._campaign(Role.CANDIDATE, leadership_transfer)

    def _campaign(self, role: Role, leadership_transfer: bool) -> None:
        deadline_ms = self._now_ms + self._state.jitter_ms(self.settings.election_timeout_ms)
        campaign = Candidate(self._state, role is Role.PRE_CANDIDATE, deadline_ms)
        self._take_role(role, campaign)
        campaign.ask(leadership_transfer)
        self._conclude(campaign)  # the only voter has won already

    def _become_leader(self) -> None:
        leader = Leader(self._state, self._now_ms)
        self._take_role(Role.LEADER, leader)
        # Entries of older terms are committed only through one of this term (paper, sections 5.4.2 and 8).
        leader.propose(EntryKind.NO_OP, b"")
        leader.tick(self._now_ms)

    def _take_role(self, role: Role, holder: Follower | Candidate | Leader) -> None:
        check_transition(self.role, role)
        self.role, self._holder = role, holder
        last = self._state.log
        self._state.events.append(
            RaftRoleChanged(self.term, role.value, holder.leader_id, last.last_index, last.last_term)
        )

    # --- checks

    def _advance_clock(self, now_ms: int) -> None:
        assert now_ms >= self._now_ms, "time does not go back"
        self._now_ms = now_ms

    def _check_invariants(self) -> None:
        state = self._state
        assert state.log.base_index <= state.applied_index <= state.commit_index <= state.log.last_index
        assert state.log.base_index <= state.log.stable_index <= state.log.last_index
        assert self.role is Role.FOLLOWER or self.role is Role.PRE_CANDIDATE or self.voted_for == self.settings.node_id
        assert (self.role is Role.LEADER) == (self.leader_id == self.settings.node_id)
