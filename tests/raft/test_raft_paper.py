"""The claims of the Raft paper (Ongaro and Ousterhout, 2014), by section.

Each test builds the situation message by message; all invariants are checked after every step besides.
"""

from __future__ import annotations

from random import Random

import pytest
from raft_cluster import ELECTION_TIMEOUT_MS, FETCH_TIMEOUT_MS, Cluster, Voter
from raft_invariants import Invariants, Violation
from raft_situations import hand, make, terms_of, with_log

from cluster.base.ids import NO_NODE, NodeId
from cluster.raft import Entry, EntryKind, Message, Role, Snapshot
from cluster.raft.majority import replicated_index
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)

# --- section 5.1: terms


def test_5_1_whoever_sees_a_higher_term_follows_it() -> None:
    for message in (RequestVote(False, 0, 0, True), AppendEntries(0, 0, 0, (), 1), TimeoutNow()):
        cluster = make()
        leader = cluster.elect(1)
        hand(cluster, 2, 1, leader.node.term + 5, message)
        assert leader.node.term == 6 or isinstance(message, TimeoutNow)
        assert leader.node.role is not Role.LEADER


def test_5_1_a_message_of_an_old_term_is_refused_and_answered_with_the_new_one() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 4])
    assert hand(cluster, 1, 2, 3, AppendEntries(2, 4, 0, (), 7)) == [AppendEntriesReply(False, 0, 0, 0, 0, 7)]
    assert hand(cluster, 1, 2, 3, RequestVote(False, 9, 3)) == [RequestVoteReply(False, False)]
    assert voter.node.term == 4


# --- section 5.2: leader election


def test_5_2_a_follower_that_hears_nothing_begins_an_election_in_the_next_term() -> None:
    cluster = make()
    voter = cluster.elect(2)
    assert (voter.node.term, voter.node.voted_for) == (1, 2)
    assert [other.node.leader_id for other in cluster.alive] == [2, 2, 2]


def test_5_2_a_voter_votes_once_in_a_term_first_come_first_served() -> None:
    cluster = make()
    assert hand(cluster, 2, 1, 1, RequestVote(False, 0, 0)) == [RequestVoteReply(False, True)]
    assert hand(cluster, 3, 1, 1, RequestVote(False, 0, 0)) == [RequestVoteReply(False, False)]
    assert hand(cluster, 2, 1, 1, RequestVote(False, 0, 0)) == [RequestVoteReply(False, True)]  # asked again


def test_5_2_a_vote_survives_a_loss_of_power() -> None:
    cluster = make()
    hand(cluster, 2, 1, 1, RequestVote(False, 0, 0))
    cluster.voters[NodeId(1)].crash(loses_power=True)
    cluster.start(cluster.voters[NodeId(1)])
    assert hand(cluster, 3, 1, 1, RequestVote(False, 0, 0)) == [RequestVoteReply(False, False)]


def test_5_2_a_candidate_that_hears_the_leader_of_its_term_follows_it() -> None:
    cluster = make()
    candidate = cluster.voters[NodeId(1)]
    hand(cluster, 2, 1, 0, TimeoutNow())
    assert (candidate.node.role, candidate.node.term, candidate.node.leader_id) == (Role.CANDIDATE, 1, NO_NODE)
    hand(cluster, 3, 1, 1, AppendEntries(0, 0, 0, (), 1))
    assert (candidate.node.role, candidate.node.leader_id) == (Role.FOLLOWER, 3)


def test_5_2_a_split_vote_ends_in_another_election() -> None:
    cluster = make(4)
    for first, second in ((1, 2), (3, 4)):
        hand(cluster, second, first, 0, TimeoutNow())
        hand(cluster, first, second, 1, RequestVote(False, 0, 0, True))
    assert [voter.node.role for voter in (cluster.voters[NodeId(1)], cluster.voters[NodeId(3)])] == [Role.CANDIDATE] * 2
    cluster.elect(1)
    assert cluster.voters[NodeId(1)].node.term == 2


def test_5_2_patience_is_random_so_that_voters_do_not_campaign_at_once() -> None:
    cluster = make(5)
    cluster.elect(1)
    deadlines = {voter.node.next_tick_ms - cluster.now_ms for voter in cluster.alive if not voter.node.is_leader}
    assert len(deadlines) > 1
    assert min(deadlines) > FETCH_TIMEOUT_MS // 2 and max(deadlines) < FETCH_TIMEOUT_MS + ELECTION_TIMEOUT_MS


