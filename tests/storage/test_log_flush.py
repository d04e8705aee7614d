"""flush.messages and flush.ms, the recovery point, and flushes that something gets in the way of."""

from __future__ import annotations

from log_histories import DIRECTORY, NOW_MS, append, batch_of, configs, fill, log_files, open_log, sync_all
from memory_disk import MemoryDisk

CHECKPOINT = f"{DIRECTORY}/recovery-point-offset-checkpoint"


def test_nothing_is_ever_due_by_default() -> None:
    log = open_log(MemoryDisk(), configs())
    fill(log, 20)
    assert not log.flush_due(NOW_MS + 10**12)


def test_flush_messages_counts_records_since_the_last_flush() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs().for_topic({"flush.messages": "4"}))
    due = []
    for _ in range(3):
        append(log, batch_of(2))
        due.append(log.flush_due(NOW_MS))
        if due[-1]:
            sync_all(log, disk)
            assert log.recovery_point == log.log_end_offset and not log.flush_due(NOW_MS)
    assert due == [False, True, False]


def test_flush_ms_is_the_age_of_the_oldest_record_that_is_not_synced() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs().for_topic({"flush.ms": "100"}))
    assert not log.flush_due(NOW_MS + 10**6), "an empty log has no age"
    append(log, batch_of(1), now_ms=NOW_MS + 1000)
    append(log, batch_of(1), now_ms=NOW_MS + 1090)
    assert not log.flush_due(NOW_MS + 1099)
    assert log.flush_due(NOW_MS + 1100)
    sync_all(log, disk, NOW_MS + 1100)
    assert not log.flush_due(NOW_MS + 10**6)


def test_a_flush_covers_every_segment_since_the_recovery_point() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 10)
    sync_all(log, disk)
    fill(log, 40)
    assert log.has_closed_unflushed
    flush = log.begin_flush()
    assert flush.offset == 150
    assert [path for path in flush.paths if path.endswith(".log")] == log_files(disk)[
        [segment.next_offset > 30 for segment in log.segments].index(True) :
    ]
    assert all(disk.exists(path) for path in flush.paths)
    fill(log, 1)
    for path in flush.paths:
        disk.sync_now(path)
    log.finish_flush(flush, NOW_MS)
    assert (log.recovery_point, log.has_closed_unflushed) == (150, False)


def test_a_truncation_in_between_makes_a_flush_worthless() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 10)
    flush = log.begin_flush()
    log.truncate_to(6)
    fill(log, 20)
    log.finish_flush(flush, NOW_MS)
    assert log.recovery_point == 0


def test_an_older_flush_that_ends_later_takes_nothing_back() -> None:
    log = open_log(MemoryDisk())
    fill(log, 1)
    older = log.begin_flush()
    fill(log, 1)
    log.finish_flush(log.begin_flush(), NOW_MS)
    log.finish_flush(older, NOW_MS)
    assert log.recovery_point == 6


def test_records_that_are_cut_are_no_longer_called_durable_before_they_go() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 40)
    sync_all(log, disk)
    log.close()
    assert disk.files[CHECKPOINT] == b"0\n1\norders 0 120\n"
    log.truncate_to(50)
    assert log.recovery_point == log.log_end_offset == 48
    assert disk.files[CHECKPOINT] == b"0\n1\norders 0 48\n"


def test_the_checkpoint_is_not_written_at_every_flush() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs())
    fill(log, 1)
    sync_all(log, disk, NOW_MS + 59_999)
    assert not disk.exists(CHECKPOINT)
    fill(log, 1)
    sync_all(log, disk, NOW_MS + 60_000)
    assert disk.files[CHECKPOINT] == b"0\n1\norders 0 6\n"
