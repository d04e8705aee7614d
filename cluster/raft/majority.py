"""Quorum arithmetic: majorities, vote counts, and what is committed. Pure functions, tested exhaustively."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from cluster.base.ids import NodeId


class Tally(Enum):
    """How an election stands."""

    PENDING = 0
    WON = 1
    LOST = 2


def majority(voters: int) -> int:
    """Return how many of so many voters are a majority."""
    assert voters > 0, "a quorum has voters"
    return voters // 2 + 1


def tally(voters: Sequence[NodeId], votes: Mapping[NodeId, bool]) -> Tally:
    """Count votes. An election is lost as soon as the open votes cannot make up a majority."""
    needed = majority(len(voters))
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    if granted >= needed:
        return Tally.WON
    return Tally.LOST if len(voters) - refused < needed else Tally.PENDING


def replicated_index(match_indexes: Sequence[int]) -> int:
    """Return the highest index that a majority has; one number for each voter."""
    return sorted(match_indexes, reverse=True)[majority(len(match_indexes)) - 1]


def committed_index(
    commit_index: int, match_indexes: Sequence[int], term_at: Callable[[int], int | None], current_term: int
) -> int:
    """Return the leader's new commit index (paper, section 5.4.2 and figure 8).

    Only an entry of the leader's **own** term is committed by counting replicas; entries before it follow.
    An entry of an older term may be on a majority and still be overwritten by a later leader.
    """
    candidate = replicated_index(match_indexes)
    if candidate > commit_index and term_at(candidate) == current_term:
        return candidate
    return commit_index
