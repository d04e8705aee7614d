"""Transactions in a log: where committed reading stops, what was aborted, and that no crash changes either.

The model is a list of what was written, from which the truth is computed anew for every question.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import DIRECTORY, NOW_MS, SMALL_SEGMENTS, open_log, sync_all
from memory_disk import MemoryDisk

from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import EndMarker, build_batch
from cluster.storage import Log

PRODUCERS = 3


@dataclass
class Model:
    """What was written: (offset, producer, is marker, is commit) in the order of the offsets."""

    events: list[tuple[int, int, bool, bool]] = field(default_factory=list)

    def truncate(self, offset: int) -> None:
        self.events = [event for event in self.events if event[0] < offset]

    def stable_offset(self, high_watermark: int) -> int:
        begun: dict[int, int] = {}
        for offset, producer, is_marker, _ in self.events:
            if not is_marker:
                begun.setdefault(producer, offset)
            elif offset < high_watermark:
                begun.pop(producer, None)
        unsettled = [first for first, end in self._spans() if end is None or end >= high_watermark]
        return min([high_watermark, *unsettled])

    def _spans(self) -> list[tuple[int, int | None]]:
        return [(first, end) for first, end, _, _ in self.transactions()]

    def transactions(self) -> list[tuple[int, int | None, int, bool]]:
        """First offset, marker, producer and whether it was committed."""
        begun: dict[int, int] = {}
        found: list[tuple[int, int | None, int, bool]] = []
        for offset, producer, is_marker, is_commit in self.events:
            if not is_marker:
                begun.setdefault(producer, offset)
            elif producer in begun:
                found.append((begun.pop(producer), offset, producer, is_commit))
        return found + [(first, None, producer, False) for producer, first in begun.items()]

    def must_skip(self, start: int, end: int) -> set[tuple[int, int]]:
        return {
            (producer, first)
            for first, marker, producer, is_commit in self.transactions()
            if marker is not None and not is_commit and first < end and marker >= start
        }


class Writer:
    """Producers that write transactions into one log, and the model of it."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.log = open_log(self.disk)
        self.model = Model()

    def write(self, producer: int, size: int = 60) -> int:
        batch = build_batch(
            [(None, b"x" * size, ())],
            timestamp_ms=NOW_MS,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=-1,
            transactional=True,
        )
        self.admit(producer)
        appended = self.log.append_as_leader(memoryview(batch), 0, NOW_MS, by_coordinator=True)
        self.model.events.append((appended.first_offset, producer, False, False))
        return appended.first_offset

    def admit(self, producer: int) -> None:
        producers = self.log.producers
        assert producers.admit(producer, producers.expect(producer))

    def end(self, producer: int, is_commit: bool, epoch: int = 0) -> int:
        appended = self.log.append_marker(EndMarker(producer, epoch, is_commit, 0), 0, NOW_MS, is_strict=False)
        self.model.events.append((appended.first_offset, producer, True, is_commit))
        return appended.first_offset

    def reopen(self) -> None:
        self.log = open_log(self.disk, SMALL_SEGMENTS)

    def check(self) -> None:
        end = self.log.log_end_offset
        for offset in range(self.log.log_start_offset, end):
            records = self.log.read(offset, 300, end, at_least_one=True)
            told = set(self.log.aborted_transactions(records))
            upper = offset + 1
            assert self.model.must_skip(offset, upper) <= told
            assert told <= self.model.must_skip(0, end)
        assert self.log.producers.stable_offset(end) == self.model.stable_offset(end)


def test_readers_of_committed_records_stop_where_the_first_open_transaction_begins() -> None:
    writer = Writer()
    writer.write(1)
    writer.write(2)
    assert writer.log.producers.stable_offset(2) == 0
    writer.end(1, is_commit=True)
    assert writer.log.producers.stable_offset(3) == 1


def test_a_marker_counts_when_it_is_committed() -> None:
    writer = Writer()
    first = writer.write(1)
    marker = writer.end(1, is_commit=True)
    assert writer.log.producers.stable_offset(marker) == first
    assert writer.log.producers.stable_offset(marker + 1) == marker + 1


def test_a_fetch_is_told_of_the_aborted_transactions_in_what_it_read() -> None:
    writer = Writer()
    first = writer.write(1)
    writer.end(1, is_commit=False)
    second = writer.write(2)
    writer.end(2, is_commit=True)
    end = writer.log.log_end_offset
    assert writer.log.aborted_transactions(writer.log.read(0, 4096, end, True)) == [(1, first)]
    assert writer.log.aborted_transactions(writer.log.read(second, 4096, end, True)) == []


def test_a_batch_outside_the_open_transaction_is_refused() -> None:
    writer = Writer()
    writer.write(1)
    plain = build_batch([(None, b"v", ())], timestamp_ms=NOW_MS, producer_id=1, producer_epoch=0, base_sequence=0)
    with pytest.raises(KafkaError) as refused:
        writer.log.append_as_leader(memoryview(plain), 0, NOW_MS)
    assert refused.value.code is ErrorCode.INVALID_TXN_STATE


