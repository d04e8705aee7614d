"""Every oracle bites: each has a history that it accepts and one, as small as can be, that breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.base.group_trace import (
    ConsumerAssigned,
    ConsumerGone,
    ConsumerReported,
    GroupAssigned,
    GroupStateChanged,
    OffsetCommitAsked,
    OffsetCommitted,
    OffsetFetched,
)
from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    ControllerActivated,
    CoordinatorUnloaded,
    HighWatermarkAdvanced,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftRoleChanged,
    RecordAcknowledged,
    RecordConsumed,
    RecordSent,
    TopicDeleted,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, WHITE_BOX, Evidence, Oracle

ORDERS = TopicPartition("orders", 0)


@dataclass(frozen=True)
class Batch:
    base_offset: int
    last_offset: int
    leader_epoch: int
    crc: int
    values: tuple[str, ...] = ("v",)


def judge(name: str, history: Sequence[tuple[str, TraceEvent]], evidence: Evidence | None = None) -> Oracle:
    oracle = ORACLES[name]()
    for number, (node, event) in enumerate(history):
        if event.kind in oracle.kinds:
            oracle.on_event(Traced(number, node, event))
    oracle.at_end(evidence or Evidence(len(history), read_back=True))
    return oracle


def acked(value: str, offset: int) -> tuple[str, TraceEvent]:
    return "p1", RecordAcknowledged("orders", 0, value, offset)


def sent(value: str) -> tuple[str, TraceEvent]:
    return "p1", RecordSent("orders", 0, value)


def read(value: str, offset: int, final: bool = True) -> tuple[str, TraceEvent]:
    return "reader", RecordConsumed("orders", 0, offset, value, final)


def leads(node: str, epoch: int) -> tuple[str, TraceEvent]:
    return node, PartitionRoleChanged("orders", 0, "leader", epoch, 0, 0)


def metadata(node: str, leader: int, epoch: int, offset: int = 1) -> tuple[str, TraceEvent]:
    return node, PartitionMetadataApplied("orders", 0, leader, epoch, 0, (1, 2), (1, 2), (), offset)


def watermark(node: str, offset: int, epoch: int, role: str = "leader") -> tuple[str, TraceEvent]:
    return node, HighWatermarkAdvanced("orders", 0, role, offset, epoch)


@dataclass(frozen=True)
class Copy:
    batches: Sequence[Batch]
    log_start_offset: int = 0
    head_offset: int = 0
    has_gaps: bool = False


def copies(one: Sequence[Batch], other: Sequence[Batch], high_watermark: int, **facts: Any) -> Evidence:
    """Two replicas; `facts` are about the second one."""
    return Evidence(9, True, {ORDERS: {"b1": Copy(one), "b2": Copy(other, **facts)}}, {ORDERS: high_watermark})


def owns(member: str, generation: int, *partitions: str) -> tuple[str, TraceEvent]:
    return "b1", GroupAssigned("g", generation, member, partitions)


def group_is(state: str) -> tuple[str, TraceEvent]:
    return "b1", GroupStateChanged("g", state, 1, (), "")


def asked_to_commit(offset: int) -> tuple[str, TraceEvent]:
    return "b1", OffsetCommitAsked("g", "orders", 0, offset)


def committed(epoch: int, offset: int) -> list[tuple[str, TraceEvent]]:
    return [
        asked_to_commit(offset),
        ("b1", OffsetCommitted("g", 1, "orders", 0, offset, epoch)),
    ]


def generation(number: int) -> tuple[str, TraceEvent]:
    return "b1", GroupStateChanged("g", "Stable", number, ("m1",), "m1")


def told(member: str, epoch: int, *partitions: str) -> tuple[str, TraceEvent]:
    return "b1", ConsumerAssigned("g", member, epoch, partitions)


def fetched(epoch: int, offset: int) -> tuple[str, TraceEvent]:
    return "b1", OffsetFetched("g", "orders", 0, offset, epoch)


ACCEPTED = {
    "no-lost-acks": [acked("a", 0), read("a", 0)],
    "no-duplicates": [read("a", 0), read("b", 1), read("a", 0)],
    "per-partition-order": [sent("a"), sent("b"), sent("c"), read("a", 0), read("c", 1), read("a", 2)],
    "single-value-per-offset": [acked("a", 0), read("a", 0, final=False), read("b", 1)],
    "one-leader-per-epoch": [leads("b1", 0), leads("b2", 1), metadata("b1", 1, 0), metadata("b2", 1, 0)],
    "one-active-controller-per-epoch": [
        ("c1", RaftRoleChanged(1, "leader", 101)),
        ("c1", ControllerActivated(1)),
        ("c2", RaftRoleChanged(1, "follower", 101)),
        ("c2", ControllerActivated(2)),
    ],
    "high-watermark-monotonic-per-epoch": [
        watermark("b1", 5, 0),
        watermark("b2", 3, 1),
        watermark("b2", 4, 1),
        ("b2", NodeStarted(2, ("broker",))),
        watermark("b2", 1, 1),
    ],
    "consumers-below-high-watermark": [watermark("b1", 1, 0), read("a", 0, final=False)],
    "one-owner-per-generation": [
        owns("m1", 1, "orders-0", "orders-1"),
        owns("m2", 2, "orders-0"),
        owns("m1", 2, "orders-1"),
        owns("m1", 2, "orders-1"),
        group_is("Dead"),
        owns("m3", 1, "orders-0"),
    ],
    "one-owner-at-a-time": [
        told("m1", 1, "orders-0", "orders-1"),
        told("m1", 1, "orders-0"),
        ("b1", ConsumerReported("g", "m1", 1, ("orders-0",))),
        told("m2", 2, "orders-1"),
        ("b1", ConsumerGone("g", "m1")),
        told("m2", 3, "orders-0", "orders-1"),
        group_is("Dead"),
        told("m3", 1, "orders-0"),
    ],
    "committed-offsets-kept": [
        fetched(1, -1),
        *committed(1, 5),
        *committed(1, 3),
        fetched(1, 3),
        ("b1", OffsetCommitAsked("g", "orders", 0, 4)),
        ("b1", OffsetCommitAsked("g", "orders", 0, 6)),
        fetched(2, 4),
        fetched(2, 6),
        *committed(2, 7),
        fetched(1, 3),
        group_is("Dead"),
        fetched(2, -1),
    ],
    "commits-fenced-by-generation": [
        *committed(1, 5),  # in which generation the group is, its coordinator has not said yet
        generation(1),
        *committed(1, 6),
        asked_to_commit(7),
        generation(2),
        ("b1", OffsetCommitted("g", 1, "orders", 0, 7, 1)),  # it was asked before
        asked_to_commit(8),  # and refused
        generation(1),
        *committed(1, 8),
        generation(9),
        ("b1", CoordinatorUnloaded("__consumer_offsets", 0, 1)),
        *committed(1, 9),
    ],
}

BROKEN = {
    "no-lost-acks": [acked("a", 0), acked("b", 1), read("a", 0), read("b", 1, final=False)],
    "no-duplicates": [read("a", 0), read("a", 1)],
    "per-partition-order": [sent("a"), sent("b"), read("b", 0), read("a", 1)],
    "single-value-per-offset": [acked("a", 0), read("b", 0)],
    "one-leader-per-epoch": [leads("b1", 3), leads("b2", 3)],
    "one-active-controller-per-epoch": [("c1", ControllerActivated(1)), ("c2", RaftRoleChanged(1, "leader", 102))],
    "high-watermark-monotonic-per-epoch": [watermark("b1", 5, 0), watermark("b1", 4, 0)],
    "consumers-below-high-watermark": [
        watermark("b1", 1, 0),
        watermark("b2", 9, 0, role="follower"),
        read("a", 1, final=False),
    ],
    "one-owner-per-generation": [owns("m1", 1, "orders-0", "orders-1"), owns("m2", 1, "orders-1")],
    # It was told to give orders-1 up, and has not said that it did.
    "one-owner-at-a-time": [
        told("m1", 1, "orders-0", "orders-1"),
        told("m1", 1, "orders-0"),
        told("m2", 2, "orders-1"),
    ],
    "committed-offsets-kept": [
        *committed(1, 5),
        *committed(1, 7),
        fetched(2, 5),
    ],
    "commits-fenced-by-generation": [generation(2), *committed(1, 5)],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_history_as_it_should_be_is_accepted(name: str) -> None:
    assert judge(name, ACCEPTED[name]).violations == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history_is_seen(name: str) -> None:
    oracle = judge(name, BROKEN[name])
    assert oracle.count == len(oracle.violations) == 1
    assert oracle.violations[0].message


def test_every_oracle_is_held_against_a_broken_history() -> None:
    elsewhere = {
        "replicas-identical-below-high-watermark",
        # tests/checks/test_white_box.py
        "isr-has-all-committed",
        *WHITE_BOX,
        # tests/checks/test_compaction_oracle.py
        "compaction-keeps-the-latest",
        # tests/checks/test_transaction_oracles.py
        "transactions-atomic",
        "aborted-never-read",
        "read-committed-below-lso",
        "no-stuck-lso",
        "copied-exactly-once",
    }
    assert {*BROKEN, *elsewhere} == set(ORACLES)


def test_metadata_that_names_two_leaders_in_one_epoch_is_seen() -> None:
    assert judge("one-leader-per-epoch", [metadata("b1", 1, 4), metadata("b2", 2, 4)]).count == 1


def test_a_leader_that_only_appends_is_seen_as_a_leader() -> None:
    append = ("b2", BatchAppended("orders", 0, "leader", 0, 0, 3))
    assert judge("one-leader-per-epoch", [leads("b1", 3), append]).count == 1


def test_a_topic_that_is_created_again_begins_with_new_epochs() -> None:
    history = [leads("b1", 0), metadata("b1", 1, 0), ("b1", TopicDeleted("orders", 5)), leads("b2", 0)]
    assert judge("one-leader-per-epoch", [*history, metadata("b1", 2, 0, 9)]).violations == []


def test_a_node_that_starts_and_is_told_of_a_deleted_topic_of_the_same_name_confuses_nobody() -> None:
    deleted = TopicDeleted("orders", 5)
    history = [metadata("b1", 1, 0, 3), ("b1", deleted), metadata("b1", 2, 0, 9), leads("b2", 0)]
    replay = [metadata("b3", 1, 0, 3), ("b3", deleted), metadata("b3", 2, 0, 9)]
    assert judge("one-leader-per-epoch", [*history, *replay]).violations == []
    assert judge("one-leader-per-epoch", [*history, *replay, leads("b1", 0)]).count == 1
    assert judge("one-leader-per-epoch", [*history, *replay, metadata("b1", 3, 0, 9)]).count == 1


def test_a_tail_above_the_high_watermark_may_differ() -> None:
    evidence = copies([Batch(0, 4, 0, 7), Batch(5, 5, 0, 8)], [Batch(0, 4, 0, 7), Batch(5, 5, 1, 9)], 5)
    assert judge("replicas-identical-below-high-watermark", [], evidence).violations == []


@pytest.mark.parametrize(
    "other",
    [[Batch(0, 4, 0, 7), Batch(5, 5, 1, 8)], [Batch(0, 4, 0, 6), Batch(5, 5, 0, 8)], [Batch(0, 4, 0, 7)]],
    ids=["another epoch", "other bytes", "a missing batch"],
)
def test_replicas_that_differ_below_the_high_watermark_are_seen(other: Sequence[Batch]) -> None:
    evidence = copies([Batch(0, 4, 0, 7), Batch(5, 5, 0, 8)], other, 6)
    oracle = judge("replicas-identical-below-high-watermark", [], evidence)
    assert oracle.count == 1
    assert "orders-0@" in oracle.violations[0].message


def test_what_retention_cut_is_not_compared() -> None:
    whole, rest = [Batch(0, 4, 0, 7), Batch(5, 5, 0, 8)], [Batch(5, 5, 0, 8)]
    for head in (0, 5):  # its segment may be there still, or not
        evidence = copies(whole, rest, 6, log_start_offset=5, head_offset=head)
        assert judge("replicas-identical-below-high-watermark", [], evidence).violations == []


@pytest.mark.parametrize("facts", [{"head_offset": 5}, {"head_offset": 5, "log_start_offset": 4}, {}])
def test_a_replica_that_lost_its_head_is_seen(facts: Any) -> None:
    evidence = copies([Batch(0, 4, 0, 7), Batch(5, 5, 0, 8)], [Batch(5, 5, 0, 8)], 6, **facts)
    oracle = judge("replicas-identical-below-high-watermark", [], evidence)
    assert oracle.count == 1 and oracle.violations[0].offset in (0, 4)


@pytest.mark.parametrize("has_gaps", [False, True])
def test_a_batch_that_lies_in_a_log_twice_is_seen(has_gaps: bool) -> None:
    once = [Batch(0, 4, 0, 7), Batch(5, 5, 0, 8)]
    oracle = judge("replicas-identical-below-high-watermark", [], copies(once, [*once, once[1]], 6, has_gaps=has_gaps))
    assert oracle.count == 1 and "b2" in oracle.violations[0].message


def test_offsets_that_every_log_leaves_out_are_seen() -> None:
    holed = [Batch(0, 4, 0, 7), Batch(6, 6, 0, 8)]
    assert judge("replicas-identical-below-high-watermark", [], copies(holed, holed, 7)).count == 2


def test_compacted_replicas_may_lack_records_but_not_disagree_about_what_both_have() -> None:
    whole = [Batch(0, 4, 0, 7), Batch(5, 5, 0, 8), Batch(6, 6, 1, 9)]
    compacted = [Batch(0, 4, 0, 6), Batch(6, 6, 1, 9)]
    evidence = copies(whole, compacted, 7, has_gaps=True)
    assert judge("replicas-identical-below-high-watermark", [], evidence).violations == []
    evidence = copies(whole, [Batch(0, 4, 0, 6), Batch(6, 6, 2, 9)], 7, has_gaps=True)
    assert judge("replicas-identical-below-high-watermark", [], evidence).count == 1
