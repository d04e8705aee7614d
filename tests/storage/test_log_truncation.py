"""Truncation and the moving start of a log, and a process that dies in the middle of anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import (
    DIRECTORY,
    NOW_MS,
    SMALL_SEGMENTS,
    append,
    batch_of,
    configs,
    fill,
    headers_of,
    log_files,
    open_log,
    producers_of,
    read_all,
    remembered,
    sync_all,
)
from memory_disk import MemoryDisk

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ports import Buffer
from cluster.storage import EpochStart, Log


@pytest.mark.parametrize("offset", [1, 2, 3, 28, 30, 31, 89])
def test_truncation_keeps_the_batches_below_and_none_above(offset: int) -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    batches = fill(log, 30)
    assert log.truncate_to(offset)
    kept = offset // 3
    for found in (log, open_log(disk)):
        assert found.log_end_offset == kept * 3, "a batch that holds the offset goes as a whole"
        assert read_all(found) == b"".join(batches[:kept])
    again = fill(log, 40)
    assert read_all(log) == b"".join(batches[:kept] + again) == read_all(open_log(disk))


def test_there_is_nothing_to_truncate_at_the_end() -> None:
    log = open_log(MemoryDisk())
    fill(log, 3, epoch=1)
    log.assign_epoch(2)
    assert not log.truncate_to(10)
    assert not log.truncate_to(9)
    assert log.epochs == (EpochStart(1, 0),), "an epoch without records goes all the same"


def test_truncation_takes_epochs_and_producers_with_it() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    for number in range(20):
        append(log, batch_of(2, producer=(number % 2, 0, number // 2 * 2)), epoch=number // 5)
    for offset in (33, 20, 7):
        log.truncate_to(offset)
        assert remembered(log.producers) == producers_of(read_all(log)) == remembered(open_log(disk).producers)
        assert log.latest_epoch == headers_of(read_all(log))[-1].leader_epoch
    assert log.truncate_to(0)
    assert (len(log.producers), log.epochs, log.log_end_offset) == (0, (), 0)


def test_a_snapshot_of_records_that_are_gone_is_gone_too() -> None:
    """Otherwise a later start would take over a snapshot that knows nothing of the records written since."""
    disk = MemoryDisk()
    log = open_log(disk, configs())
    fill(log, 30)
    log.close()
    log = open_log(disk, configs())
    log.truncate_to(10)
    for sequence in range(10):
        append(log, batch_of(9, producer=(4, 0, sequence * 9)))
    fill(log, 10)
    assert remembered(open_log(disk, configs()).producers) == producers_of(read_all(log)) != []


def test_truncation_cuts_the_indexes_too() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs(index_interval_bytes=200))
    for number in range(9):
        append(log, batch_of(1, size=100, timestamp_ms=NOW_MS + number * 100))
    log.truncate_to(6)
    append(log, batch_of(1, timestamp_ms=NOW_MS + 5))
    assert log.offset_for_timestamp(NOW_MS + 501) is None
    for found in (log, open_log(disk, configs(index_interval_bytes=200))):
        newest = found.max_timestamp_offset()
        assert newest is not None and (newest.timestamp, newest.offset) == (NOW_MS + 500, 5)


def test_the_recovery_point_is_lowered_before_anything_is_cut() -> None:
    """Otherwise a crash in between would leave records that are not synced below it, once new ones are appended."""
    for cut in (lambda log: log.truncate_to(50), lambda log: log.truncate_fully_and_start_at(50)):
        disk = DyingDisk()
        log = open_log(disk)
        fill(log, 40)
        sync_all(log, disk)
        log.close()
        sizes = [disk.size(path) for path in log_files(disk)]
        disk.changes_left = 1
        with pytest.raises(Killed):
            cut(log)
        assert [disk.size(path) for path in log_files(disk)] == sizes
        assert disk.files[f"{DIRECTORY}/recovery-point-offset-checkpoint"] == b"0\n1\norders 0 50\n"


def test_a_log_can_begin_anew_at_any_offset() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 30, epoch=2)
    sync_all(log, disk)
    log.truncate_fully_and_start_at(1000)
    for found in (log, open_log(disk)):
        assert (found.log_start_offset, found.log_end_offset) == (1000, 1000)
        assert (found.epochs, found.size_bytes) == ((), 0)
    append(log, batch_of(1), epoch=3)
    assert open_log(disk).log_end_offset == 1001
    log.truncate_fully_and_start_at(50)
    assert (open_log(disk).log_start_offset, open_log(disk).log_end_offset) == (50, 50)


def test_the_start_moves_only_forward_and_takes_whole_segments() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 30, epoch=1)
    fill(log, 30, epoch=2)
    bases = [segment.base_offset for segment in log.segments]
    log.advance_log_start_offset(bases[2] + 1)
    log.advance_log_start_offset(5)
    for found in (log, open_log(disk)):
        assert found.log_start_offset == bases[2] + 1
        assert [segment.base_offset for segment in found.segments] == bases[2:]
        assert found.epochs[0] == EpochStart(1, bases[2] + 1)
    log.advance_log_start_offset(log.log_end_offset)
    assert read_all(log) == b""
    assert (log.epochs, len(log.segments)) == ((EpochStart(2, 180),), 1)
    with pytest.raises(KafkaError) as raised:
        log.advance_log_start_offset(181)
    assert raised.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    assert all(int(path[-24:-4]) >= bases[-1] for path in log_files(disk))
    assert not [name for name in disk.list(DIRECTORY) if name.endswith(".snapshot") and int(name[:20]) < bases[-1]]


def test_retention_asks_for_old_or_excess_segments_below_what_is_committed() -> None:
    log = open_log(MemoryDisk())
    fill(log, 60)
    bases = [segment.base_offset for segment in log.segments]
    assert log.retention_offset(NOW_MS + 1000, 180) == 0
    log.reconfigure(configs(retention_ms=100))
    assert log.retention_offset(NOW_MS, 180) == 0
    assert log.retention_offset(NOW_MS + 1_000_000, 180) == 180, "all of it"
    assert log.retention_offset(NOW_MS + 1_000_000, 179) == bases[-1], "nothing that is not committed"
    assert log.retention_offset(NOW_MS + 1_000_000, bases[2] + 1) == bases[2]
    log.reconfigure(configs(retention_ms=-1, retention_bytes=log.size_bytes - log.segments[0].size_bytes))
    assert log.retention_offset(NOW_MS + 1_000_000, 180) == bases[1]
    log.reconfigure(configs(retention_ms=-1))
    assert log.retention_offset(NOW_MS + 1_000_000_000, 180) == 0


class Killed(BaseException):
    """The process died."""


class DyingDisk(MemoryDisk):
    """A disk whose process dies in the middle of a given change; a write gets half of its bytes out."""

    changes_left = 10**9

    def _count(self) -> None:
        self.changes_left -= 1
        if self.changes_left < 0:
            raise Killed

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        joined = b"".join(bytes(chunk) for chunk in chunks)
        if self.changes_left == 0:
            super().append(path, (joined[: len(joined) // 2],))
        self._count()
        super().append(path, chunks)

    def truncate(self, path: str, size_bytes: int) -> None:
        self._count()
        super().truncate(path, size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        self._count()
        super().replace(path, content)

    def delete(self, path: str) -> None:
        self._count()
        super().delete(path)


Step = Callable[[Log, MemoryDisk, int, int], object]

STEPS: dict[str, Step] = {
    "append": lambda log, _, number, epoch: append(log, batch_of(number % 3 + 1, size=number), epoch),
    "fill": lambda log, _, number, epoch: fill(log, 12, epoch=epoch),
    "lead": lambda log, _, number, epoch: log.assign_epoch(epoch),
    "truncate": lambda log, _, number, epoch: log.truncate_to(_at_percent(log, number)),
    "start anew": lambda log, _, number, epoch: log.truncate_fully_and_start_at(log.log_end_offset + number),
    "advance": lambda log, _, number, epoch: log.advance_log_start_offset(_at_percent(log, number)),
    "flush": lambda log, disk, number, epoch: sync_all(log, disk),
    "close": lambda log, _, number, epoch: log.close(),
}
"""What can happen to a log; each step has a number to vary it and a leader epoch of its own."""


def _at_percent(log: Log, percent: int) -> int:
    return log.log_start_offset + (log.log_end_offset - log.log_start_offset) * percent // 100


def _batches(log: Log) -> dict[int, int]:
    """The batches that can be read: base offsets and checksums."""
    return {header.base_offset: header.crc for header in headers_of(read_all(log))}


@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 99)), min_size=1, max_size=10),
    changes=st.integers(0, 120),
)
@settings(deadline=None, max_examples=100)
def test_whatever_a_process_was_doing_when_it_died_the_log_is_from_before_or_after(
    steps: list[tuple[str, int]], changes: int
) -> None:
    immortal = MemoryDisk()
    log = open_log(immortal)
    states = [_batches(log)]
    for epoch, (name, number) in enumerate(steps):
        STEPS[name](log, immortal, number, epoch)
        states.append(_batches(log))
    disk = DyingDisk()
    log = open_log(disk)
    disk.changes_left = changes
    done = 0
    with suppress(Killed):
        for epoch, (name, number) in enumerate(steps):
            STEPS[name](log, disk, number, epoch)
            done += 1
    disk.changes_left = 10**9

    again = open_log(disk)
    before, after = states[done], states[min(done + 1, len(steps))]
    found = _batches(again)
    assert found.items() <= before.items() | after.items()
    assert found.items() >= before.items() & after.items()
    epochs = {header.base_offset: header.leader_epoch for header in headers_of(read_all(again))}
    for entry in again.epochs[1:]:
        assert epochs[entry.start_offset] == entry.epoch
    fill(again, 20, epoch=len(steps))
    assert _batches(open_log(disk)) == _batches(again)


def test_the_steps_of_the_crash_test_do_what_they_are_called() -> None:
    disk = DyingDisk()
    log = open_log(disk, SMALL_SEGMENTS)
    for name in sorted(STEPS):
        STEPS["fill"](log, disk, 0, 0)
        STEPS[name](log, disk, 50, max(0, log.latest_epoch))
    disk.changes_left = 0
    with pytest.raises(Killed):
        append(log, batch_of(1), log.latest_epoch)


def test_a_log_whose_records_are_all_too_old_is_emptied_and_goes_on_where_it_ended() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 5, epoch=2)
    log.roll()
    log.advance_log_start_offset(15)
    assert (log.log_start_offset, log.log_end_offset, log.size_bytes, len(log.segments)) == (15, 15, 0, 1)
    log.roll()
    assert len(log.segments) == 1, "an empty segment is not closed"
    fill(open_log(disk), 1, epoch=2)
    assert open_log(disk).log_end_offset == 18
