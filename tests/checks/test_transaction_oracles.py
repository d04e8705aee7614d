"""The oracles of transactions bite: each has a history that it accepts and one, as small as can be, that breaks it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordConsumed, Traced, TraceEvent
from cluster.base.transaction_trace import TransactionDecided, TransactionResolved
from cluster.checks import ORACLES, Evidence, Oracle

COPIES = TopicPartition("copies", 0)
FIRST, SECOND = "p1-1@t1.1", "p1-2@t1.1"


def judge(name: str, history: Sequence[tuple[str, TraceEvent]], evidence: Evidence | None = None) -> Oracle:
    oracle = ORACLES[name]()
    for number, (node, event) in enumerate(history):
        if event.kind in oracle.kinds:
            oracle.on_event(Traced(number, node, event))
    oracle.at_end(evidence or Evidence(len(history), read_back=True))
    return oracle


def resolved(outcome: str, *values: str) -> tuple[str, TraceEvent]:
    return "t1", TransactionResolved("t1", 1, outcome, values)


def read(value: str, offset: int = 0, topic: str = "copies") -> tuple[str, TraceEvent]:
    return "reader", RecordConsumed(topic, 0, offset, value, final=True)


def written(value: str) -> tuple[str, TraceEvent]:
    return "p1", RecordAcknowledged("orders", 0, value, 0)


@pytest.mark.parametrize(
    ("outcome", "found", "count"),
    [
        ("committed", [FIRST, SECOND], 0),
        ("committed", [FIRST], 1),
        ("committed", [], 1),
        ("aborted", [], 0),
        ("aborted", [SECOND], 1),
        ("unknown", [], 0),
        ("unknown", [FIRST, SECOND], 0),
        ("unknown", [FIRST], 1),
    ],
)
def test_a_transaction_is_there_as_a_whole_or_not_at_all(outcome: str, found: list[str], count: int) -> None:
    history = [resolved(outcome, FIRST, SECOND), *(read(value, offset) for offset, value in enumerate(found))]
    assert judge("transactions-atomic", history).count == count


@pytest.mark.parametrize(("outcome", "count"), [("aborted", 1), ("committed", 0), ("unknown", 0)])
@pytest.mark.parametrize("final", [True, False])
def test_what_was_aborted_is_given_to_no_reader_of_committed_records(outcome: str, count: int, final: bool) -> None:
    given = RecordConsumed("copies", 0, 3, FIRST, final=final, committed_only=not final)
    history = [("r1", given), resolved(outcome, FIRST)]
    assert judge("aborted-never-read", history).count == count


def test_a_reader_of_uncommitted_records_may_be_given_what_was_aborted() -> None:
    history = [("r1", RecordConsumed("copies", 0, 3, FIRST)), resolved("aborted", FIRST)]
    assert judge("aborted-never-read", history).count == 0


def test_nothing_is_given_before_it_is_decided() -> None:
    given = ("r1", RecordConsumed("copies", 0, 3, FIRST, committed_only=True))
    decided = ("t1", TransactionDecided("t1", 1, True))
    other = ("t1", TransactionDecided("t1", 2, True))
    assert judge("read-committed-below-lso", [decided, given]).count == 0
    assert judge("read-committed-below-lso", [given, decided]).count == 1
    assert judge("read-committed-below-lso", [other, given]).count == 1


@pytest.mark.parametrize(("stable", "count"), [(10, 0), (7, 1)])
def test_no_transaction_is_left_open(stable: int, count: int) -> None:
    evidence = Evidence(1, True, high_watermarks={COPIES: 10}, stable_offsets={COPIES: stable})
    assert judge("no-stuck-lso", [], evidence).count == count


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (["p1-1@t1.1", "p1-2@t1.2"], 0),
        (["p1-1@t1.1"], 1),
        (["p1-1@t1.1", "p1-2@t1.2", "p1-1@t1.3"], 1),
        ([], 0),
    ],
)
def test_every_record_is_copied_once(found: list[str], count: int) -> None:
    history = [written("p1-1"), written("p1-2"), *(read(value, offset) for offset, value in enumerate(found))]
    assert judge("copied-exactly-once", history).count == count
