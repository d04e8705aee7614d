"""The histories that leader epochs were invented for, played by real replicas that exchange fetches in memory."""

from __future__ import annotations

from replica_cluster import TOPIC, ReplicaCluster

from cluster.base.errors import ErrorCode
from cluster.base.trace import LogTruncated, ReplicaFenced
from cluster.replication import PartitionRole


def kip_101_scenario_1(truncates_to_high_watermark: bool) -> ReplicaCluster:
    """A follower has m2, does not know yet that it is committed, restarts, and must lead before it can ask anybody."""
    cluster = ReplicaCluster(2)
    cluster.produce(1, "m1")
    cluster.catch_up(2, 1)
    cluster.produce(1, "m2")
    stream = cluster.stream(2, 1)
    stream.fetch()  # 2 has m2 now
    stream.ask()  # and says so; the answer with the new high watermark is lost
    assert (cluster[1].high_watermark, cluster[2].high_watermark) == (2, 1)
    cluster.kill(2)
    cluster.tell(2)
    if truncates_to_high_watermark:  # as followers did before Kafka 0.11
        cluster[2].log.truncate_to(cluster[2].high_watermark)
    cluster.elect(2, isr=[2])
    cluster.tell(2)
    return cluster


def test_kip_101_scenario_1_a_follower_that_restarts_keeps_what_is_committed() -> None:
    cluster = kip_101_scenario_1(truncates_to_high_watermark=False)
    assert cluster.values(2) == ["m1", "m2"]
    assert cluster[2].high_watermark == 2  # it alone is in sync, and has both


def test_truncation_to_the_high_watermark_loses_what_was_acknowledged() -> None:
    """The history above does bite."""
    assert kip_101_scenario_1(truncates_to_high_watermark=True).values(2) == ["m1"]


def test_kip_101_scenario_2_logs_that_parted_after_power_losses_come_together() -> None:
    """By high watermark both would keep different records at offset 1."""
    cluster = ReplicaCluster(2)
    cluster.produce(1, "m1")
    cluster.catch_up(2, 1)
    cluster.produce(1, "m2")  # only 1 has it; then both lose power, and 2 comes back first
    cluster.kill(1)
    cluster.elect(2, isr=[2])
    cluster.tell(2)
    cluster.produce(2, "m3")
    cluster.tell(1)
    assert cluster[1].role is PartitionRole.FOLLOWER
    assert cluster.values(1) == ["m1", "m2"]
    cluster.catch_up(1, 2)
    assert cluster.values(1) == cluster.values(2) == ["m1", "m3"]
    assert cluster.events(1, LogTruncated) == [LogTruncated("orders", 0, 2, 1, 1)]


def test_kip_279_three_fast_elections_need_more_than_one_question() -> None:
    """The leader answers with an epoch that the follower never saw; the epoch before that decides."""
    cluster = ReplicaCluster(2)
    cluster.produce(1, "a0", "a1")
    cluster.catch_up(2, 1)
    cluster.produce(1, "lost-0")  # epoch 0, only on 1
    cluster.elect(2, isr=[2])
    cluster.tell(2)
    cluster.produce(2, "b2", "b3")  # epoch 1, only on 2
    cluster.elect(1, isr=[1])  # unclean
    cluster.tell(1)
    cluster.produce(1, "lost-1")  # epoch 2, only on 1
    cluster.elect(2, isr=[2])  # unclean again: epoch 3
    cluster.tell(1, 2)
    stream = cluster.stream(1, 2)
    questions = 0
    while stream.fetch().partitions[0].diverging:
        questions += 1
    for _ in range(5):
        stream.fetch()
    assert questions == 2
    assert cluster.values(1) == cluster.values(2) == ["a0", "a1", "b2", "b3"]


def test_an_epoch_without_records_is_forgotten_by_the_next_follower() -> None:
    """A leader that appended nothing leaves an epoch at its end that no other log has."""
    cluster = ReplicaCluster(2)
    cluster.produce(1, "a")
    cluster.catch_up(2, 1)
    cluster.elect(2, isr=[1, 2])
    cluster.tell(1, 2)
    assert cluster[2].log.latest_epoch == 1
    cluster.elect(1, isr=[1, 2])
    cluster.tell(1)
    cluster.produce(1, "b")
    cluster.tell(2)
    cluster.catch_up(2, 1)
    assert cluster.values(2) == ["a", "b"]
    assert [start.epoch for start in cluster[2].log.epochs] == [0, 2]


