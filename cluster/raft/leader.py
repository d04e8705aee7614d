"""A leader: replicates its log, decides what is committed, proves to itself that it still leads, hands over.

Here: the sender's half of AppendEntries and InstallSnapshot, CheckQuorum and leadership transfer.
Not here: how it got elected or deposed (`node`), the commit rule itself (`majority`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from cluster.base.ids import NO_NODE, NodeId
from cluster.base.limits import RAFT_APPEND_BYTES_MAX
from cluster.raft.majority import committed_index, majority
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    EntryKind,
    InstallSnapshot,
    TimeoutNow,
)
from cluster.raft.progress import Pace, Progress
from cluster.raft.state import RaftState

_ROUNDS_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class VoterStatus:
    """How far a voter is, as the leader knows it: for DescribeQuorum (KIP-595)."""

    node_id: NodeId
    match_index: int
    last_contact_ms: int
    last_caught_up_ms: int


class Leader:
    """One term of leadership."""

    def __init__(self, state: RaftState, now_ms: int) -> None:
        self._state = state
        self.leader_id = state.settings.node_id
        self.progress = {peer: Progress(state.log.last_index + 1, now_ms) for peer in state.settings.peers}
        self.transfer_target = NO_NODE
        self._transfer_deadline_ms = 0
        self._timeout_now_sent = False
        self._round = 0
        self._round_began_ms: OrderedDict[int, int] = OrderedDict()
        self._heartbeat_due_ms = now_ms
        self._check_quorum_due_ms = now_ms + state.settings.check_quorum_ms

    @property
    def deadline_ms(self) -> int:
        """When `tick` has something to do."""
        due = min(self._heartbeat_due_ms, self._check_quorum_due_ms)
        return min(due, self._transfer_deadline_ms) if self.transfer_target != NO_NODE else due

    # --- proposals and replication

    def propose(self, kind: EntryKind, data: bytes) -> int:
        """Append an entry of this term and return its index."""
        log = self._state.log
        entry = Entry(log.last_index + 1, self._state.term, kind, data)
        log.append((entry,))
        return entry.index

    def replicate(self, now_ms: int) -> None:
        """Send every follower what it lacks and may be sent now. Called once for many proposals."""
        state = self._state
        for peer, progress in self.progress.items():
            while progress.next_index <= state.log.last_index and not progress.is_full:
                self._send_append(peer, progress, now_ms)
            commits_more = min(state.commit_index, progress.match_index) > progress.commit_sent
            if commits_more and progress.pace is Pace.REPLICATE and progress.next_index > state.log.last_index:
                self._send_append(peer, progress, now_ms)
        self._hand_over_when_caught_up()

    def _send_append(self, peer: NodeId, progress: Progress, now_ms: int) -> None:
        state = self._state
        prev_log_index = progress.next_index - 1
        prev_log_term = state.log.term_at(prev_log_index)
        if prev_log_term is None:
            self._send_snapshot(peer, progress, now_ms)
            return
        entries: tuple[Entry, ...] = ()
        if prev_log_index < state.log.last_index and not progress.is_full:
            entries = state.log.between(progress.next_index, state.log.last_index, RAFT_APPEND_BYTES_MAX)
        state.send(peer, AppendEntries(prev_log_index, prev_log_term, state.commit_index, entries, self._round))
        progress.sent(prev_log_index + len(entries), bool(entries))
        progress.commit_sent = state.commit_index

    def _send_snapshot(self, peer: NodeId, progress: Progress, now_ms: int) -> None:
        snapshot = self._state.snapshot
        assert snapshot is not None, "a log is compacted only after a snapshot"
        progress.send_snapshot(snapshot.last_index, now_ms)
        self._state.send(peer, InstallSnapshot(snapshot, self._round))

    def on_reply(self, source: NodeId, reply: AppendEntriesReply) -> None:
        """Take a follower's answer: contact, then agreement or where to look next (paper, section 5.3)."""
        progress = self.progress[source]
        began_ms = self._round_began_ms.get(reply.round)
        if began_ms is not None:
            progress.contact_ms = max(progress.contact_ms, began_ms)
        if not reply.success:
            retry_index, _ = self._state.log.hint(reply.hint_index, reply.hint_term)
            progress.refused(reply.reject_index, min(retry_index, reply.hint_index))
        elif progress.accepted(reply.match_index):
            assert reply.match_index <= self._state.log.last_index, "a follower agrees with what exists"
            self.advance_commit()
        if progress.match_index == self._state.log.last_index:
            progress.caught_up_ms = progress.contact_ms

    def advance_commit(self) -> None:
        """Commit what a majority has on disk; this voter counts only what its own disk has."""
        state = self._state
        matches = [state.log.stable_index, *(progress.match_index for progress in self.progress.values())]
        state.commit_to(committed_index(state.commit_index, matches, state.log.term_at, state.term))

    # --- time

    def tick(self, now_ms: int) -> bool:
        """Send heartbeats that are due. False when contact with the majority is lost: it must resign."""
        if now_ms >= self._check_quorum_due_ms:
            if not self._has_quorum(now_ms):
                return False
            self._check_quorum_due_ms = self._quorum_lost_at_ms(now_ms)
        if self.transfer_target != NO_NODE and now_ms >= self._transfer_deadline_ms:
            self.transfer_target = NO_NODE  # it did not take over in time: go on leading
        if now_ms >= self._heartbeat_due_ms:
            self._heartbeat_due_ms = now_ms + self._state.settings.heartbeat_interval_ms
            self._heartbeat(now_ms)
        return True

    def _heartbeat(self, now_ms: int) -> None:
        self._round += 1
        self._round_began_ms[self._round] = now_ms
        if len(self._round_began_ms) > _ROUNDS_REMEMBERED:
            self._round_began_ms.popitem(last=False)
        for peer, progress in self.progress.items():
            progress.probe_sent = False
            if progress.pace is not Pace.SNAPSHOT:
                self._send_append(peer, progress, now_ms)
            elif now_ms - progress.snapshot_sent_ms >= self._state.settings.fetch_timeout_ms:
                self._send_snapshot(peer, progress, now_ms)
            else:
                # The empty prefix agrees with every log: a sign of life for whoever waits for a snapshot.
                self._state.send(peer, AppendEntries(0, 0, 0, (), self._round))

    def _contacts_ms(self) -> list[int]:
        return sorted((progress.contact_ms for progress in self.progress.values()), reverse=True)

    def _has_quorum(self, now_ms: int) -> bool:
        return now_ms < self._quorum_lost_at_ms(now_ms)

    def _quorum_lost_at_ms(self, now_ms: int) -> int:
        """Return when CheckQuorum fails unless somebody answers: the majority's oldest needed contact plus patience."""
        peers_needed = majority(len(self._state.settings.voters)) - 1
        patience_ms = self._state.settings.check_quorum_ms
        if peers_needed == 0:
            return max(now_ms, self._check_quorum_due_ms) + patience_ms
        return self._contacts_ms()[peers_needed - 1] + patience_ms

    def status(self, now_ms: int) -> tuple[VoterStatus, ...]:
        """Return every voter's progress, this one included, ordered by id."""
        own = VoterStatus(self.leader_id, self._state.log.last_index, now_ms, now_ms)
        others = [
            VoterStatus(peer, progress.match_index, progress.contact_ms, progress.caught_up_ms)
            for peer, progress in self.progress.items()
        ]
        return tuple(sorted([own, *others], key=lambda voter: voter.node_id))

    # --- leadership transfer (thesis, section 3.10)

    def transfer(self, target: NodeId, now_ms: int) -> NodeId:
        """Begin to hand over: to `target`, or with NO_NODE to the follower that is furthest. Return to whom.

        Until it succeeds or an election timeout has passed, nothing may be proposed.
        """
        settings = self._state.settings
        if target == NO_NODE:
            live = [
                (progress.match_index, -peer)
                for peer, progress in self.progress.items()
                if now_ms - progress.contact_ms < settings.fetch_timeout_ms
            ]
            target = NodeId(-max(live)[1]) if live else NO_NODE
        if target in self.progress:
            self.transfer_target = target
            self._transfer_deadline_ms = now_ms + settings.election_timeout_ms
            self._timeout_now_sent = False
        return self.transfer_target

    def _hand_over_when_caught_up(self) -> None:
        if self.transfer_target == NO_NODE or self._timeout_now_sent:
            return
        if self.progress[self.transfer_target].match_index == self._state.log.last_index:
            self._timeout_now_sent = True
            self._state.send(self.transfer_target, TimeoutNow())
