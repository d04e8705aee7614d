"""compaction-keeps-the-latest bites: what compaction may do is accepted, and each thing that it must not is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    ConsumerPlaced,
    HighWatermarkAdvanced,
    LogCompacted,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, ClientSetting, Evidence, Oracle, Panel, Setting, TopicSetting
from cluster.records import Record

PRICES = TopicPartition("prices", 0)
COMPACTED = TopicSetting(3, 2, cleanup_policy="compact", delete_retention_ms=1)
SETTING = Setting(topics={"prices": COMPACTED}, names={1: "b1", 2: "b2"})
SOON_US, LATE_US = 500, 100_000
"""Ends of a run before and after tombstones may go."""

Step = tuple[str, TraceEvent]


def judge(
    history: Sequence[Step | list[Step]],
    *,
    setting: Setting = SETTING,
    end_us: int = SOON_US,
    evidence: Evidence | None = None,
    name: str = "compaction-keeps-the-latest",
) -> Oracle:
    panel = Panel([ORACLES[name]()], setting)
    steps = [step for part in history for step in (part if isinstance(part, list) else [part])]
    for number, (node, event) in enumerate(steps):
        # What is read is read at the end, everything else happened at once.
        panel.on_event(Traced(end_us if node == "reader" else number, node, event))
    panel.at_end(evidence or Evidence(end_us, read_back=True))
    return panel.oracles[name]


def sent(value: str, key: str = "k", tombstone: bool = False, by: str = "p1") -> Step:
    return by, RecordSent("prices", 0, value, key, tombstone)


def stored(value: str, offset: int, key: str = "k", tombstone: bool = False, by: str = "p1") -> list[Step]:
    return [sent(value, key, tombstone, by), (by, RecordAcknowledged("prices", 0, value, offset))]


def read(value: str, offset: int, key: str = "k", tombstone: bool = False, by: str = "reader") -> Step:
    return by, RecordConsumed("prices", 0, offset, value, by == "reader", False, key, tombstone)


def unknown(value: str, key: str = "k", tombstone: bool = False, by: str = "p1") -> list[Step]:
    return [sent(value, key, tombstone, by), (by, RecordUnknown("prices", 0, value, "RequestTimedOutError"))]


OTHER = [stored("x", 9, "other"), read("x", 9, "other")]
"""Something behind all the rest, so that the reading goes past it."""

ACCEPTED = {
    "what was overwritten is gone": [stored("a", 0), stored("b", 1), read("b", 1), *OTHER],
    "nothing was compacted": [stored("a", 0), stored("b", 1), read("a", 0), read("b", 1), *OTHER],
    "an attempt came after the last that was acknowledged": [stored("a", 0), unknown("b"), read("b", 5), *OTHER],
    "an attempt that came to nothing": [stored("a", 0), unknown("b"), read("a", 0), *OTHER],
    "what an attempt superseded, which a tombstone that nobody was told of superseded": [
        stored("a", 0),
        unknown("t", tombstone=True),
        *OTHER,
    ],
    "a tombstone that is still there": [
        stored("a", 0),
        stored("t", 1, tombstone=True),
        read("t", 1, "k", True),
        *OTHER,
    ],
    "a duplicate of a producer without idempotence": [
        stored("a", 0, by="p2"),
        stored("b", 1, by="p2"),
        read("a", 2),
        *OTHER,
    ],
    "a consumer in the middle of the run": [
        stored("a", 0),
        read("a", 0, by="r1"),
        stored("b", 1),
        stored("c", 2),
        read("c", 2, by="r1"),
        read("c", 2),
        *OTHER,
    ],
    "a consumer that is placed anew": [
        stored("a", 0),
        stored("b", 1, "q"),
        read("b", 1, "q", by="r1"),
        ("r1", ConsumerPlaced(("prices-0",), False)),
        read("a", 0, by="r1"),
        read("a", 0),
        read("b", 1, "q"),
        *OTHER,
    ],
    "keys and records that no workload sent": [read("probe", 3, "probe"), read("plain", 4, "")],
    "what the high watermark covers is compacted": [
        ("b1", HighWatermarkAdvanced("prices", 0, "follower", 5, 0)),
        ("b1", LogCompacted("prices", 0, 0, 5, 9, 8)),
    ],
}

BROKEN = {
    "the last value is gone": [stored("a", 0), stored("b", 1), read("a", 0), *OTHER],
    "all of a key is gone": [stored("a", 0), *OTHER],
    "the last value is gone, and nothing lies behind it": [stored("a", 0)],
    "a tombstone is gone too early": [stored("a", 0), stored("t", 1, tombstone=True), *OTHER],
    "what is gone was sent again only later": [
        stored("a", 0, "q"),
        stored("z", 1, "z"),
        stored("y", 2, "y"),
        read("a", 0, "q", by="r1"),
        read("y", 2, "y", by="r1"),
        stored("zz", 3, "z"),
        *[read("a", 0, "q"), read("y", 2, "y"), read("zz", 3, "z")],
        *OTHER,
    ],
    "an earlier attempt of an idempotent producer supersedes nothing": [unknown("a"), stored("b", 1), *OTHER],
    "a failed attempt supersedes nothing": [
        stored("a", 0),
        sent("b"),
        ("p1", RecordFailed("prices", 0, "b", "MessageSizeTooLargeError")),
        *OTHER,
    ],
    "the value of another key": [
        stored("a", 0),
        stored("b", 1, "q"),
        read("a", 0),
        read("b", 1, "q"),
        read("a", 2, "q"),
    ],
    "a value that nobody sent": [stored("a", 0), read("a", 0), read("ghost", 3), *OTHER],
    "a tombstone that was a value": [stored("a", 0), read("a", 0, "k", True), *OTHER],
    "a key goes back in time": [stored("a", 0), stored("b", 1), read("b", 1), read("a", 2), *OTHER],
    "offsets go back": [stored("a", 0), stored("b", 1), read("b", 1), read("a", 0), *OTHER],
    "a compaction above the high watermark": [
        ("b1", HighWatermarkAdvanced("prices", 0, "follower", 5, 0)),
        ("b2", HighWatermarkAdvanced("prices", 0, "leader", 9, 0)),
        ("b1", LogCompacted("prices", 0, 0, 6, 9, 8)),
    ],
}

NOT_IDEMPOTENT = replace(SETTING, clients={"p2": ClientSetting(idempotence=False)})


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_compaction_may_do_is_accepted(case: str) -> None:
    assert judge(ACCEPTED[case], setting=NOT_IDEMPOTENT).violations == []


@pytest.mark.parametrize("case", BROKEN)
def test_what_compaction_must_not_do_is_seen(case: str) -> None:
    oracle = judge(BROKEN[case])
    assert oracle.count == len(oracle.violations) == 1, oracle.violations
    assert oracle.violations[0].message


def test_an_old_tombstone_may_go_and_takes_the_values_before_it_along() -> None:
    history = [stored("a", 0), stored("t", 1, tombstone=True), *OTHER]
    assert judge(history, end_us=LATE_US).violations == []
    back = [stored("a", 0), stored("t", 1, tombstone=True), read("a", 0), *OTHER]
    oracle = judge(back, end_us=LATE_US)
    assert [violation.offset for violation in oracle.violations] == [0]
    assert "came back to life" in oracle.violations[0].message


def test_nobody_says_when_a_tombstone_may_go_once_a_clock_was_set_wrong() -> None:
    wrong = ("lab", StepFired("early", "clock", ("b1",)))
    assert judge([stored("a", 0), stored("t", 1, tombstone=True), wrong, *OTHER]).violations == []


# --- replicas --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A batch of one record on a disk."""

    base_offset: int
    key: str
    value: str | None

    last_offset = property(lambda batch: batch.base_offset)
    leader_epoch = crc = 0
    values = ()

    @property
    def records(self) -> list[Record]:
        value = None if self.value is None else self.value.encode()
        return [Record(self.base_offset, 0, self.key.encode(), value)]