def test_a_zombie_leader_commits_nothing_and_its_records_go_when_it_hears_of_its_end() -> None:
    cluster = ReplicaCluster(3)
    cluster.produce(1, "a")
    for follower in (2, 3):
        cluster.catch_up(follower, 1)
    for follower in (2, 3):
        cluster.catch_up(follower, 1)
    cluster.elect(2, isr=[2, 3])
    cluster.tell(2, 3)
    answered: list[ErrorCode] = []
    zombies = cluster.produce(1, "z", acks=-1)  # 1 has heard of nothing
    assert zombies.error is ErrorCode.NONE
    cluster[1].when_committed(zombies.required_offset, answered.append)
    # A follower that moved on is refused by the zombie, which is behind its epoch.
    stream = cluster.stream(3, 1)
    stream.feed.follow(cluster[3])
    assert stream.fetch().partitions[0].error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert cluster.events(1, ReplicaFenced)[-1] == ReplicaFenced("orders", 0, "UNKNOWN_LEADER_EPOCH", 1, 0)
    assert cluster[1].high_watermark == 1
    assert not answered
    cluster.produce(2, "b")
    cluster.catch_up(3, 2)
    cluster.tell(1)
    assert answered == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    cluster.catch_up(1, 2)
    assert cluster.values(1) == cluster.values(2) == cluster.values(3) == ["a", "b"]


def test_a_zombie_follower_is_fenced_by_the_new_leader() -> None:
    cluster = ReplicaCluster(3)
    cluster.elect(2, isr=[2, 3])
    cluster.tell(2)  # 3 still believes in epoch 0 and asks, by some accident, the right broker
    stream = cluster.stream(3, 2)
    stream.feed.follow(cluster[3])
    assert stream.fetch().partitions[0].error_code == ErrorCode.FENCED_LEADER_EPOCH
    assert cluster.events(2, ReplicaFenced) == [ReplicaFenced("orders", 0, "FENCED_LEADER_EPOCH", 0, 1)]


def test_a_follower_that_lost_its_tail_with_its_power_fetches_it_again() -> None:
    cluster = ReplicaCluster(2)
    for value in ("a", "b", "c"):
        cluster.produce(1, value)
    cluster.catch_up(2, 1)
    assert cluster[2].high_watermark == 3
    cluster.replicas[cluster.nodes[1]].checkpoint_high_watermarks()
    cluster.lose_tail(2, 1)
    cluster.tell(2)
    assert cluster[2].high_watermark == 1  # the checkpoint says 3, the log has 1
    cluster.catch_up(2, 1)
    assert cluster.values(2) == ["a", "b", "c"]
    assert cluster[2].high_watermark == 3


def test_a_follower_behind_the_leaders_start_begins_anew_there() -> None:
    cluster = ReplicaCluster(2)
    for value in ("a", "b", "c"):
        cluster.produce(1, value)
    cluster.elect(1, isr=[1])
    cluster.tell(1, 2)
    cluster[1].log.advance_log_start_offset(2)
    cluster.catch_up(2, 1)
    assert cluster[2].log.log_start_offset == 2
    assert cluster.values(2) == ["c"]
    assert cluster[2].high_watermark == 3


def test_retention_deletes_old_segments_but_nothing_uncommitted() -> None:
    cluster = ReplicaCluster(2, log_segment_bytes="1024", log_retention_ms="1000")
    for number in range(6):
        cluster.produce(1, f"{number}" * 600)
    cluster.now_ms = 5000
    cluster.replicas[cluster.nodes[0]].enforce_retention(cluster.wall_ms)
    assert cluster[1].log.log_start_offset == 0
    cluster.catch_up(2, 1)
    assert cluster[1].high_watermark == 6
    cluster.replicas[cluster.nodes[0]].enforce_retention(cluster.wall_ms)
    assert cluster[1].log.log_start_offset == 6 == cluster[1].log.log_end_offset  # the last segment went as well
    cluster.produce(1, "anew")
    cluster.catch_up(2, 1)
    assert cluster.values(1) == cluster.values(2) == ["anew"]


def test_compacted_topics_are_not_subject_to_retention() -> None:
    cluster = ReplicaCluster(1, log_segment_bytes="1024", log_retention_ms="1000", log_cleanup_policy="compact")
    for number in range(6):
        cluster.produce(1, f"{number}" * 600)
    cluster.now_ms = 5000
    cluster.replicas[cluster.nodes[0]].enforce_retention(cluster.wall_ms)
    assert cluster[1].log.log_start_offset == 0


def test_a_restarted_broker_knows_its_high_watermark_from_the_checkpoint() -> None:
    cluster = ReplicaCluster(2)
    cluster.produce(1, "a")
    cluster.catch_up(2, 1)
    cluster.kill(2)
    cluster.tell(2)
    assert cluster[2].high_watermark == 1
    assert cluster.replicas[cluster.nodes[1]].get(TOPIC) is not None


def test_a_topic_that_is_created_anew_does_not_find_the_old_ones_records() -> None:
    cluster = ReplicaCluster(1)
    cluster.produce(1, "old")
    directory = cluster.disks[cluster.nodes[0]].files
    marker = next(name for name in directory if name.endswith("partition.metadata"))
    directory[marker] = bytearray(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAACQ\n")
    cluster.kill(1)
    cluster.tell(1)
    assert cluster.values(1) == []
    assert cluster[1].high_watermark == 0
