"""Acknowledgements, the maximal ISR, who leaves and who joins; and that a planted bug is seen."""

from __future__ import annotations

import pytest
from replica_cluster import LAG_MS, ReplicaCluster

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.base.trace import HighWatermarkAdvanced, IsrChangeAnswered, IsrChangeRequested
from cluster.replication import IsrAnswer, Leadership, PartitionRole
from cluster.replication import leadership as leadership_file
from cluster.storage import EpochEndOffset


def wait(cluster: ReplicaCluster, node: int, required_offset: int) -> list[ErrorCode]:
    answered: list[ErrorCode] = []
    cluster[node].when_committed(required_offset, answered.append)
    return answered


def settle(cluster: ReplicaCluster, *followers: int, leader: int = 1) -> None:
    """Let followers copy everything and the leader know it."""
    for _ in range(2):
        for follower in followers:
            cluster.catch_up(follower, leader, rounds=3)


@pytest.mark.parametrize(
    ("acks", "isr", "expected"),
    [
        (0, (1,), ErrorCode.NONE),
        (1, (1,), ErrorCode.NONE),
        (-1, (1,), ErrorCode.NOT_ENOUGH_REPLICAS),
        (-1, (1, 2), ErrorCode.NONE),
        (-1, (1, 2, 3), ErrorCode.NONE),
    ],
)
def test_only_acks_all_asks_for_enough_replicas_and_before_it_appends(
    acks: int, isr: tuple[int, ...], expected: ErrorCode
) -> None:
    cluster = ReplicaCluster(3, min_insync_replicas="2")
    cluster.elect(1, isr=isr)
    cluster.tell(1)
    assert cluster.produce(1, "a", acks=acks).error is expected
    assert cluster.values(1) == (["a"] if expected is ErrorCode.NONE else [])


def test_acks_all_is_answered_when_the_last_member_of_the_isr_has_fetched_beyond_it() -> None:
    cluster = ReplicaCluster(3)
    two, three = cluster.stream(2, 1), cluster.stream(3, 1)
    two.fetch(), three.fetch()
    outcome = cluster.produce(1, "a", "b", acks=-1)
    assert (outcome.base_offset, outcome.required_offset) == (0, 2)
    answered = wait(cluster, 1, outcome.required_offset)
    two.fetch(), three.fetch()  # both bring the records
    two.ask()
    assert (answered, cluster[1].high_watermark) == ([], 0)
    three.ask()
    assert (answered, cluster[1].high_watermark) == ([ErrorCode.NONE], 2)


def test_waiters_are_served_in_the_order_of_their_offsets_and_a_cancelled_one_not_at_all() -> None:
    cluster = ReplicaCluster(2)
    served: list[int] = []
    cluster.produce(1, "a", "b", "c")
    partition = cluster[1]
    for offset in (3, 1, 2):
        partition.when_committed(offset, lambda _, offset=offset: served.append(offset))
    partition.when_committed(2, lambda _: served.append(99)).cancel()
    settle(cluster, 2)
    assert served == [1, 2, 3]


def test_a_leader_that_loses_its_leadership_tells_those_who_wait() -> None:
    cluster = ReplicaCluster(2)
    answered = wait(cluster, 1, cluster.produce(1, "a", acks=-1).required_offset)
    cluster.elect(2)
    cluster.tell(1)
    assert answered == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    assert wait(cluster, 1, 1) == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    assert cluster.produce(1, "b").error is ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_an_isr_that_shrinks_below_the_minimum_fails_the_wait_and_freezes_the_high_watermark() -> None:
    """KIP-966: what too few replicas hold is not committed, so that an eligible leader replica lacks nothing."""
    cluster = ReplicaCluster(2, min_insync_replicas="2")
    outcome = cluster.produce(1, "a", acks=-1)
    answered = wait(cluster, 1, outcome.required_offset)
    cluster.now_ms = LAG_MS + 1
    cluster.replicas[NodeId(1)].check_isr(cluster.now_ms)
    assert answered == []  # asked for, not confirmed
    cluster.answer_proposal(1)
    assert cluster[1].isr == (1,)
    assert answered == [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]
    assert cluster[1].high_watermark == 0


