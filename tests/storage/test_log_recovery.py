"""A log comes back after any crash: every batch before the damage is intact, and nothing after it is believed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import (
    DIRECTORY,
    NOW_MS,
    append,
    batch_of,
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

from cluster.storage import EpochStart, Log

EPOCH_FIELD = range(12, 16)


@dataclass(frozen=True)
class Write:
    """One batch of a history, and whether the log is flushed behind it."""

    record_count: int
    size: int
    epoch_step: int
    producer: int
    flushed: bool


WRITES = st.lists(
    st.builds(
        Write,
        record_count=st.integers(1, 4),
        size=st.integers(0, 150),
        epoch_step=st.sampled_from([0, 0, 0, 1]),
        producer=st.sampled_from([-1, 5, 6]),
        flushed=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=30,
)


def written_log(disk: MemoryDisk, writes: list[Write]) -> tuple[Log, list[bytes]]:
    """A log with this history, and its batches."""
    log = open_log(disk)
    epoch = 0
    sequences = {5: 0, 6: 0}
    batches = []
    for write in writes:
        epoch += write.epoch_step
        producer = (write.producer, 0, sequences[write.producer]) if write.producer >= 0 else None
        batch = batch_of(write.record_count, size=write.size, producer=producer, timestamp_ms=NOW_MS + len(batches))
        if producer is not None:
            sequences[write.producer] += write.record_count
        append(log, batch, epoch)
        batches.append(bytes(batch))
        if write.flushed:
            sync_all(log, disk)
    return log, batches


def epochs_of(content: bytes) -> tuple[EpochStart, ...]:
    starts: list[EpochStart] = []
    for header in headers_of(content):
        if not starts or header.leader_epoch > starts[-1].epoch:
            starts.append(EpochStart(header.leader_epoch, header.base_offset))
    return tuple(starts)


def assert_sound(log: Log, expected: bytes) -> None:
    """The log holds exactly `expected`, and all that is derived from it says the same."""
    assert read_all(log) == expected == read_all(log, max_bytes=300)
    headers = headers_of(expected)
    assert log.log_end_offset == (headers[-1].next_offset if headers else 0)
    assert log.recovery_point <= log.log_end_offset
    assert log.epochs == epochs_of(expected)
    assert remembered(log.producers) == producers_of(expected)
    for header in headers:
        assert headers_of(log.read(header.last_offset, 1, log.log_end_offset, at_least_one=True))[0] == header
        found = log.offset_for_timestamp(header.max_timestamp)
        assert found is not None and found.offset == header.base_offset


def assert_usable(log: Log, disk: MemoryDisk, expected: bytes) -> None:
    """The log goes on where it ends, and the next start finds the same."""
    batch = batch_of(2, timestamp_ms=NOW_MS + 1000)
    append(log, batch, max(0, log.latest_epoch))
    assert_sound(log, expected + batch)
    assert_sound(open_log(disk), expected + batch)


@given(writes=WRITES, data=st.data())
@settings(deadline=None, max_examples=200)
def test_cut_or_corrupt_anywhere_every_batch_before_the_damage_is_intact(
    writes: list[Write], data: st.DataObject
) -> None:
    disk = MemoryDisk()
    _, batches = written_log(disk, [Write(w.record_count, w.size, w.epoch_step, w.producer, False) for w in writes])
    position = data.draw(st.integers(0, sum(map(len, batches)) - 1), label="position")
    kind = data.draw(st.sampled_from(["cut", "flip", "zeros", "junk behind"]), label="damage")
    intact, within = _batches_before(batches, position)
    _damage(disk, position, kind)
    for path in [
        path for path in disk.files if path.endswith(data.draw(st.sampled_from([".index", ".snapshot", "-"])))
    ]:
        disk.files[path] = disk.files[path][:-3]
    log = open_log(disk)
    if kind == "junk behind":
        intact = b"".join(batches)
    elif kind != "cut" and within in EPOCH_FIELD:
        # The checksum leaves the leader's epoch out: the batch may pass. What precedes it is intact all the same.
        assert read_all(log).startswith(intact)
        return
    assert_sound(log, intact)
    assert_usable(log, disk, intact)


def _batches_before(batches: list[bytes], position: int) -> tuple[bytes, int]:
    """The batches that end at or before a position of the log, and where in the next batch the position is."""
    end = 0
    for batch in batches:
        if end + len(batch) > position:
            break
        end += len(batch)
    return b"".join(batches)[:end], position - end


def _damage(disk: MemoryDisk, position: int, kind: str) -> None:
    for path in log_files(disk):
        content = disk.files[path]
        if position >= len(content):
            position -= len(content)
        elif kind == "cut":
            del content[position:]
            return
        elif kind == "flip":
            content[position] ^= 0x41
            return
        elif kind == "zeros":
            zeros = 0 if any(content[position:]) else 1
            content[position:] = bytes([zeros]) * (len(content) - position)
            content[position] ^= 0xFF if content[position] == 0 else 0
            return
        else:
            break
    disk.files[log_files(disk)[-1]] += b"\x00\x01junk" * 30


@given(writes=WRITES, survivors_percent=st.integers(0, 100), data=st.data())
@settings(deadline=None, max_examples=200)
def test_a_loss_of_power_takes_nothing_that_was_flushed(
    writes: list[Write], survivors_percent: int, data: st.DataObject
) -> None:
    disk = MemoryDisk()
    log, batches = written_log(disk, writes)
    if data.draw(st.booleans(), label="closed"):
        log.close()
    flushed_offset = log.recovery_point
    disk.lose_power(survivors_percent)
    again = open_log(disk)
    content = read_all(again)
    assert b"".join(batches).startswith(content)
    assert again.log_end_offset >= flushed_offset
    assert_sound(again, content)
    assert_usable(again, disk, content)


@given(writes=WRITES)
@settings(deadline=None, max_examples=40)
def test_a_clean_stop_needs_no_scan_and_a_kill_loses_nothing(writes: list[Write]) -> None:
    disk = MemoryDisk()
    log, batches = written_log(disk, writes)
    assert_sound(open_log(disk.copy()), b"".join(batches))
    sync_all(log, disk)
    log.close()
    assert_sound(open_log(disk), b"".join(batches))


def test_after_a_clean_stop_only_the_tails_of_segments_are_read() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 300)
    sync_all(log, disk)
    killed = disk.copy()
    log.close()
    disk.read_bytes = killed.read_bytes = 0
    assert open_log(disk).log_end_offset == open_log(killed).log_end_offset == 900
    assert log.size_bytes < killed.read_bytes
    for path in log_files(disk)[:-1]:
        disk.files[path][100] ^= 1  # a scan would cut here
    assert open_log(disk).log_end_offset == 900


def test_a_flushed_segment_that_became_shorter_all_the_same_is_noticed() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    batches = fill(log, 60)
    sync_all(log, disk)
    log.close()
    first = log_files(disk)[0]
    del disk.files[first][-5:]
    again = open_log(disk)
    kept = len(disk.files[first]) // len(batches[0])
    assert read_all(again) == b"".join(batches[:kept])
    assert log_files(disk) == [first], "what lies behind a gap is not believed"
    assert again.recovery_point == again.log_end_offset == kept * 3


def test_a_lost_segment_ends_the_log_before_it() -> None:
    disk = MemoryDisk()
    fill(open_log(disk), 60)
    files = log_files(disk)
    disk.delete(files[2])
    assert open_log(disk).log_end_offset == int(files[2].split("/")[1].split(".")[0])


def test_batches_of_an_older_history_behind_newer_ones_are_ghosts() -> None:
    """Power is lost after a truncation: the file's old tail may come back, sound and at the right offsets."""
    disk = MemoryDisk()
    log = open_log(disk)
    old = fill(log, 5, epoch=1)
    log.truncate_to(6)
    new = fill(log, 1, epoch=2)
    disk.files[log_files(disk)[0]] += b"".join(old[3:])
    assert read_all(open_log(disk)) == b"".join([*old[:2], *new])


@pytest.mark.parametrize("lost", ["leader-epoch-checkpoint", "recovery-point-offset-checkpoint"])
@pytest.mark.parametrize("content", [None, b"", b"0\n2\n0 0\n", b"0\n1\nnobody knows\n", b"\xff\xfe"])
def test_a_lost_or_damaged_checkpoint_is_made_anew(lost: str, content: bytes | None) -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    batches = fill(log, 20, epoch=1) + fill(log, 20, epoch=2)
    sync_all(log, disk)
    log.close()
    disk.delete(f"{DIRECTORY}/{lost}")
    if content is not None:
        disk.replace(f"{DIRECTORY}/{lost}", content)
    assert_sound(open_log(disk), b"".join(batches))


def test_opening_an_empty_directory_twice_gives_an_empty_log() -> None:
    disk = MemoryDisk()
    assert read_all(open_log(disk)) == b""
    log = open_log(disk)
    assert (log.log_start_offset, log.log_end_offset, log.latest_epoch, log.size_bytes) == (0, 0, -1, 0)
