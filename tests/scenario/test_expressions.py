"""Conditions over the trace: what they are worth, what changes them, and what is missing."""

from __future__ import annotations

import pytest

from cluster.base.group_trace import GroupStateChanged
from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    ControllerActivated,
    ControllerResigned,
    HighWatermarkAdvanced,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftRoleChanged,
    RecordAcknowledged,
    RecordConsumed,
    Traced,
    TraceEvent,
)
from cluster.base.transaction_trace import TransactionEnded, TransactionStateChanged
from cluster.lab.selectors import SelectorError
from cluster.report import ClusterView
from cluster.scenario.expressions import Scope, Vocabulary, parse_expression

IDS = {"b1": 1, "b2": 2, "b3": 3, "c1": 101, "c2": 102}
WORDS = Vocabulary(tuple(IDS), ("p1", "p2"), {"orders": 1})


def view_of(*history: tuple[str, TraceEvent]) -> ClusterView:
    view = ClusterView(IDS, ["b1", "b2", "b3"], ["c1", "c2"], ["p1", "p2"], {"b1": "a"})
    for number, (node, event) in enumerate(history):
        view.apply(Traced(number * 100_000, node, event))
    return view


def metadata(node: str, leader: int, epoch: int, isr: tuple[int, ...], offset: int) -> tuple[str, TraceEvent]:
    return node, PartitionMetadataApplied("orders", 0, leader, epoch, epoch, (1, 2, 3), isr, (3,), offset)


FAILOVER = (
    ("c1", ControllerActivated(4)),
    metadata("c1", 1, 0, (1, 2, 3), 5),
    metadata("b1", 1, 0, (1, 2, 3), 5),
    ("b1", PartitionRoleChanged("orders", 0, "leader", 0, 0, 0)),
    ("b1", BatchAppended("orders", 0, "leader", 0, 9, 0)),
    ("b1", HighWatermarkAdvanced("orders", 0, "leader", 7, 0)),
    metadata("c1", 2, 1, (2, 3), 6),
    ("b2", PartitionRoleChanged("orders", 0, "leader", 1, 8, 0)),
    ("b2", HighWatermarkAdvanced("orders", 0, "leader", 8, 1)),
    ("p1", RecordAcknowledged("orders", 0, "p1-000001", 1)),
    ("b3", RaftRoleChanged(4, "follower", 101)),
)


def is_true(text: str, *history: tuple[str, TraceEvent], **bindings: tuple[str, ...]) -> bool:
    scope = Scope(view_of(*(history or FAILOVER)), bindings, now_us=1_500_000)
    return parse_expression(text, WORDS).is_true(scope)


@pytest.mark.parametrize(
    "text",
    [
        "leader(orders-0) == b2",
        "leader(orders-0) != b1",
        "leader(orders-0) != none",
        "leader(orders-0) in isr(orders-0)",
        "leader(orders-0) in $side",
        "leader(orders-0) != $victim",
        "leader-epoch(orders-0) == 1",
        "isr(orders-0).size == 2",
        "$side.size == 2",
        "elr(orders-0) == b3",
        "preferred(orders-0) == b1",
        "followers(orders-0).size == 2",
        "hw(orders-0) >= 8",
        "leo(orders-0) == 8",
        "active-controller == c1",
        "controller-epoch > 3",
        "zombie-leader(orders-0)",
        "zombie-leader(orders-0) == b1",
        "view(b1).leader(orders-0) == b1",
        "view(b1).hw(orders-0) < view(b1).leo(orders-0)",
        "view(b1).role(orders-0) == view(b2).role(orders-0)",
        "view(b3).active-controller == c1",
        "acked(p1) == 1",
        "acked == 1",
        "rate(acked(p1)) > 0",
        "rate(acked(p2)) == 0",
        "all-partitions-led",
    ],
)
def test_a_condition_that_holds(text: str) -> None:
    assert is_true(text, side=("b2", "b3"), victim=("b1",))


@pytest.mark.parametrize("text", ["isr-full", "leader(orders-0) == none", "hw(orders-0) > 8", "acked(p2)"])
def test_a_condition_that_does_not_hold(text: str) -> None:
    assert not is_true(text)


@pytest.mark.parametrize(
    "text",
    [
        "leader(orders-0) == b1",
        "leader(orders-0) != b1",
        "leader(orders-0) == $victim",
        "leader(orders-0) != $victim",
        "leader(orders-0) in brokers",
        "hw(orders-0) >= 0",
        "active-controller == c1",
        "zombie-leader(orders-0)",
    ],
)
def test_nothing_is_true_of_what_is_missing(text: str) -> None:
    assert not is_true(text, ("b1", NodeStarted(1, ("broker",))))


def test_that_something_is_missing_can_be_asked() -> None:
    nothing = ("b1", NodeStarted(1, ("broker",)))
    assert is_true("leader(orders-0) == none", nothing)
    assert is_true("active-controller == none", nothing)
    assert not is_true("leader(orders-0) != none", nothing)
    assert not is_true("leader(orders-0) == $victim", nothing), "two missing things are not equal"


def test_a_dead_leader_leads_nobody_and_a_paused_one_still_does() -> None:
    assert is_true("leader(orders-0) == none", *FAILOVER, ("lab", NodeFaulted("b2", "killed")))
    assert is_true("leader(orders-0) == b2", *FAILOVER, ("lab", NodeFaulted("b2", "paused")))


