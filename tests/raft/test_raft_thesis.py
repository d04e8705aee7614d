"""The claims of Ongaro's thesis (2014) that go beyond the paper, by section: PreVote, CheckQuorum, transfer.

Each test builds the situation message by message; all invariants are checked after every step besides.
"""

from __future__ import annotations

import pytest
from raft_cluster import FETCH_TIMEOUT_MS
from raft_situations import hand, make

from cluster.base.ids import NO_NODE, NodeId
from cluster.raft import Message, Role
from cluster.raft.messages import AppendEntriesReply, RequestVote, TimeoutNow
from cluster.raft.roles import TRANSITIONS, check_transition


def test_9_6_a_voter_that_was_cut_off_changes_no_term() -> None:
    cluster = make()
    leader, lonely = cluster.elect(1), cluster.voters[NodeId(3)]
    for _ in range(10):
        cluster.time_out(lonely)
        cluster.under_way.clear()
    assert (lonely.node.role, lonely.node.term) == (Role.PRE_CANDIDATE, leader.node.term)


def test_4_2_3_whoever_hears_the_leader_ignores_a_campaign() -> None:
    cluster = make()
    leader = cluster.elect(1)
    for pre_vote in (True, False):
        assert hand(cluster, 3, 2, leader.node.term + 9, RequestVote(pre_vote, 99, 99)) == []
    assert cluster.voters[NodeId(2)].node.term == leader.node.term


def test_6_2_a_leader_without_a_majority_resigns() -> None:
    cluster = make()
    leader = cluster.elect(1)
    start_ms = cluster.now_ms
    while leader.node.is_leader:
        cluster.time_out(leader)
        cluster.under_way.clear()
    patience_ms = leader.settings.check_quorum_ms
    assert patience_ms <= cluster.now_ms - start_ms <= patience_ms + leader.settings.heartbeat_interval_ms
    assert leader.node.leader_id == NO_NODE


def test_6_2_a_leader_that_was_stopped_is_not_fooled_by_old_answers() -> None:
    cluster = make()
    leader = cluster.elect(1)
    cluster.elapse(30)
    old_answers = [
        Message(NodeId(2), NodeId(1), leader.node.term, AppendEntriesReply(True, 1, 0, 0, 0, number))
        for number in (1, 2)
    ]
    cluster.now_ms += 10 * FETCH_TIMEOUT_MS  # SIGSTOP, SIGCONT
    for answer in old_answers:
        cluster.deliver(answer)
    cluster.time_out(leader)
    assert not leader.node.is_leader


def test_3_10_a_leader_hands_over_without_waiting_for_a_timeout() -> None:
    cluster = make()
    leader = cluster.elect(1)
    before_ms = cluster.now_ms
    assert cluster.transfer(leader) == 2
    assert cluster.propose(leader, "refused meanwhile") is None
    cluster.deliver_all()
    assert cluster.voters[NodeId(2)].node.is_leader and cluster.now_ms == before_ms


def test_3_10_a_successor_is_caught_up_first() -> None:
    cluster = make()
    leader = cluster.elect(1)
    cluster.propose(leader, "a")
    cluster.under_way.clear()  # nobody has it
    cluster.transfer(leader, 3)
    assert not any(isinstance(message.body, TimeoutNow) for message in cluster.under_way)
    for _ in range(3):
        cluster.elapse(30)
        cluster.deliver_all()
    assert cluster.voters[NodeId(3)].node.is_leader
    assert cluster.voters[NodeId(3)].applied[1][2] == "a"


def test_3_10_a_leader_goes_on_when_nobody_takes_over() -> None:
    cluster = make()
    leader = cluster.elect(1)
    cluster.transfer(leader, 3)
    cluster.under_way = [message for message in cluster.under_way if not isinstance(message.body, TimeoutNow)]
    for _ in range(8):
        cluster.elapse(30)
        cluster.deliver_all()
    assert leader.node.is_leader and cluster.propose(leader, "welcome again") is not None


# --- what is no voter's business


def test_a_stranger_is_not_heard() -> None:
    cluster = make()
    voter = cluster.voters[NodeId(1)]
    for source, target in ((9, 1), (1, 1)):
        voter.node.step(Message(NodeId(source), NodeId(target), 50, RequestVote(False, 9, 9)), cluster.now_ms)
    voter.node.step(Message(NodeId(2), NodeId(3), 50, RequestVote(False, 9, 9)), cluster.now_ms)
    assert voter.node.term == 0


def test_a_move_that_the_table_lacks_is_a_bug() -> None:
    for source in Role:
        for target in Role:
            if target not in TRANSITIONS[source]:
                with pytest.raises(AssertionError, match="never becomes"):
                    check_transition(source, target)
    assert Role.CANDIDATE not in TRANSITIONS[Role.LEADER] and Role.LEADER not in TRANSITIONS[Role.PRE_CANDIDATE]