def test_a_new_quorum_does_not_wait_for_a_leader_that_cannot_exist() -> None:
    cluster = make()
    assert [voter.node.next_tick_ms <= cluster.now_ms for voter in cluster.alive] == [True, False, False]


# --- section 5.3: log replication


def test_5_3_an_entry_is_committed_once_a_majority_has_it_on_disk() -> None:
    cluster = make()
    leader = cluster.elect(1)
    index = cluster.propose(leader, "a")
    assert index is not None
    follower = cluster.voters[NodeId(2)]
    cluster.sync(leader)
    assert leader.node.commit_index < index, "the leader alone is no majority"
    for message in [message for message in cluster.under_way if message.target == 2]:
        cluster.deliver(message)
    cluster.under_way.clear()
    cluster.sync(follower)
    cluster.deliver(cluster.under_way.pop())
    assert leader.node.commit_index == index


def test_a_leader_counts_itself_only_after_its_own_disk() -> None:
    """Thesis, section 10.2.1: the leader may send before its own disk is done, but not count itself."""
    cluster = make()
    leader = cluster.elect(1)
    index = cluster.propose(leader, "a")
    follower = cluster.voters[NodeId(2)]
    cluster.deliver(next(message for message in cluster.under_way if message.target == 2))
    cluster.under_way.clear()
    cluster.sync(follower)
    cluster.deliver(cluster.under_way.pop())
    assert leader.node.commit_index != index, "one disk of three is no majority"
    cluster.sync(leader)
    assert leader.node.commit_index == index


def test_5_3_entries_after_a_gap_are_refused_with_a_hint() -> None:
    cluster = make()
    with_log(cluster, 2, [1, 1])
    entry = Entry(5, 2, EntryKind.DATA, b"5")
    assert hand(cluster, 1, 2, 2, AppendEntries(4, 2, 0, (entry,), 1)) == [AppendEntriesReply(False, 0, 4, 2, 1, 1)]


def test_5_3_a_conflicting_tail_is_replaced() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 1, 1])
    hand(cluster, 1, 2, 2, AppendEntries(1, 1, 0, (Entry(2, 2, EntryKind.DATA, b"new"),), 1))
    assert terms_of(voter) == [1, 2]
    voter.crash(loses_power=False)
    cluster.start(voter)
    assert terms_of(voter) == [1, 2], "the disk agrees"


def test_figure_2_an_old_message_does_not_cut_what_followed_it() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 1, 1])
    hand(cluster, 1, 2, 1, AppendEntries(0, 0, 0, (Entry(1, 1, EntryKind.DATA, b"1"),), 1))
    assert terms_of(voter) == [1, 1, 1]


def test_figure_2_the_commit_index_goes_no_further_than_what_agrees() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 1, 1])
    hand(cluster, 1, 2, 2, AppendEntries(1, 1, 3, (), 1))
    assert voter.node.commit_index == 1, "entries 2 and 3 may be others than the leader's"


FIGURE_7 = {
    "a: lacks one entry": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b: lacks many": [1, 1, 1, 4],
    "c: has one more": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d: has two more, of a later term": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e: lacks some and has others": [1, 1, 1, 4, 4, 4, 4],
    "f: missed three terms": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


@pytest.mark.parametrize("follower_terms", FIGURE_7.values(), ids=FIGURE_7.keys())
def test_figure_7_a_leader_brings_every_kind_of_log_into_line(follower_terms: list[int]) -> None:
    # The logs are made up, not grown: entries of one term differ in nothing but their place.
    cluster = Cluster(3, Random("figure 7"), Invariants(only="ElectionSafety"))
    with_log(cluster, 3, follower_terms)
    leader = with_log(cluster, 1, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], term=7)
    with_log(cluster, 2, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6])
    cluster.elect(1)
    cluster.elapse(40)
    cluster.deliver_all()
    assert terms_of(cluster.voters[NodeId(3)]) == terms_of(leader)


