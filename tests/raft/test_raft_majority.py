"""Quorum arithmetic, checked against its definition for every small case."""

from __future__ import annotations

from itertools import product

import pytest

from cluster.base.ids import NodeId
from cluster.raft.majority import Tally, committed_index, majority, replicated_index, tally


@pytest.mark.parametrize("voters", range(1, 10))
def test_two_majorities_always_share_a_voter(voters: int) -> None:
    assert 2 * majority(voters) > voters >= majority(voters)
    assert 2 * (majority(voters) - 1) <= voters, "and none is larger than it must be"


@pytest.mark.parametrize("voters", range(1, 6))
def test_the_replicated_index_is_the_highest_that_a_majority_has(voters: int) -> None:
    for matches in product(range(4), repeat=voters):
        by_definition = max(index for index in range(4) if sum(match >= index for match in matches) >= majority(voters))
        assert replicated_index(matches) == by_definition


@pytest.mark.parametrize("voters", range(1, 6))
def test_an_election_is_won_lost_or_open_and_more_votes_never_revert_it(voters: int) -> None:
    ids = [NodeId(number) for number in range(voters)]
    for answers in product((True, False, None), repeat=voters):
        votes = {voter: answer for voter, answer in zip(ids, answers, strict=True) if answer is not None}
        granted, refused = answers.count(True), answers.count(False)
        if granted >= majority(voters):
            expected = Tally.WON
        elif voters - refused < majority(voters):
            expected = Tally.LOST
        else:
            expected = Tally.PENDING
        assert tally(ids, votes) is expected


def test_votes_of_strangers_do_not_count() -> None:
    assert tally([NodeId(1), NodeId(2), NodeId(3)], {NodeId(1): True, NodeId(9): True}) is Tally.PENDING


def test_only_an_entry_of_the_current_term_is_committed_by_counting() -> None:
    terms = {1: 1, 2: 2, 3: 4}
    assert committed_index(0, [2, 2, 2, 1, 1], terms.get, 4) == 0  # figure 8 (c)
    assert committed_index(0, [3, 3, 3, 1, 1], terms.get, 4) == 3  # figure 8 (e): the older ones follow


def test_the_commit_index_never_goes_back() -> None:
    assert committed_index(5, [1, 1, 9], {1: 3, 9: 3}.get, 3) == 5
