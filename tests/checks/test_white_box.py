"""Every invariant of the brokers' design bites: a trace that it accepts, and a small one that breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.base.trace import (
    BatchAppended,
    BrokerStateChanged,
    FollowerProgressed,
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftCommitted,
    RaftRoleChanged,
    RaftSynced,
    RaftVoted,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    StepFired,
    TopicConfigApplied,
    TopicDeleted,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, WHITE_BOX, ClientSetting, Evidence, Oracle, Panel, Setting, TopicSetting
from tests.checks.test_oracles import BROKEN as BROKEN_ELSEWHERE

Step = tuple[str, TraceEvent]

SETTING = Setting(
    topics={"orders": TopicSetting(replication_factor=3, min_insync_replicas=2)},
    names={1: "b1", 2: "b2", 3: "b3"},
    voters=("c1", "c2", "c3"),
)


def judge(name: str, trace: Sequence[Step], setting: Setting = SETTING) -> Oracle:
    panel = Panel([ORACLES[name]()], setting)
    for number, (node, event) in enumerate(trace):
        panel.on_event(Traced(number, node, event))
    panel.at_end(Evidence(len(trace), read_back=True))
    return panel.oracles[name]


def metadata(
    node: str,
    leader: int,
    epoch: int,
    isr: tuple[int, ...] = (1, 2, 3),
    *,
    at: int,
    elr: tuple[int, ...] = (),
    last_known: tuple[int, ...] = (),
) -> Step:
    """What a node learns of orders-0; its partition epoch is the metadata offset."""
    return node, PartitionMetadataApplied("orders", 0, leader, epoch, at, (1, 2, 3), isr, elr, at, last_known)


def role(node: str, what: str, epoch: int, end: int) -> Step:
    return node, PartitionRoleChanged("orders", 0, what, epoch, end, 0)


def append(node: str, what: str, base: int, last: int, epoch: int = 0) -> Step:
    return node, BatchAppended("orders", 0, what, base, last, epoch)


def commit(node: str, offset: int, epoch: int = 0, what: str = "leader") -> Step:
    return node, HighWatermarkAdvanced("orders", 0, what, offset, epoch)


def hears(node: str, follower: int, end: int, epoch: int = 0) -> Step:
    return node, FollowerProgressed("orders", 0, follower, end, epoch)


def truncate(node: str, start: int, end: int, epoch: int) -> Step:
    return node, LogTruncated("orders", 0, start, end, epoch)


def consumed(offset: int) -> Step:
    return "c", RecordConsumed("orders", 0, offset, f"v{offset}")


def asks(node: str, *isr: int, at: int) -> Step:
    return node, IsrChangeRequested("orders", 0, isr, 0, at)


def answered(node: str, error: str, at: int) -> Step:
    return node, IsrChangeAnswered("orders", 0, error, at)


def down(node: str, how: str = "killed") -> Step:
    return "lab", NodeFaulted(node, how)


def up(node: str) -> Step:
    return node, NodeStarted(1, ("broker",))


def broker(node: str, number: int, state: str, at: int) -> Step:
    return node, BrokerStateChanged(number, at, state, at)


BEGUN = [
    metadata("b1", 1, 0, at=1),
    metadata("b2", 1, 0, at=1),
    role("b1", "leader", 0, 0),
    role("b2", "follower", 0, 0),
    role("b3", "follower", 0, 0),
]
"""b1 leads orders-0; all three are in sync."""

TEN_COMMITTED = [
    *BEGUN,
    append("b1", "leader", 0, 9),
    append("b2", "follower", 0, 9),
    append("b3", "follower", 0, 9),
    commit("b1", 10),
    commit("b2", 10, what="follower"),
]
UNCOMMITTED = [*TEN_COMMITTED, append("b1", "leader", 10, 14), append("b2", "follower", 10, 11)]
"""b1 has five more, b2 two of them, b3 none."""

RESIGNED = [*UNCOMMITTED, down("b1"), metadata("b3", 3, 1, (2, 3), at=2)]
FAILOVER = [*RESIGNED, role("b3", "leader", 1, 10), role("b2", "follower", 1, 12), truncate("b2", 12, 10, 1)]
DARK = [
    *TEN_COMMITTED,
    metadata("b1", 1, 0, (1,), at=2),
    down("b1", "powered-off"),
    up("b1"),
    metadata("b1", 1, 1, (1,), at=3),
]
"""b1 was alone in sync and lost power; it leads again, with what its disk had."""

ACCEPTED: dict[str, list[Step]] = {
    "leader-completeness": [*FAILOVER, down("b3"), metadata("b2", 2, 3, (2,), at=4), role("b1", "leader", 0, 3)],
    "isr-has-all-committed": [
        *FAILOVER,
        append("b3", "leader", 10, 10, 1),
        append("b2", "follower", 10, 10, 1),
        commit("b3", 11, 1),
    ],
    "leader-candidate-completeness": [
        *TEN_COMMITTED,
        metadata("b1", 1, 0, (1,), at=2, elr=(2,)),
        append("b1", "leader", 10, 10),
    ],
    "log-matching": [
        *FAILOVER,
        append("b3", "leader", 10, 12, 1),
        append("b2", "follower", 10, 12, 1),
        commit("b3", 13, 1),
        commit("b2", 13, 1, "follower"),
    ],
    "metadata-log-matching": [
        metadata("b1", 1, 0, at=1),
        metadata("b2", 1, 0, at=1),
        metadata("b2", 1, 0, (1, 2), at=2),
        ("b1", TopicDeleted("orders", 3)),
        ("b1", PartitionMetadataApplied("orders", 0, 2, 0, 1, (1, 2, 3), (2,), (), 5)),
    ],
    "replication-quorum-superset": [
        *TEN_COMMITTED,
        asks("b1", 1, 2, at=1),
        metadata("b2", 1, 0, (1, 2), at=2),
        answered("b1", "NONE", 2),
        asks("b1", 1, 2, 3, at=2),
        metadata("b2", 1, 0, (1, 2, 3), at=3),
        commit("b1", 10),
        answered("b1", "NONE", 3),
    ],
    "no-committed-record-lost-globally": [*FAILOVER, down("b2", "powered-off"), up("b2"), role("b2", "follower", 1, 0)],
    "min-isr-recovery-quorum": [metadata("b1", 1, 0, at=1), metadata("b1", -1, 1, (), at=2, last_known=(1,))],
    "consistent-read": [
        *TEN_COMMITTED,
        consumed(4),
        down("b1"),
        metadata("b3", 3, 1, (2, 3), at=2),
        role("b3", "leader", 1, 5),
    ],
    "valid-isr-and-elr": [
        metadata("b1", 1, 0, at=1),
        broker("b1", 3, "fenced", 2),
        metadata("b1", 1, 0, (1, 2), at=2),
        broker("b1", 2, "fenced", 3),
        metadata("b1", 1, 0, (1,), at=3, elr=(2,)),
        broker("b1", 3, "unfenced", 4),
        metadata("b1", 1, 0, (1, 3), at=5),
    ],
    "leader-in-isr": [metadata("b1", 1, 0, at=1), metadata("b1", -1, 1, (2,), at=2)],
    "valid-fetcher": [
        *FAILOVER,
        append("b3", "leader", 10, 12, 1),
        append("b2", "follower", 10, 12, 1),
        up("b1"),
        role("b1", "follower", 1, 15),
    ],
    "weak-isr": [
        *TEN_COMMITTED,
        down("b3"),
        append("b1", "leader", 10, 10),
        append("b2", "follower", 10, 10),
        commit("b1", 11),
    ],
    "commit-needs-min-isr": [*BEGUN, metadata("b1", 1, 0, (1, 2), at=2), append("b1", "leader", 0, 0), commit("b1", 1)],
    "acks-all-means-committed": [*TEN_COMMITTED, ("p1", RecordAcknowledged("orders", 0, "v9", 9))],
    "epochs-never-go-back": [
        *BEGUN,
        metadata("b1", 1, 1, at=2),
        role("b1", "leader", 1, 0),
        up("b1"),
        metadata("b1", 1, 0, at=1),
        role("b1", "leader", 0, 0),
    ],
    "raft-terms-monotonic": [
        ("c1", RaftRoleChanged(1, "leader", 1)),
        ("c1", RaftVoted(2, 3)),
        ("c2", RaftCommitted(1, 4)),
    ],
    "raft-one-vote-per-term": [
        ("c1", RaftVoted(1, 1)),
        ("c2", RaftVoted(1, 1)),
        ("c1", RaftVoted(2, 3)),
        up("c1"),
        ("c1", RaftVoted(2, 3)),
    ],
    "raft-commits-held-by-majority": [
        ("c1", RaftRoleChanged(1, "leader", 1, 0, 0)),
        ("c1", RaftSynced(3, 1)),
        ("c3", RaftSynced(4, 1)),
        ("c1", RaftCommitted(1, 3)),
        ("c2", RaftCommitted(1, 3)),
    ],
    "raft-leader-completeness": [
        ("c1", RaftCommitted(1, 7)),
        ("c2", RaftRoleChanged(2, "candidate", -1, 5, 1)),
        ("c3", RaftRoleChanged(2, "leader", 3, 8, 1)),
    ],
    "raft-commit-index-monotonic": [
        ("c1", RaftCommitted(1, 7)),
        ("c2", RaftCommitted(1, 5)),
        up("c1"),
        ("c1", RaftCommitted(2, 3)),
    ],
    "every-send-answered": [("p1", RecordSent("orders", 0, "a")), ("p1", RecordFailed("orders", 0, "a", "E"))],
    "metadata-converges": [
        *BEGUN,
        metadata("b1", 1, 0, (1, 2), at=2),
        metadata("b2", 1, 0, (1, 2), at=2),
        down("b2"),
        metadata("b1", 1, 0, (1,), at=3),
        metadata("b3", 1, 0, (1,), at=3),
        ("lab", NodeFaulted("b3", "paused")),
        ("lab", NodeFaulted("b3", "resumed")),
    ],
}

BROKEN: dict[str, list[Step]] = {
    "leader-completeness": [*RESIGNED, role("b3", "leader", 1, 9)],
    "isr-has-all-committed": [*BEGUN, append("b1", "leader", 0, 9), append("b2", "follower", 0, 9), commit("b1", 10)],
    "leader-candidate-completeness": [
        *TEN_COMMITTED,
        truncate("b3", 10, 8, 0),
        metadata("b1", 1, 0, (1,), at=2, elr=(3,)),
    ],
    "log-matching": [*DARK, role("b1", "leader", 1, 6), append("b1", "leader", 6, 7, 1), commit("b1", 8, 1)],
    "metadata-log-matching": [metadata("b1", 1, 0, at=1), metadata("b2", 1, 0, (1, 2), at=1)],
    "replication-quorum-superset": [
        *TEN_COMMITTED,
        asks("b1", 1, 2, at=1),
        metadata("b2", 1, 0, (1, 2, 3), at=2),
        answered("b1", "NONE", 3),
        commit("b1", 11),
    ],
    "no-committed-record-lost-globally": [
        *DARK,
        role("b1", "leader", 1, 6),
        truncate("b2", 10, 6, 1),
        truncate("b3", 10, 6, 1),
    ],
    "min-isr-recovery-quorum": [metadata("b1", -1, 1, (), at=2)],
    "consistent-read": [
        *TEN_COMMITTED,
        consumed(9),
        down("b1"),
        metadata("b3", 3, 1, (3,), at=2),
        role("b3", "leader", 1, 9),
    ],
    "valid-isr-and-elr": [metadata("b1", 1, 0, (1, 2), at=1, elr=(3,))],
    "leader-in-isr": [metadata("b1", 1, 0, (2, 3), at=1)],
    "valid-fetcher": [*BEGUN, append("b1", "follower", 0, 0)],
    "weak-isr": [
        *TEN_COMMITTED,
        append("b1", "leader", 10, 10),
        append("b2", "follower", 10, 10),
        commit("b1", 11),
    ],
    "commit-needs-min-isr": [*BEGUN, metadata("b1", 1, 0, (1,), at=2), append("b1", "leader", 0, 0), commit("b1", 1)],
    "acks-all-means-committed": [*UNCOMMITTED, ("p1", RecordAcknowledged("orders", 0, "v10", 10))],
    "epochs-never-go-back": [*BEGUN, metadata("b1", 1, 1, at=2), metadata("b1", 1, 0, at=3)],
    "raft-terms-monotonic": [("c1", RaftVoted(2, 3)), up("c1"), ("c1", RaftRoleChanged(1, "follower", 1))],
    "raft-one-vote-per-term": [("c1", RaftVoted(2, 3)), up("c1"), ("c1", RaftVoted(2, 2))],
    "raft-commits-held-by-majority": [
        ("c1", RaftRoleChanged(2, "leader", 1, 0, 0)),
        ("c1", RaftSynced(3, 2)),
        ("c2", RaftSynced(3, 1)),
        ("c3", RaftSynced(2, 2)),
        ("c1", RaftCommitted(2, 3)),
    ],
    "raft-leader-completeness": [("c1", RaftCommitted(1, 7)), ("c3", RaftRoleChanged(2, "leader", 3, 6, 1))],
    "raft-commit-index-monotonic": [("c1", RaftCommitted(1, 7)), ("c1", RaftCommitted(2, 6))],
    "every-send-answered": [("p1", RecordSent("orders", 0, "a"))],
    "metadata-converges": [*BEGUN, metadata("b1", 1, 0, (1, 2), at=2)],
}

MORE_BROKEN: list[tuple[str, list[Step]]] = [
    (
        "metadata-converges",
        [
            *BEGUN,
            metadata("b1", 1, 0, (1, 2), at=2),
            ("lab", NodeFaulted("b2", "paused")),
            ("lab", NodeFaulted("b2", "resumed")),
        ],
    ),
    ("isr-has-all-committed", [*TEN_COMMITTED, truncate("b3", 10, 8, 0), metadata("b1", 1, 0, (1, 3), at=2)]),
    ("log-matching", [*BEGUN, append("b2", "follower", 0, 4), commit("b2", 5, what="follower")]),
    ("log-matching", [*TEN_COMMITTED, role("b3", "leader", 1, 0), append("b3", "leader", 0, 4, 1), commit("b3", 5, 1)]),
    ("valid-isr-and-elr", [metadata("b1", 1, 0, (1, 4), at=1)]),
    ("valid-isr-and-elr", [metadata("b1", 1, 0, (1,), at=1, elr=(1, 2))]),
    ("valid-isr-and-elr", [metadata("b1", 1, 0, at=1), broker("b1", 3, "fenced", 2)]),
    ("valid-isr-and-elr", [metadata("b1", 1, 0, at=1), broker("b1", 3, "fenced", 2), broker("b1", 2, "unfenced", 3)]),
    ("min-isr-recovery-quorum", [metadata("b1", 1, 1, (), at=2, last_known=(1,))]),
    ("valid-fetcher", [*BEGUN, append("b1", "leader", 0, 0, epoch=3)]),
    ("valid-fetcher", [*BEGUN, append("b1", "leader", 0, 4), append("b1", "leader", 6, 6)]),
    ("valid-fetcher", [*BEGUN, append("b2", "follower", 0, 4), append("b2", "follower", 4, 6)]),
    ("epochs-never-go-back", [role("b1", "leader", 2, 0), role("b1", "follower", 1, 0)]),
    ("epochs-never-go-back", [metadata("b1", 1, 0, at=5), metadata("b1", 1, 0, at=4)]),
    (
        "weak-isr",
        [
            *RESIGNED,
            role("b3", "leader", 1, 10),
            role("b2", "follower", 1, 12),
            append("b3", "leader", 10, 11, 1),
            metadata("b3", 3, 1, (2, 3), at=3),
            commit("b3", 12, 1),
        ],
    ),
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_trace_as_it_should_be_is_accepted(name: str) -> None:
    assert judge(name, ACCEPTED[name]).violations == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_trace_is_seen_and_explained(name: str) -> None:
    oracle = judge(name, BROKEN[name])
    assert oracle.count == 1, oracle.violations
    assert len(oracle.violations[0].message) > 20


@pytest.mark.parametrize(("name", "trace"), MORE_BROKEN)
def test_every_way_to_break_it_is_seen(name: str, trace: list[Step]) -> None:
    assert judge(name, trace).count == 1


def test_every_invariant_that_counts_in_every_run_has_a_trace_that_breaks_it() -> None:
    assert {*WHITE_BOX} <= {*BROKEN, *BROKEN_ELSEWHERE}


@pytest.mark.parametrize("name", sorted(WHITE_BOX))
@pytest.mark.parametrize("trace", [FAILOVER, UNCOMMITTED], ids=["failover", "uncommitted tail"])
def test_a_clean_failover_offends_nobody(name: str, trace: list[Step]) -> None:
    everybody_knows = [metadata(node, 3, 1, (2, 3), at=9) for node in ("b1", "b2", "b3")]
    assert judge(name, [*trace, *everybody_knows]).violations == []


RETURNED = [metadata("b3", 2, 1, (2, 3), at=2), metadata("b3", 3, 2, (3,), at=3), role("b2", "follower", 2, 6)]
"""b1 sleeps: b2 led for a while, and its disk has come back with six records."""

DARK_MEMBER = [down("b2", "powered-off"), up("b2"), *RETURNED]

HELD_BY_ALL = [*TEN_COMMITTED, append("b1", "leader", 10, 10), append("b2", "follower", 10, 10)]
HELD_BY_ALL.append(append("b3", "follower", 10, 10))

SAID_BY_ALL = [hears("b1", 3, 11), hears("b1", 2, 11)]


@pytest.mark.parametrize(
    "harm",
    [
        DARK_MEMBER,
        [("lab", StepFired("torn", "torn-write", ("b2",))), down("b2"), up("b2"), *RETURNED],
        [("lab", StepFired("gone", "wipe", ("b2",))), down("b2"), up("b2"), *RETURNED],
    ],
    ids=["power-off", "torn-write", "wipe"],
)
def test_a_leader_that_slept_may_commit_what_a_member_acknowledged_and_lost_meanwhile(harm: list[Step]) -> None:
    assert judge("weak-isr", [*HELD_BY_ALL, *harm, *SAID_BY_ALL, commit("b1", 11)]).count == 0


@pytest.mark.parametrize(
    "trace",
    [
        [*HELD_BY_ALL, *DARK_MEMBER, commit("b1", 11)],
        [*HELD_BY_ALL, *DARK_MEMBER, *SAID_BY_ALL, hears("b1", 2, 6), commit("b1", 11)],
        [*HELD_BY_ALL, *DARK_MEMBER, hears("b1", 3, 11), hears("b1", 2, 11, epoch=2), commit("b1", 11)],
        [
            *UNCOMMITTED,
            append("b2", "follower", 12, 14, 3),
            down("b3"),
            *DARK_MEMBER,
            hears("b1", 2, 15),
            commit("b1", 14),
        ],
        [*UNCOMMITTED, down("b3"), *DARK_MEMBER, hears("b1", 2, 15), commit("b1", 15)],
        [*HELD_BY_ALL, down("b2"), up("b2"), *RETURNED, *SAID_BY_ALL, commit("b1", 11)],
    ],
    ids=[
        "not acknowledged",
        "heard that it is lost",
        "in another epoch",
        "held another record",
        "never held",
        "killed",
    ],
)
def test_it_may_not_commit_what_a_member_never_had_or_is_known_to_lack(trace: list[Step]) -> None:
    assert judge("weak-isr", trace).count == 1


def test_what_a_topic_syncs_before_it_acknowledges_no_loss_of_power_takes() -> None:
    trace = [*HELD_BY_ALL, *DARK_MEMBER, *SAID_BY_ALL, commit("b1", 11)]
    synced = replace(SETTING, topics={"orders": TopicSetting(3, 2, flush_messages=1)})
    assert judge("weak-isr", trace, synced).count == 1
    wiped = [*HELD_BY_ALL, ("lab", StepFired("gone", "wipe", ("b2",))), *DARK_MEMBER, *SAID_BY_ALL, commit("b1", 11)]
    assert judge("weak-isr", wiped, synced).count == 0


def test_a_minimum_that_was_changed_while_running_counts() -> None:
    lowered = ("b1", TopicConfigApplied("orders", ("min.insync.replicas=1",), 2))
    alone = [metadata("b1", 1, 0, (1,), at=3), append("b1", "leader", 0, 0), commit("b1", 1)]
    assert judge("commit-needs-min-isr", [*BEGUN, lowered, *alone]).count == 0
    restored = ("b1", TopicConfigApplied("orders", (), 4))
    assert (
        judge(
            "commit-needs-min-isr", [*BEGUN, lowered, *alone, restored, append("b1", "leader", 1, 1), commit("b1", 2)]
        ).count
        == 1
    )


def test_a_topic_that_is_created_again_has_nothing_committed() -> None:
    deleted = [("b1", TopicDeleted("orders", 5)), role("b1", "leader", 0, 0)]
    assert judge("leader-completeness", [*TEN_COMMITTED, *deleted]).count == 0
    late = [append("b2", "follower", 10, 12), commit("b2", 12, what="follower")]
    assert judge("log-matching", [*TEN_COMMITTED, *deleted, *late]).count == 0, "b2 has not heard of the deletion"


def test_the_last_member_may_stay_in_the_isr_when_there_are_no_eligible_replicas() -> None:
    trace = [metadata("b1", 1, 0, (1,), at=1), broker("b1", 1, "fenced", 2), metadata("b1", -1, 1, (1,), at=2)]
    assert judge("valid-isr-and-elr", trace, replace(SETTING, eligible_leader_replicas=False)).count == 0
    assert judge("valid-isr-and-elr", trace).count == 1


def test_what_a_client_with_one_ack_is_told_need_not_be_committed() -> None:
    one = replace(SETTING, clients={"p1": ClientSetting("1", False)})
    assert judge("acks-all-means-committed", BROKEN["acks-all-means-committed"], one).count == 0