def test_5_3_backtracking_skips_a_whole_term_at_a_time() -> None:
    cluster = Cluster(3, Random("backtracking"), Invariants(only="ElectionSafety"))
    follower = with_log(cluster, 3, [1] * 10 + [2] * 40 + [3] * 40)
    with_log(cluster, 1, [1] * 10 + [4] * 90)
    with_log(cluster, 2, [1] * 10 + [4] * 90)
    leader = cluster.elect(1)
    refusals = 0
    for _ in range(300):
        cluster.elapse(1)
        if not cluster.under_way:
            break
        message = cluster.under_way.pop(0)
        refusals += isinstance(message.body, AppendEntriesReply) and not message.body.success
        cluster.deliver(message)
    cluster.deliver_all()
    assert terms_of(follower) == terms_of(leader)
    assert refusals <= 3, "90 entries differ, in two terms"


def test_5_3_what_follows_is_sent_before_the_answer_comes() -> None:
    cluster = make()
    leader = cluster.elect(1)
    for number in range(5):
        cluster.propose(leader, str(number))
    appends = [message.body for message in cluster.under_way if message.target == 2]
    assert [len(append.entries) for append in appends if isinstance(append, AppendEntries)] == [1, 1, 1, 1, 1]


def test_what_is_proposed_together_travels_together() -> None:
    cluster = make()
    leader = cluster.elect(1)
    for number in range(5):
        leader.node.propose(str(number).encode())
    cluster.settle(leader)
    appends = [message.body for message in cluster.under_way if message.target == 2]
    assert [len(append.entries) for append in appends if isinstance(append, AppendEntries)] == [5]


# --- section 5.4: safety


@pytest.mark.parametrize(
    ("voter_terms", "last_log", "granted"),
    [
        ([1, 1], (2, 1), True),
        ([1, 1], (1, 2), True),  # a later last term wins, however short the log
        ([1, 2], (5, 1), False),
        ([1, 1, 1], (2, 1), False),  # the same last term: the longer log wins
        ([], (0, 0), True),
    ],
)
@pytest.mark.parametrize("pre_vote", [False, True])
def test_5_4_1_a_vote_goes_only_to_a_log_that_is_at_least_as_complete(
    voter_terms: list[int], last_log: tuple[int, int], granted: bool, pre_vote: bool
) -> None:
    cluster = make()
    with_log(cluster, 1, voter_terms)
    answer = hand(cluster, 2, 1, 3, RequestVote(pre_vote, *last_log))
    assert answer == [RequestVoteReply(pre_vote, granted)]


def figure_8_c() -> tuple[Cluster, Voter]:
    """Build figure 8 (c): voter 1 leads term 4 and has copied entry 2, of term 2, to a majority."""
    cluster = make(5)
    for voter_id, terms in ((2, [1, 2]), (3, [1]), (4, [1]), (5, [1, 3]), (1, [1, 2])):
        with_log(cluster, voter_id, terms)
    leader = cluster.voters[NodeId(1)]
    hand(cluster, 2, 1, 3, RequestVote(False, 0, 0))  # voter 1 hears of term 3
    hand(cluster, 2, 1, 3, TimeoutNow())
    for voter_id in (2, 3):
        cluster.deliver(Message(NodeId(voter_id), NodeId(1), 4, RequestVoteReply(False, True)))
    cluster.under_way.clear()
    assert leader.node.is_leader and leader.node.term == 4
    entry = Entry(2, 2, EntryKind.DATA, b"2")
    for voter_id in (2, 3):
        hand(cluster, 1, voter_id, 4, AppendEntries(1, 1, 0, (entry,), 1))
        cluster.sync(cluster.voters[NodeId(voter_id)])
        cluster.deliver(Message(NodeId(voter_id), NodeId(1), 4, AppendEntriesReply(True, 2, 0, 0, 0, 1)))
        cluster.under_way.clear()
    assert sum(voter.node.term_at(2) == 2 for voter in cluster.alive) == 3, "a majority has entry 2"
    return cluster, leader


def figure_8_d(cluster: Cluster, leader: Voter) -> None:
    """Voter 1 crashes; voter 5 wins with the votes of the others and overwrites entry 2."""
    leader.crash(loses_power=True)
    cluster.elect(5)
    assert cluster.voters[NodeId(3)].node.term_at(2) == 3


def test_figure_8_an_entry_of_an_old_term_is_not_committed_by_counting() -> None:
    cluster, leader = figure_8_c()
    assert leader.node.commit_index == 0
    figure_8_d(cluster, leader)


