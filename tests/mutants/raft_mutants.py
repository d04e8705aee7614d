"""Bugs of the metadata quorum, each planted in one place of the voters' real code.

Here: votes, terms, the log, commits. Not here: the schedules under which they do harm (`schedules`), and what must
notice (`mutant_catalogue`). Voters without a cluster around them have planted bugs of their own in `tests/raft`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cluster.base.ids import NO_NODE, NodeId
from cluster.raft import RaftNode, RaftStorage
from cluster.raft.follower import Follower
from cluster.raft.log import RaftLog
from cluster.raft.majority import replicated_index
from cluster.raft.roles import Role


def vote_twice_in_a_term(patch: pytest.MonkeyPatch) -> None:
    """A voter that was asked before forgets whom it chose."""

    def may_vote_for(node: RaftNode, candidate: NodeId) -> bool:
        if isinstance(node._holder, Follower):
            node._state.voted_for = NO_NODE
        return node._state.voted_for in (NO_NODE, candidate)

    patch.setattr(RaftNode, "_may_vote_for", may_vote_for)


def skip_the_sync_of_a_vote(patch: pytest.MonkeyPatch) -> None:
    """Term and vote are told, and a restarted voter does not know of them."""
    patch.setattr(RaftStorage, "save_hard_state", lambda storage, hard_state: None)


def acknowledge_before_the_disk_has_it(patch: pytest.MonkeyPatch) -> None:
    """A follower answers for entries of which the sync has only begun."""
    original = RaftLog.merge

    def merge(log: RaftLog, entries: Any) -> None:
        original(log, entries)
        log.stable_index = log.last_index

    patch.setattr(RaftLog, "merge", merge)


def vote_for_an_incomplete_log(patch: pytest.MonkeyPatch) -> None:
    """The candidate's log is not compared (paper, section 5.4.1)."""
    patch.setattr(RaftLog, "is_up_to_date", lambda log, last_index, last_term: True)


def commit_an_old_term_by_counting(patch: pytest.MonkeyPatch) -> None:
    """Replicas are counted whatever the entry's term (paper, figure 8)."""

    def committed_index(
        commit_index: int, match_indexes: Sequence[int], term_at: Callable[[int], int | None], current_term: int
    ) -> int:
        return max(commit_index, replicated_index(match_indexes))

    patch.setattr("cluster.raft.leader.committed_index", committed_index)


def win_with_a_minority(patch: pytest.MonkeyPatch) -> None:
    """Half of the voters, rounded down, elect and commit."""
    patch.setattr("cluster.raft.majority.majority", lambda voters: max(1, voters // 2))


def commit_what_one_voter_has(patch: pytest.MonkeyPatch) -> None:
    """The furthest voter decides what is committed."""
    patch.setattr("cluster.raft.majority.replicated_index", max)


def campaign_without_asking(patch: pytest.MonkeyPatch) -> None:
    """Neither PreVote nor the patience of those who hear a leader keeps a returning voter quiet (thesis, 9.6)."""
    original = RaftNode._become_pre_candidate

    def become_pre_candidate(node: RaftNode) -> None:
        if node.role is Role.FOLLOWER:
            node._become_candidate(leadership_transfer=True)
        else:
            original(node)

    patch.setattr(RaftNode, "_become_pre_candidate", become_pre_candidate)
