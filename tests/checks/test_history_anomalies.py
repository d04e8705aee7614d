"""Every anomaly of a history: one that shows it and nothing else, and one next to it that is sound."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from cluster.base.trace import (
    ConsumerPlaced,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    Traced,
    TraceEvent,
)
from cluster.checks.history import ANOMALIES, HistoryReport, Operation, check_history, history_of, to_lines
from cluster.checks.history.operations import HistoryReader
from cluster.checks.setting import Setting, TopicSetting
from tests.checks.histories import Row, operations_of, place, poll, send, txn

Parts = list[list[Row]]

FOUR = [send("p1", "a", 0), send("p1", "b", 1), send("p1", "c", 2), send("p1", "d", 3)]
ALL_FOUR = ((0, "a"), (1, "b"), (2, "c"), (3, "d"))

BROKEN: dict[str, Parts] = {
    "lost-write": [*FOUR, poll("c1", (0, "a")), place("c1"), poll("c1", (2, "c"), (3, "d"))],
    "unseen": [*FOUR, poll("r", *ALL_FOUR[:3], final=True)],
    "vanished": [*FOUR, poll("c1", *ALL_FOUR), poll("r", *ALL_FOUR[:3], final=True)],
    "inconsistent-offsets": [poll("c1", (0, "a")), poll("c2", (0, "b"))],
    "duplicate": [poll("c1", (0, "a"), (1, "b"), (2, "a"))],
    "aborted-read": [send("p1", "a", None, how="fail"), poll("c1", (0, "a"))],
    "precommitted-read": [txn("t1", [("k-0", "a", 0)], {"k-0": [(0, "a")]})],
    "int-poll-skip": [*FOUR, poll("c1", (0, "a"), (2, "c"), (3, "d")), poll("c2", *ALL_FOUR)],
    "int-nonmonotonic-poll": [*FOUR, poll("c1", (0, "a"), (1, "b"), (2, "c"), (1, "b"), (2, "c"), (3, "d"))],
    "poll-skip": [*FOUR, poll("c1", (0, "a")), poll("c1", (2, "c"), (3, "d")), poll("c2", *ALL_FOUR)],
    "nonmonotonic-poll": [*FOUR, poll("c1", *ALL_FOUR), poll("c1", (1, "b"))],
    "int-send-skip": [send("p1", "x", 1), txn("t1", [("k-0", "a", 0), ("k-0", "b", 2)], {})],
    "int-nonmonotonic-send": [txn("t1", [("k-0", "a", 1), ("k-0", "b", 0)], {})],
    "nonmonotonic-send": [send("p1", "a", 1), send("p1", "b", 0)],
    "g0": [
        txn("t1", [("x-0", "a", 0), ("y-0", "b", 1)], {}),
        txn("t2", [("x-0", "c", 1), ("y-0", "d", 0)], {}),
    ],
    "g1c": [
        txn("t1", [("x-0", "a", 0)], {"y-0": [(0, "b")]}),
        txn("t2", [("y-0", "b", 0)], {"x-0": [(0, "a")]}),
    ],
    "g1c-with-ww": [
        txn("t1", [("x-0", "a", 0), ("y-0", "b", 1)], {}),
        txn("t2", [("y-0", "c", 0)], {"x-0": [(0, "a")]}),
    ],
}

SOUND: dict[str, Parts] = {
    "lost-write": [*FOUR, poll("c1", *ALL_FOUR[:2])],
    "unseen": [*FOUR, send("p1", "e", None, how="unknown"), poll("r", *ALL_FOUR, final=True)],
    "vanished": [*FOUR, poll("c1", *ALL_FOUR), poll("r", *ALL_FOUR[2:], final=True)],
    "inconsistent-offsets": [poll("c1", (0, "a")), poll("c2", (0, "a"))],
    "duplicate": [poll("c1", (0, "a"), (1, "b")), place("c1"), poll("c1", (0, "a"))],
    "aborted-read": [send("p1", "a", None, how="unknown"), poll("c1", (0, "a"))],
    "precommitted-read": [txn("t1", [("k-0", "a", 1)], {"k-0": [(0, "b")]})],
    "int-poll-skip": [send("p1", "a", 0), send("p1", "b", 7), poll("c1", (0, "a"), (7, "b"))],
    "int-nonmonotonic-poll": [
        *FOUR,
        poll("c1", (0, "a"), (1, "b"), (0, "a"), (1, "b"), (2, "c"), (3, "d"), rebalanced=["k-0"]),
    ],
    "poll-skip": [*FOUR, poll("c1", (0, "a")), place("c1"), poll("c1", (2, "c")), poll("c2", *ALL_FOUR)],
    "nonmonotonic-poll": [*FOUR, poll("c1", *ALL_FOUR), poll("c1", (1, "b"), (2, "c"), rebalanced=["k-0"])],
    "int-send-skip": [txn("t1", [("k-0", "a", 0), ("k-0", "b", 1)], {})],
    "int-nonmonotonic-send": [txn("t1", [("k-0", "a", 0), ("k-1", "b", 0)], {})],
    "nonmonotonic-send": [send("p1", "a", 1), send("p2", "b", 0)],
    "g0": [
        txn("t1", [("x-0", "a", 0), ("y-0", "b", 0)], {}),
        txn("t2", [("x-0", "c", 1), ("y-0", "d", 1)], {}),
    ],
    "g1c": [
        txn("t1", [("x-0", "a", 0)], {"y-0": [(0, "b")]}),
        txn("t2", [("y-0", "b", 0)], {}),
    ],
    "g1c-with-ww": [
        txn("t1", [("x-0", "a", 0), ("y-0", "b", 0)], {}),
        txn("t2", [("y-0", "c", 1)], {"x-0": [(0, "a")]}),
    ],
}


def report(parts: Parts) -> HistoryReport:
    return check_history(operations_of(*parts))


def test_every_anomaly_has_a_history_that_shows_it_and_one_that_does_not() -> None:
    assert set(BROKEN) == set(SOUND) == set(ANOMALIES)


@pytest.mark.parametrize("anomaly", BROKEN)
def test_a_broken_history_shows_its_anomaly(anomaly: str) -> None:
    assert report(BROKEN[anomaly]).findings.counts.get(anomaly, 0) == 1


@pytest.mark.parametrize("anomaly", SOUND)
def test_a_sound_history_shows_none(anomaly: str) -> None:
    assert report(SOUND[anomaly]).findings.counts == {}


def test_a_cycle_of_reads_and_writes_through_a_lone_send_is_seen() -> None:
    parts = [
        txn("t1", [("x-0", "a", 0), ("y-0", "b", 1)], {}),
        send("p1", "c", 1, key="x-0"),
        txn("t2", [("y-0", "d", 0)], {"x-0": [(0, "a"), (1, "c")]}),
    ]
    assert report(parts).findings.counts == {"g1c-with-ww": 1}


def test_a_value_whose_transaction_has_an_unknown_end_counts_when_its_sister_was_read() -> None:
    parts = [
        txn("t1", [("k-0", "a", 0), ("j-0", "x", 0)], {}, how="unknown"),
        send("p1", "b", 1),
        poll("c1", (0, "z"), (1, "b")),
        poll("c1", (0, "x"), key="j-0"),
    ]
    assert "lost-write" not in report(parts).findings.counts, "its own offset was never known"


def test_without_a_final_reading_nobody_is_called_lost_for_not_being_read_yet() -> None:
    unread = report([*FOUR, poll("c1", *ALL_FOUR[:3])])
    assert (unread.findings.counts, unread.has_final_reading) == ({}, False)


def test_the_worst_lag_counts_from_the_moment_a_newer_record_was_known() -> None:
    history = operations_of(*FOUR, poll("c1", (0, "a")))
    # b was acknowledged at 3 us, the poll that still ended with a began at 8 us.
    assert check_history(history).worst_realtime_lag_us == 5


def test_findings_are_counted_beyond_those_that_are_described() -> None:
    lost = [row for number in range(300) for row in send("p1", f"v{number}", number)]
    counted = report([lost, send("p1", "last", 300), poll("r", (300, "last"), final=True)])
    assert counted.findings.counts["unseen"] == 300
    assert len(counted.findings.kept["unseen"]) == 100


def test_a_trace_becomes_the_history_of_its_clients() -> None:
    events: list[tuple[int, str, TraceEvent]] = [
        (1, "p1", RecordSent("k", 0, "a")),
        (2, "p1", RecordSent("k", 0, "b")),
        (3, "p1", RecordAcknowledged("k", 0, "a", 0)),
        (4, "p1", RecordUnknown("k", 0, "b", "RequestTimedOutError")),
        (5, "p1", RecordSent("k", 0, "c")),
        (6, "p1", RecordFailed("k", 0, "c", "MessageSizeTooLargeError")),
        (6, "p1", RecordSent("k", 0, "d")),
        (7, "c1", ConsumerPlaced(("k-0",), by_group=False)),
        (9, "c1", RecordConsumed("k", 0, 0, "a")),
        (9, "c1", RecordConsumed("k", 0, 1, "b")),
        (12, "reader", RecordConsumed("k", 0, 0, "a", final=True)),
    ]
    history = history_of(Traced(*event) for event in events)
    told = [(one.process, one.name, one.outcome, one.invoked_us, one.ended_us) for one in history]
    assert told == [
        ("p1", "send", "ok", 1, 3),
        ("p1", "send", "unknown", 2, 4),
        ("p1", "send", "fail", 5, 6),
        ("c1", "assign", "ok", 7, 7),
        ("c1", "poll", "ok", 7, 9),
        ("reader", "poll", "ok", 12, 12),
        ("p1", "send", "unknown", 6, 6),
    ]
    assert history[4].polls == (("k-0", ((0, "a"), (1, "b"))),)
    assert history[5].final
    assert check_history(history).findings.counts == {"vanished": 1}


def test_an_aborted_record_that_was_read_and_is_gone_is_an_aborted_read_and_nothing_else() -> None:
    aborted = send("t1", "x", None, how="fail")
    history = operations_of(*FOUR, aborted, poll("c1", *ALL_FOUR, (4, "x")), poll("r", *ALL_FOUR, final=True))
    assert check_history(history).findings.counts == {"aborted-read": 1}
    after = [send("p1", "e", 5), poll("c1", *ALL_FOUR, (4, "x"), (5, "e"))]
    history = operations_of(*FOUR, aborted, *after, poll("r", *ALL_FOUR), poll("r", (5, "e")))
    assert check_history(history).findings.counts == {"aborted-read": 1}, "who reads committed passes it over"


@pytest.mark.parametrize("anomaly", BROKEN)
def test_a_history_that_was_written_and_read_again_shows_the_same(anomaly: str) -> None:
    history = operations_of(*BROKEN[anomaly])
    again = list(HistoryReader().read(to_lines(history)))
    assert check_history(again).findings.counts == check_history(history).findings.counts


KEYED = [
    send("p1", "a", 0, record_keys=["x"]),
    send("p1", "b", 1, record_keys=["y"]),
    send("p1", "c", 2, record_keys=["x"]),
    send("p1", "t", 3, record_keys=["z"], tombstones=["t"]),
    send("p1", "d", 4, record_keys=["w"]),
]
COMPACTED = Setting(topics={"k": TopicSetting(cleanup_policy="compact")})


@pytest.mark.parametrize(
    ("read", "missed"),
    [
        (((0, "a"), (1, "b"), (2, "c"), (3, "t"), (4, "d")), {}),
        (((1, "b"), (2, "c"), (4, "d")), {}),
        (((0, "a"), (1, "b"), (4, "d")), {"lost-write": 1, "unseen": 1, "int-poll-skip": 1}),
        (((2, "c"), (4, "d")), {"lost-write": 1, "unseen": 1}),
    ],
)
def test_of_a_compacted_topic_nobody_misses_what_was_superseded(
    read: tuple[tuple[int, str], ...], missed: dict[str, int]
) -> None:
    history = operations_of(*KEYED, poll("r", *read, final=True))
    assert check_history(history, COMPACTED).findings.counts == missed
    again = list(HistoryReader().read(to_lines(history)))
    assert check_history(again, COMPACTED).findings.counts == missed
    assert len(read) == 5 or check_history(history).findings.counts["unseen"] >= 1


def test_what_may_have_been_superseded_by_an_unanswered_record_is_not_missed() -> None:
    unanswered = send("p1", "e", None, how="unknown", record_keys=["x"], tombstones=["e"])
    read = ((1, "b"), (3, "t"), (4, "d"))
    assert (
        check_history(operations_of(*KEYED, unanswered, poll("r", *read, final=True)), COMPACTED).findings.counts == {}
    )


def long_history(size: int) -> list[Operation]:
    parts: Parts = [
        [*send(f"p{number % 3}", f"v{number}", number // 2, key=f"k-{number % 2}")] for number in range(size)
    ]
    parts += [poll("c", (number // 2, f"v{number}"), key=f"k-{number % 2}") for number in range(size)]
    parts += [
        txn(f"t{number % 3}", [("x-0", f"a{number}", number), ("y-0", f"b{number}", size - number)], {})
        for number in range(size)
    ]
    parts += [poll("r", *[(number, f"v{2 * number}") for number in range(size // 4)], key="k-0", final=True)]
    return operations_of(*parts)


def lines_executed(work: Callable[[], object]) -> int:
    """How many lines of Python a piece of work runs through: a measure that does not depend on the machine."""
    count = 0

    def tracer(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return tracer

    previous = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(previous)
    return count


def test_the_work_grows_with_the_history_and_not_faster() -> None:
    small, large = long_history(200), long_history(800)
    small_lines = lines_executed(lambda: check_history(small))
    large_lines = lines_executed(lambda: check_history(large))
    assert large_lines < 4.2 * small_lines
    assert small_lines < 200 * len(small), "some 10 s for a million operations"