def test_figure_8_the_alarm_goes_off_when_it_is_committed_by_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_counting(commit_index: int, match_indexes: list[int], term_at: object, current_term: int) -> int:
        return max(commit_index, replicated_index(match_indexes))

    monkeypatch.setattr("cluster.raft.leader.committed_index", by_counting)
    cluster, leader = figure_8_c()
    assert leader.node.commit_index == 2
    with pytest.raises(Violation, match="LeaderCompleteness: leader 5 of term 5 lacks committed entry 2"):
        figure_8_d(cluster, leader)


def test_8_a_new_leader_commits_the_past_with_an_entry_of_its_own_term() -> None:
    cluster = make()
    for voter_id in (3, 2, 1):
        with_log(cluster, voter_id, [1, 1, 2])
    leader = cluster.elect(1)
    assert (leader.node.last_index, leader.node.commit_index) == (4, 4)
    assert leader.applied[-1] == (4, leader.node.term, "")


# --- section 5.5: retries are harmless


def test_5_5_a_message_twice_is_as_good_as_once() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1])
    append = AppendEntries(1, 1, 1, (Entry(2, 1, EntryKind.DATA, b"2"),), 1)
    hand(cluster, 1, 2, 1, append)
    cluster.sync(voter)
    assert hand(cluster, 1, 2, 1, append) == [AppendEntriesReply(True, 2, 0, 0, 0, 1)]
    assert terms_of(voter) == [1, 1]


def test_entries_are_acknowledged_only_after_the_disk_has_them() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [])
    append = AppendEntries(0, 0, 0, (Entry(1, 1, EntryKind.DATA, b"1"),), 1)
    assert hand(cluster, 1, 2, 1, append) == []
    heartbeat = AppendEntries(1, 1, 0, (), 2)
    assert hand(cluster, 1, 2, 1, heartbeat) == [AppendEntriesReply(True, 0, 0, 0, 0, 2)], "alive, nothing durable"
    cluster.sync(voter)
    assert [message.body for message in cluster.under_way] == [AppendEntriesReply(True, 1, 0, 0, 0, 2)]


def test_an_acknowledgement_that_waits_for_the_disk_dies_with_its_term() -> None:
    """Else a deposed leader could count an entry that a later leader has overwritten meanwhile."""
    cluster = make()
    voter = with_log(cluster, 2, [])
    hand(cluster, 1, 2, 1, AppendEntries(0, 0, 0, (Entry(1, 1, EntryKind.DATA, b"1"),), 1))
    hand(cluster, 3, 2, 2, RequestVote(False, 9, 1, True))
    cluster.sync(voter)
    assert cluster.under_way == []


# --- section 7: snapshots


def test_7_a_follower_too_far_behind_gets_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", 0)
    cluster = make()
    cluster.voters[NodeId(3)].crash(loses_power=False)
    leader = cluster.elect(1)
    for number in range(5):
        cluster.propose(leader, str(number))
    cluster.deliver_all()
    leader.take_snapshot()
    assert leader.node.base_index == leader.node.last_index == 6
    late = cluster.voters[NodeId(3)]
    cluster.start(late)
    for _ in range(3):
        cluster.elapse(40)
        cluster.deliver_all()
    assert late.applied == leader.applied
    assert late.node.base_index == 6
    late.crash(loses_power=True)
    cluster.start(late)
    assert (late.applied, late.node.commit_index) == (leader.applied, 6), "the snapshot was durable"


def test_7_a_snapshot_of_what_is_here_leaves_the_entries_after_it() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 1, 1])
    answer = hand(cluster, 1, 2, 1, InstallSnapshot(Snapshot(2, 1, b"[]"), 4))
    assert terms_of(voter) == [1, 1, 1] and voter.node.commit_index == 2
    assert answer == [AppendEntriesReply(True, 2, 0, 0, 0, 4)]


def test_7_an_old_snapshot_changes_nothing() -> None:
    cluster = make()
    voter = with_log(cluster, 2, [1, 1, 1])
    hand(cluster, 1, 2, 1, AppendEntries(3, 1, 3, (), 1))
    hand(cluster, 1, 2, 1, InstallSnapshot(Snapshot(2, 1, b"[]"), 4))
    assert voter.node.commit_index == 3 and len(voter.applied) == 3