def test_a_laggard_leaves_only_after_the_lag_time_and_the_rest_then_commits() -> None:
    cluster = ReplicaCluster(3)
    answered = wait(cluster, 1, cluster.produce(1, "a", acks=-1).required_offset)
    two = cluster.stream(2, 1)
    cluster.now_ms = LAG_MS
    two.fetch(), two.fetch()
    cluster.replicas[NodeId(1)].check_isr(cluster.now_ms)
    assert cluster[1].pending_isr_change is None  # exactly the lag time is not too long
    cluster.now_ms += 1
    cluster.replicas[NodeId(1)].check_isr(cluster.now_ms)
    proposal = cluster[1].pending_isr_change
    assert proposal is not None
    assert proposal.isr == (1, 2)
    assert answered == []
    cluster.answer_proposal(1)
    assert answered == [ErrorCode.NONE]
    assert cluster.events(1, IsrChangeRequested) == [IsrChangeRequested("orders", 0, (1, 2), 0, 0)]
    assert cluster.events(1, IsrChangeAnswered) == [IsrChangeAnswered("orders", 0, "NONE", 1)]


def test_a_follower_of_an_idle_partition_stays_however_long_nothing_is_written() -> None:
    """A fetch session does not name idle partitions, but each of its requests is a sign of life."""
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    cluster.produce(1, "a")
    stream.fetch(), stream.fetch()
    for _ in range(20):
        cluster.now_ms += LAG_MS // 2
        assert not stream.ask().partitions or cluster.now_ms == LAG_MS // 2
        stream.answer()
    cluster.produce(1, "b")
    cluster.now_ms += 10
    cluster.replicas[NodeId(1)].check_isr(cluster.now_ms)
    assert cluster[1].pending_isr_change is None


def test_a_follower_joins_when_it_has_all_that_is_committed_and_the_old_epochs_records() -> None:
    cluster = ReplicaCluster(3)
    cluster.elect(1, isr=[1, 2])
    cluster.tell(1, 2, 3)
    cluster.produce(1, "a")
    settle(cluster, 2)
    assert cluster[1].pending_isr_change is None
    three = cluster.stream(3, 1)
    three.ask()
    assert cluster[1].pending_isr_change is None  # it lacks a committed record
    three.answer()
    three.ask()
    proposal = cluster[1].pending_isr_change
    assert proposal is not None
    assert (proposal.isr, proposal.broker_epochs) == ((1, 2, 3), (-1, 2, 3))
    cluster.answer_proposal(1)
    assert cluster[1].isr == (1, 2, 3)


def test_two_followers_that_catch_up_together_join_one_after_the_other() -> None:
    """One change is in flight at a time; an idle follower is not heard of again, and must not be forgotten."""
    cluster = ReplicaCluster(3)
    cluster.elect(1, isr=[1])
    cluster.tell(1, 2, 3)
    two, three = cluster.stream(2, 1), cluster.stream(3, 1)
    two.fetch(), three.fetch()
    cluster.answer_proposal(1)
    cluster.answer_proposal(1)
    assert cluster[1].isr == (1, 2, 3)


def test_a_fenced_or_reborn_broker_is_not_added_until_the_controller_knows_better() -> None:
    """KIP-903: the broker epoch that fetched is the one that is registered and active."""
    cluster = ReplicaCluster(2)
    cluster.elect(1, isr=[1])
    cluster.change_broker(2, fenced=True)
    cluster.tell(1, 2)
    stream = cluster.stream(2, 1)
    stream.fetch()
    assert cluster[1].pending_isr_change is None
    cluster.change_broker(2, fenced=False)
    cluster.tell(1)
    assert cluster[1].pending_isr_change is not None


def test_a_broker_from_an_earlier_life_is_told_that_it_is_stale() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    request = stream.ask()
    cluster.change_broker(2, broker_epoch=50)
    cluster.tell(1)
    stream.session.accept(request, cluster.now_ms)
    assert stream.session.is_urgent
    assert stream.session.respond().error_code == ErrorCode.STALE_BROKER_EPOCH


