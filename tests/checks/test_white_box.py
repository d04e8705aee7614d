"""Every invariant of the brokers' design bites: a trace that it accepts, and a small one that breaks it."""

from __future__ import annotations

import pytest

from cluster.base.trace import (
    NodeFaulted,
    PartitionMetadataApplied,
    RaftCommitted,
    RaftRoleChanged,
    RaftSynced,
    RaftVoted,
    RecordAcknowledged,
    RecordFailed,
    RecordSent,
    TopicDeleted,
)
from cluster.checks import WHITE_BOX
from tests.checks.test_oracles import BROKEN as BROKEN_ELSEWHERE
from tests.checks.traced_partition import (
    BEGUN,
    DARK,
    FAILOVER,
    RESIGNED,
    TEN_COMMITTED,
    UNCOMMITTED,
    Step,
    answered,
    append,
    asks,
    broker,
    commit,
    consumed,
    down,
    judge,
    metadata,
    role,
    truncate,
    up,
)

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
