"""A follower: takes entries and snapshots from the leader of its term, and notices when there is none.

Here: the receiver's half of AppendEntries and InstallSnapshot (paper, figures 2 and 13). Not here: votes, which every
role may be asked for (`node`).
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, NodeId
from cluster.raft.messages import AppendEntries, AppendEntriesReply, InstallSnapshot
from cluster.raft.state import RaftState


class Follower:
    """One stay in the role. `leader_id` is known only from an AppendEntries or InstallSnapshot of this term."""

    def __init__(self, state: RaftState, leader_id: NodeId, now_ms: int, deadline_ms: int) -> None:
        self._state = state
        self.leader_id = leader_id
        self.deadline_ms = deadline_ms
        self._contact_ms = now_ms
        self._agreed_index = state.commit_index  # this voter's log and the leader's are the same up to here
        self._round_unacknowledged: int | None = None  # entries of this round wait for the disk

    def hears_leader(self, now_ms: int) -> bool:
        """Whether a leader spoke so lately that an election would only disturb (thesis, section 4.2.3)."""
        return self.leader_id != NO_NODE and now_ms - self._contact_ms < self._state.settings.fetch_timeout_ms

    def postpone(self, now_ms: int) -> None:
        """Be patient anew: a leader spoke, or a candidate got this voter's vote."""
        self.deadline_ms = now_ms + self._state.jitter_ms(self._state.settings.fetch_timeout_ms)

    def on_append(self, source: NodeId, append: AppendEntries, now_ms: int) -> None:
        """Take entries that fit (paper, section 5.3); say where to look when they do not."""
        self._note_leader(source, now_ms)
        state, log = self._state, self._state.log
        if append.prev_log_index < state.commit_index:
            # Old or cautious: what is committed agrees anyway, and may be compacted away, so it is not compared.
            self._acknowledge(append.round)
            return
        if log.term_at(append.prev_log_index) != append.prev_log_term:
            hint_index, hint_term = log.hint(append.prev_log_index, append.prev_log_term)
            refusal = AppendEntriesReply(False, 0, append.prev_log_index, hint_index, hint_term, append.round)
            state.send(source, refusal)
            return
        log.merge(append.entries)
        last_new_index = append.prev_log_index + len(append.entries)
        self._agreed_index = max(self._agreed_index, last_new_index)
        if append.leader_commit > state.commit_index:
            state.commit_to(max(state.commit_index, min(append.leader_commit, last_new_index)))
        if append.entries and log.stable_index < last_new_index:
            self._round_unacknowledged = append.round
            return
        self._acknowledge(append.round)

    def on_snapshot(self, source: NodeId, install: InstallSnapshot, now_ms: int) -> None:
        """Take a snapshot of what this voter lacks (paper, section 7); it is durable before the answer leaves."""
        self._note_leader(source, now_ms)
        state, snapshot = self._state, install.snapshot
        if snapshot.last_index > state.commit_index:
            if state.log.term_at(snapshot.last_index) == snapshot.last_term:
                state.commit_to(snapshot.last_index)  # the entries are here: nothing to replace
            else:
                state.install(snapshot)
        self._acknowledge(install.round)

    def on_synced(self) -> None:
        """Answer for the entries that waited for the disk: for a part of them when more were written meanwhile."""
        if self._round_unacknowledged is not None:
            self._acknowledge(self._round_unacknowledged)

    def _note_leader(self, source: NodeId, now_ms: int) -> None:
        assert self.leader_id in (NO_NODE, source), "one leader in a term"
        self.leader_id = source
        self._contact_ms = now_ms
        self.postpone(now_ms)

    def _acknowledge(self, contact_round: int) -> None:
        """Claim no more than what this leader is known to have, and what the disk is known to hold."""
        state = self._state
        self._agreed_index = max(self._agreed_index, state.commit_index)
        match_index = min(self._agreed_index, state.log.stable_index)
        self._round_unacknowledged = contact_round if match_index < self._agreed_index else None
        state.send(self.leader_id, AppendEntriesReply(True, match_index, 0, 0, 0, contact_round))