@pytest.mark.parametrize(
    ("epoch", "coordinator_epoch", "is_strict", "error"),
    [
        (4, 1, False, ErrorCode.INVALID_PRODUCER_EPOCH),
        (5, 1, True, ErrorCode.INVALID_PRODUCER_EPOCH),
        (5, 0, False, ErrorCode.TRANSACTION_COORDINATOR_FENCED),
    ],
)
def test_a_marker_from_the_past_is_refused(epoch: int, coordinator_epoch: int, is_strict: bool, error: object) -> None:
    writer = Writer()
    writer.log.append_marker(EndMarker(1, 5, True, 1), 0, NOW_MS, is_strict=False)
    batch = build_batch(
        [(None, b"v", ())], timestamp_ms=NOW_MS, producer_id=1, producer_epoch=5, base_sequence=0, transactional=True
    )
    writer.admit(1)
    writer.log.append_as_leader(memoryview(batch), 0, NOW_MS)
    with pytest.raises(KafkaError) as refused:
        writer.log.append_marker(EndMarker(1, epoch, False, coordinator_epoch), 0, NOW_MS, is_strict)
    assert refused.value.code is error


def test_what_was_asked_about_before_a_marker_is_not_admitted_after_it() -> None:
    writer = Writer()
    producers = writer.log.producers
    token = producers.expect(1)
    writer.end(1, is_commit=False)
    assert not producers.admit(1, token)
    assert producers.admit(1, producers.expect(1))


def test_a_transaction_that_nobody_has_asked_about_cannot_begin() -> None:
    log = open_log(MemoryDisk())
    batch = build_batch(
        [(None, b"v", ())], timestamp_ms=NOW_MS, producer_id=1, producer_epoch=0, base_sequence=0, transactional=True
    )
    with pytest.raises(KafkaError) as refused:
        log.append_as_leader(memoryview(batch), 0, NOW_MS)
    assert refused.value.code is ErrorCode.INVALID_TXN_STATE


def test_a_producer_with_an_open_transaction_does_not_expire() -> None:
    writer = Writer()
    writer.write(1)
    writer.log.producers.expire(NOW_MS + 10**9, 1)
    assert writer.log.producers.has_open(1, 0)


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, PRODUCERS)),
    st.tuples(st.just("write"), st.integers(1, PRODUCERS)),
    st.tuples(st.just("commit"), st.integers(1, PRODUCERS)),
    st.tuples(st.just("abort"), st.integers(1, PRODUCERS)),
    st.tuples(st.just("sync"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 40)),
    st.tuples(st.just("close"), st.just(0)),
    st.tuples(st.just("truncate"), st.integers(0, 6)),
    st.tuples(st.just("lose-index"), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_no_crash_and_no_truncation_changes_what_is_known_of_transactions(steps: list[tuple[str, int]]) -> None:
    writer = Writer()
    for step, argument in steps:
        take_step(writer, step, argument)
        writer.check()


def take_step(writer: Writer, step: str, argument: int) -> None:
    if step == "write":
        writer.write(argument)
    elif step in ("commit", "abort"):
        writer.end(argument, is_commit=step == "commit")
    elif step == "sync":
        sync_all(writer.log, writer.disk)
    elif step == "kill":
        tear_newest_index(writer, argument)
        writer.reopen()
    elif step == "close":
        sync_all(writer.log, writer.disk)
        writer.log.close()
        writer.reopen()
    elif step == "truncate":
        offset = max(writer.log.log_start_offset, writer.log.log_end_offset - argument)
        writer.log.truncate_to(offset)
        writer.model.truncate(offset)
    else:
        lose_unsynced_indexes(writer)
        writer.reopen()


def tear_newest_index(writer: Writer, size_bytes: int) -> None:
    """The process died after the marker and before, or within, the entry of the index."""
    paths = [f"{DIRECTORY}/{name}" for name in writer.disk.list(DIRECTORY) if name.endswith(".txnindex")]
    if paths:
        path = paths[-1]
        kept = max(writer.disk.synced.get(path, 0), writer.disk.size(path) - size_bytes)
        writer.disk.truncate(path, kept)


def lose_unsynced_indexes(writer: Writer) -> None:
    for path in [path for path in writer.disk.files if path.endswith(".txnindex") and not writer.disk.synced.get(path)]:
        writer.disk.delete(path)


def test_the_property_sees_an_index_that_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: a scan that does not say that markers were lost."""
    monkeypatch.setattr("cluster.storage.transaction_index.TransactionIndex.reset", lambda self, has_markers: None)
    writer = Writer()
    writer.write(1)
    writer.end(1, is_commit=False)
    lose_unsynced_indexes(writer)
    writer.reopen()
    with pytest.raises(AssertionError):
        writer.check()


def test_a_log_without_transactions_writes_no_index() -> None:
    disk = MemoryDisk()
    log: Log = open_log(disk)
    log.append_as_leader(memoryview(build_batch([(None, b"v", ())], timestamp_ms=NOW_MS)), 0, NOW_MS)
    assert not [path for path in disk.files if path.endswith(".txnindex")]


def test_questions_that_led_to_nothing_are_forgotten_and_may_be_asked_again() -> None:
    writer = Writer()
    producers = writer.log.producers
    refused = producers.expect(1)
    producers.expire(NOW_MS, 1000)
    assert producers.expect(1) is refused, "its answer may still be under way"
    producers.expire(NOW_MS, 1000)
    assert not producers.admit(1, refused)
    assert producers.admit(1, producers.expect(1))