@dataclass(frozen=True)
class Disk:
    batches: Sequence[Stored]
    log_start_offset: int = 0
    head_offset: int = 0
    has_gaps: bool = True


WRITTEN = [stored("a", 0), stored("b", 1), stored("t", 2, "q", tombstone=True)]
SHOWN = [read("b", 1), read("t", 2, "q", True)]


def replicas(one: Sequence[Stored], other: Sequence[Stored], high_watermark: int = 9) -> Evidence:
    disks = {"b1": Disk(one), "b2": Disk(other)}
    return Evidence(LATE_US, True, {PRICES: disks}, {PRICES: high_watermark})


WHOLE = (Stored(0, "k", "a"), Stored(1, "k", "b"), Stored(2, "q", None))


def test_replicas_may_have_compacted_at_different_times() -> None:
    history = [*WRITTEN, *SHOWN]
    for other in (WHOLE, WHOLE[1:], WHOLE[1:2]):
        evidence = replicas(WHOLE, other)
        assert judge(history, end_us=LATE_US, evidence=evidence).violations == []


@pytest.mark.parametrize(
    "other",
    [
        (Stored(0, "k", "a"), Stored(2, "q", None)),
        (Stored(1, "k", "c"), Stored(2, "q", None)),
        (*WHOLE, Stored(3, "k", "d")),
        (Stored(0, "q", "old"), *WHOLE[:2]),
    ],
    ids=["an older value", "another value", "a newer value", "a key that was deleted"],
)
def test_replicas_that_disagree_about_a_key_are_seen(other: Sequence[Stored]) -> None:
    oracle = judge([*WRITTEN, *SHOWN], end_us=LATE_US, evidence=replicas(WHOLE, other))
    assert oracle.count >= 1
    assert any("b2" in violation.message for violation in oracle.violations)


def test_a_value_that_no_replica_has_is_seen_on_each_of_them() -> None:
    oracle = judge([*WRITTEN, *SHOWN], end_us=LATE_US, evidence=replicas(WHOLE[:1], WHOLE[:1]))
    assert oracle.count == 2


def test_above_the_high_watermark_replicas_may_differ() -> None:
    evidence = replicas(WHOLE, (*WHOLE, Stored(9, "k", "later")))
    assert judge([*WRITTEN, *SHOWN], end_us=LATE_US, evidence=evidence).violations == []


# --- no-lost-acks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "history", "lost"),
    [
        ("compact", [stored("a", 0), stored("b", 1), read("b", 1)], []),
        ("compact,delete", [stored("a", 0), stored("b", 1), read("b", 1)], []),
        ("delete", [stored("a", 0), stored("b", 1), read("b", 1)], ["a"]),
        ("compact", [stored("a", 0), stored("b", 1), read("a", 0)], ["b"]),
        ("compact", [stored("a", 0), stored("t", 1, tombstone=True)], ["t"]),
    ],
)
def test_what_compaction_may_remove_is_not_lost(policy: str, history: list[list[Step]], lost: list[str]) -> None:
    setting = replace(SETTING, topics={"prices": replace(COMPACTED, cleanup_policy=policy)})
    oracle = judge(history, setting=setting, name="no-lost-acks")
    assert [violation.value for violation in oracle.violations] == lost


def test_of_old_tombstones_none_is_lost() -> None:
    history = [stored("a", 0), stored("t", 1, tombstone=True)]
    assert judge(history, end_us=LATE_US, name="no-lost-acks").violations == []