def maximal_isr_history(cluster: ReplicaCluster) -> list[str]:
    """2 is asked to join and the answer is lost: the controller may elect 2, so 1 must commit nothing without it."""
    cluster.elect(1, isr=[1, 3])
    cluster.tell(1, 2, 3)
    two, three = cluster.stream(2, 1), cluster.stream(3, 1)
    two.fetch(), three.fetch()
    cluster.commit_proposal(1)  # committed by the controller; 1 does not hear of it
    outcome = cluster.produce(1, "x", acks=-1)
    answered = wait(cluster, 1, outcome.required_offset)
    for _ in range(3):
        three.fetch()  # 2 falls silent
    lost: list[str] = []
    if answered == [ErrorCode.NONE]:
        cluster.elect(2)
        cluster.tell(2)
        lost = [value for value in ["x"] if value not in cluster.values(2)]
    return lost


def test_the_high_watermark_waits_for_the_maximal_isr() -> None:
    """KIP-497 and KIP-966: ISR and pending additions, for they may be elected."""
    cluster = ReplicaCluster(3)
    assert maximal_isr_history(cluster) == []
    assert cluster[1].high_watermark == 0


def test_without_the_maximal_isr_an_acknowledged_record_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history above does bite: commit over the confirmed ISR only, and it loses a record."""
    monkeypatch.setattr(leadership_file, "maximal_isr", lambda committed, proposed: tuple(committed))
    monkeypatch.setattr(Leadership, "_is_about_to_join", lambda *_: False)
    assert maximal_isr_history(ReplicaCluster(3)) == ["x"]


def test_a_refused_change_stays_in_flight_until_metadata_brings_news() -> None:
    cluster = ReplicaCluster(2)
    cluster.elect(1, isr=[1])
    cluster.tell(1, 2)
    cluster.stream(2, 1).fetch()
    assert cluster.answer_proposal(1, IsrAnswer(ErrorCode.INVALID_UPDATE_VERSION))
    assert cluster[1].pending_isr_change is not None
    assert cluster[1].leadership is not None
    assert cluster[1].leadership.maximal_isr == (1, 2)
    cluster.commit_proposal(1)
    cluster.tell(1)
    assert cluster[1].pending_isr_change is None
    assert cluster[1].isr == (1, 2)


@pytest.mark.parametrize(
    ("error", "is_settled", "is_pending"),
    [
        (ErrorCode.INELIGIBLE_REPLICA, True, False),
        (ErrorCode.OPERATION_NOT_ATTEMPTED, True, False),
        (ErrorCode.FENCED_LEADER_EPOCH, True, True),
        (ErrorCode.INVALID_UPDATE_VERSION, True, True),
        (ErrorCode.UNKNOWN_SERVER_ERROR, False, True),
    ],
)
def test_refusals_are_final_or_wait_for_metadata_or_are_tried_again(
    error: ErrorCode, is_settled: bool, is_pending: bool
) -> None:
    cluster = ReplicaCluster(2)
    cluster.elect(1, isr=[1])
    cluster.tell(1, 2)
    cluster.stream(2, 1).fetch()
    assert cluster.answer_proposal(1, IsrAnswer(error)) is is_settled
    assert (cluster[1].pending_isr_change is not None) is is_pending


def test_an_answer_that_metadata_has_overtaken_changes_nothing() -> None:
    cluster = ReplicaCluster(2)
    cluster.elect(1, isr=[1])
    cluster.tell(1, 2)
    cluster.stream(2, 1).fetch()
    proposal = cluster[1].pending_isr_change
    assert proposal is not None
    answer = cluster.commit_proposal(1)
    cluster.elect(1, isr=[1])
    cluster.tell(1)
    assert cluster[1].isr_change_answered(proposal, answer, cluster.now_ms)
    assert cluster[1].isr == (1,)


def test_the_high_watermark_never_falls_within_an_epoch_and_followers_stay_behind_the_leader() -> None:
    cluster = ReplicaCluster(3)
    for number in range(5):
        cluster.produce(1, f"v{number}")
        settle(cluster, 2, 3)
    for node in (1, 2, 3):
        marks = [event.high_watermark for event in cluster.events(node, HighWatermarkAdvanced)]
        assert marks == sorted(set(marks))
        assert cluster[node].high_watermark == 5


def test_a_new_leader_begins_with_its_own_high_watermark_and_offers_no_older_latest_offset() -> None:
    """KIP-207: the true high watermark may be higher than what a follower knew."""
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    cluster.produce(1, "a")
    stream.fetch(), stream.ask()
    assert (cluster[1].high_watermark, cluster[2].high_watermark) == (1, 0)
    cluster.elect(2)
    cluster.tell(1, 2)
    assert cluster[2].high_watermark == 0
    assert cluster[2].latest().error is ErrorCode.OFFSET_NOT_AVAILABLE
    settle(cluster, 1, leader=2)
    assert cluster[2].latest().offset == 1


def test_a_broken_disk_takes_one_partition_offline_and_tells_everybody() -> None:
    cluster = ReplicaCluster(2)
    answered = wait(cluster, 1, cluster.produce(1, "a", acks=-1).required_offset)
    cluster.disks[NodeId(1)].is_broken = True
    assert cluster.produce(1, "b").error is ErrorCode.KAFKA_STORAGE_ERROR
    assert cluster[1].role is PartitionRole.OFFLINE
    assert answered == [ErrorCode.KAFKA_STORAGE_ERROR]
    assert cluster.produce(1, "c").error is ErrorCode.KAFKA_STORAGE_ERROR
    assert cluster[1].read(offset=0, max_bytes=100).error is ErrorCode.KAFKA_STORAGE_ERROR
    cluster.elect(1)
    cluster.tell(1)  # and further metadata leaves it where it is
    assert cluster[1].role is PartitionRole.OFFLINE


def test_a_followers_broken_disk_ends_its_copying_only() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    cluster.produce(1, "a")
    cluster.disks[NodeId(2)].is_broken = True
    stream.fetch()
    assert cluster[2].role is PartitionRole.OFFLINE
    assert cluster[1].role is PartitionRole.LEADER


def synced(cluster: ReplicaCluster, node: int) -> None:
    """Let a broker's sync begin and end."""
    log = cluster[node].log
    log.finish_flush(log.begin_flush(), cluster.wall_ms)
    cluster[node].flushed(cluster.now_ms, cluster.wall_ms)


