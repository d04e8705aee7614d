"""A consumer says which epochs it believes in, and is fenced when they are over (KIP-320); or not, by a switch."""

from __future__ import annotations

import pytest
from replica_cluster import ReplicaCluster

from cluster.base.errors import ErrorCode
from cluster.base.trace import ReplicaFenced
from cluster.records import read_records
from cluster.replication import ReadOutcome
from cluster.storage import EpochEndOffset

KIP_320: dict[str, str] = {}
BEFORE_KIP_320 = {"legacy_consumer_fencing": "none"}


def after_an_unclean_election(configs: dict[str, str]) -> ReplicaCluster:
    """Broker 2 leads in epoch 1: it has "a" of epoch 0, and "c" where the first leader had "b"."""
    cluster = ReplicaCluster(2, **configs)
    cluster.produce(1, "a")
    cluster.catch_up(2, 1)
    cluster.produce(1, "b")
    cluster.elect(2, isr=[2])
    cluster.tell(2)
    cluster.produce(2, "c")
    cluster.produce(2, "d")
    return cluster


def read(cluster: ReplicaCluster, offset: int, *, believes_in: int = -1, last_fetched: int = -1) -> ReadOutcome:
    return cluster[2].read(
        offset=offset, max_bytes=1 << 20, current_leader_epoch=believes_in, last_fetched_epoch=last_fetched
    )


def values(outcome: ReadOutcome) -> list[bytes | None]:
    return [record.value for record in read_records(memoryview(outcome.records))]


@pytest.mark.parametrize(
    ("believes_in", "error"), [(0, ErrorCode.FENCED_LEADER_EPOCH), (2, ErrorCode.UNKNOWN_LEADER_EPOCH)]
)
def test_a_consumer_that_believes_in_another_epoch_is_fenced(believes_in: int, error: ErrorCode) -> None:
    cluster = after_an_unclean_election(KIP_320)
    outcome = read(cluster, 1, believes_in=believes_in)
    assert (outcome.error, outcome.records) == (error, b"")
    assert cluster.events(2, ReplicaFenced) == [ReplicaFenced("orders", 0, error.name, believes_in, 1)]


@pytest.mark.parametrize("believes_in", [0, 2])
def test_without_fencing_it_is_served_and_nobody_notices(believes_in: int) -> None:
    cluster = after_an_unclean_election(BEFORE_KIP_320)
    outcome = read(cluster, 1, believes_in=believes_in)
    assert (outcome.error, values(outcome)) == (ErrorCode.NONE, [b"c", b"d"])
    assert cluster.events(2, ReplicaFenced) == []


def test_a_consumer_that_read_what_was_truncated_is_told_where_the_logs_part() -> None:
    outcome = read(after_an_unclean_election(KIP_320), 2, believes_in=1, last_fetched=0)
    assert (outcome.diverging, outcome.records) == (EpochEndOffset(0, 1), b"")


def test_without_fencing_it_goes_on_and_never_sees_what_took_the_place() -> None:
    outcome = read(after_an_unclean_election(BEFORE_KIP_320), 2, believes_in=1, last_fetched=0)
    assert (outcome.diverging, values(outcome)) == (None, [b"d"])  # "c" is passed over


def test_the_switch_is_about_consumers_only() -> None:
    cluster = after_an_unclean_election(BEFORE_KIP_320)
    assert cluster[2].check_leader(0) is ErrorCode.FENCED_LEADER_EPOCH
    assert cluster[2].end_offset_for_epoch(0, current_leader_epoch=0).error is ErrorCode.FENCED_LEADER_EPOCH
