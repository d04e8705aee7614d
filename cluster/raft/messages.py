"""The words of the metadata quorum: log entries, snapshots and the messages voters send to each other.

Here: frozen facts. Not here: their bytes on the wire (`codec`) or on disk (`frames`), or what they cause (`node`).
Names follow the Raft paper (Ongaro and Ousterhout, 2014), figures 2 and 13, and Ongaro's thesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cluster.base.ids import NodeId


class EntryKind(IntEnum):
    """What an entry carries; the number is what is stored and sent."""

    DATA = 0
    NO_OP = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the replicated log. Indexes begin at 1; a leader's first entry in its term is a NO_OP."""

    index: int
    term: int
    kind: EntryKind
    data: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state machine after the entry at `last_index`, which replaces all entries up to it."""

    last_index: int
    last_term: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RequestVote:
    """A campaign. A pre-vote (thesis, section 9.6) asks without changing anybody's term.

    `leadership_transfer` marks a campaign that the leader itself asked for: it may disturb a live leader.
    """

    pre_vote: bool
    last_log_index: int
    last_log_term: int
    leadership_transfer: bool = False


@dataclass(frozen=True, slots=True)
class RequestVoteReply:
    """The answer to a campaign. A granted pre-vote carries the term that was asked about, not the voter's own."""

    pre_vote: bool
    granted: bool


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """Entries that follow (`prev_log_index`, `prev_log_term`); without entries it is a heartbeat.

    `round` counts the leader's heartbeats; its echo tells the leader how old a contact is.
    """

    prev_log_index: int
    prev_log_term: int
    leader_commit: int
    entries: tuple[Entry, ...]
    round: int


@dataclass(frozen=True, slots=True)
class AppendEntriesReply:
    """On success everything up to `match_index` agrees with the leader and is durable.

    On refusal `reject_index` is the `prev_log_index` that was refused, and the follower's entry at `hint_index`,
    of term `hint_term`, is the last that may agree.
    """

    success: bool
    match_index: int
    reject_index: int
    hint_index: int
    hint_term: int
    round: int


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A snapshot for a follower whose next entry the leader no longer has; answered by AppendEntriesReply."""

    snapshot: Snapshot
    round: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """The leader asks a caught-up follower to campaign at once (thesis, section 3.10)."""


Body = RequestVote | RequestVoteReply | AppendEntries | AppendEntriesReply | InstallSnapshot | TimeoutNow


@dataclass(frozen=True, slots=True)
class Message:
    """One message between two voters, under the sender's term (a pre-vote: under the term it would campaign in)."""

    source: NodeId
    target: NodeId
    term: int
    body: Body