def test_what_a_killed_leader_had_not_synced_is_committed_only_when_its_next_process_has() -> None:
    cluster = ReplicaCluster(1, log_flush_interval_messages="1")
    cluster.produce(1, "a")
    assert cluster[1].high_watermark == 0
    cluster.kill(1)
    cluster.tell(1)
    assert (cluster[1].log_end_offset, cluster[1].high_watermark) == (1, 0)
    synced(cluster, 1)
    assert cluster[1].high_watermark == 1


@pytest.mark.parametrize("killed", [False, True])
def test_a_follower_acknowledges_nothing_that_it_has_not_synced(killed: bool) -> None:
    cluster = ReplicaCluster(2, log_flush_interval_messages="1")
    stream = cluster.stream(2, 1)
    stream.fetch()
    cluster.produce(1, "a")
    synced(cluster, 1)
    stream.fetch()
    if killed:
        cluster.kill(2)
        cluster.tell(2)
        stream = cluster.stream(2, 1)
    assert [row.fetch_offset for row in stream.ask().partitions] == []
    assert (cluster[2].log_end_offset, cluster[1].high_watermark) == (1, 0)
    assert stream.feed.unsynced() == [cluster[2]]
    synced(cluster, 2)
    assert stream.feed.unsynced() == []
    assert [row.fetch_offset for row in stream.ask().partitions] == [1]
    assert cluster[1].high_watermark == 1


def test_records_that_are_cut_before_they_were_synced_hold_up_nothing() -> None:
    cluster = ReplicaCluster(2, log_flush_interval_messages="1")
    cluster.stream(2, 1).fetch()
    cluster.produce(1, "a")
    synced(cluster, 1)
    cluster.stream(2, 1).fetch()
    assert cluster[2].flush_needed()
    cluster[2].truncate_by_divergence(EpochEndOffset(0, 0))
    assert cluster[2].log_end_offset == 0 and not cluster[2].flush_needed()