def test_an_active_controller_ends_by_resigning_or_by_dying() -> None:
    assert is_true("active-controller == none", *FAILOVER, ("c1", ControllerResigned(4)))
    assert is_true("active-controller == none", *FAILOVER, ("lab", NodeFaulted("c1", "powered-off")))
    assert is_true("active-controller == c2", *FAILOVER, ("c2", ControllerActivated(5)), ("c1", ControllerResigned(4)))


def test_a_view_that_is_replayed_after_a_restart_does_not_turn_the_clock_back() -> None:
    replayed = (*FAILOVER, ("b1", NodeStarted(1, ("broker",))), metadata("b1", 1, 0, (1, 2, 3), 5))
    assert is_true("leader(orders-0) == b2", *replayed)
    assert is_true("view(b1).leader(orders-0) == b1", *replayed)
    assert not is_true("zombie-leader(orders-0)", *replayed), "a new process leads nothing yet"


def test_a_restarted_replica_has_the_high_watermark_that_it_kept() -> None:
    view = view_of(
        *FAILOVER, ("b2", NodeStarted(2, ("broker",))), ("b2", PartitionRoleChanged("orders", 0, "leader", 2, 8, 8))
    )
    replica = view.replica("b2", TopicPartition("orders", 0))
    assert replica is not None
    assert (replica.log_end_offset, replica.high_watermark) == (8, 8), "without new records nothing moves it"


def test_who_was_restarted_and_has_heard_nothing_is_behind() -> None:
    assert view_of(*FAILOVER).behind() == (), "b1 and the others never told that they started"
    started = (("c2", NodeStarted(102, ("controller",))), *FAILOVER)
    assert view_of(*started).behind() == ("c2",)
    assert view_of(*started, metadata("c2", 1, 0, (1, 2, 3), 5)).behind() == ("c2",)
    assert view_of(*started, metadata("c2", 2, 1, (2, 3), 6)).behind() == ()
    assert view_of(*started, ("lab", NodeFaulted("c2", "killed"))).behind() == ()


def test_an_expression_names_the_events_that_can_change_it() -> None:
    assert BatchAppended.kind not in parse_expression("leader(orders-0) == b1", WORDS).kinds
    assert BatchAppended.kind in parse_expression("leo(orders-0) == 1", WORDS).kinds
    assert parse_expression("acked(p1) > 3", WORDS).kinds == {RecordAcknowledged.kind}
    assert parse_expression("rate(acked(p1)) > 3", WORDS).is_sampled
    assert parse_expression("lost == 0", WORDS).at_end_only
    assert parse_expression("leader(orders-0) in $side.main", WORDS).variables == ("side.main",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("leeder(orders-0) == b1", "did you mean leader"),
        ("leader(order-0) == b1", "did you mean orders"),
        ("leader(orders-0) == b9", "unknown name 'b9'"),
        ("acked(p3) > 1", "unknown client 'p3'"),
        ("rate(leader(orders-0)) > 1", "rate\\(\\) counts"),
        ("view(b1) == b1", "needs a value"),
        ("view(b1).lag(orders-0) == 1", "a node has no 'lag'"),
        ("isr(orders-0).size = 3", "is not understood"),
        ("isr(orders-0", "not closed"),
        ("== 3", "expected a value"),
    ],
)
def test_a_mistake_is_named(text: str, complaint: str) -> None:
    with pytest.raises(SelectorError, match=complaint):
        parse_expression(text, WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "group-state(g1) == Stable",
        "group-state(g2) == none",
        "generation(g1) >= 3",
        "txn-state(pay) == Ongoing",
        "lso(orders-0) == 6",
        "lag(orders-0) == 8",
        "lag(p2) == 5",
        "lag(p1) == none",
        "view(b1).role(orders-0) == leader",
        "coordinator(group:g1) == none",
    ],
)
def test_a_condition_on_groups_transactions_and_lags(text: str) -> None:
    history = (
        *FAILOVER,
        ("b1", GroupStateChanged("g1", "Stable", 3, ("m1",), "m1")),
        ("b1", TransactionStateChanged("pay", "Ongoing", 7, 0)),
        ("b2", TransactionEnded("orders", 0, 6, 7, 0, True, 6)),
        ("p2", RecordConsumed("orders", 0, 2, "p1-000002")),
    )
    assert is_true(text, *history)


def test_a_coordinator_leads_the_partition_that_the_groups_name_falls_into() -> None:
    offsets = "__consumer_offsets"
    facts = [
        ("c1", PartitionMetadataApplied(offsets, number, 3 if number == 42 else 1, 0, 0, (1, 2, 3), (1,), (), number))
        for number in range(50)
    ]
    assert is_true("coordinator(group:g1) == b3", *facts)


@pytest.mark.parametrize("text", ["coordinator(g1) == b1", "coordinator(grup:g1) == b1", "coordinator(group:) == b1"])
def test_a_coordinator_is_one_of_a_group_or_of_a_transactional_id(text: str) -> None:
    with pytest.raises(SelectorError, match=r"write coordinator\(group:NAME\)"):
        parse_expression(text, WORDS)
