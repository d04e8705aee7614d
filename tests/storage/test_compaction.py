"""Compaction keeps the last value of every key, and breaks neither offsets nor sequence numbers nor readers."""

from __future__ import annotations

import pytest
from compacted_histories import COMPACTED, DAY_MS, Written, compact_fully, compacted, latest, records_of, walk, write
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import NOW_MS, headers_of, open_log, producers_of, remembered, sync_all
from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import build_batch, read_records
from cluster.storage import EpochStart, Log, compact, dirt_of
from cluster.storage.compaction import STEP_BYTES

FILLER = "x" * 40

HISTORIES = st.lists(
    st.lists(
        st.builds(
            Written,
            key=st.sampled_from("abcdef"),
            value=st.one_of(st.none(), st.text("xyz", min_size=0, max_size=60)),
            producer=st.just(-1),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=60,
)


def log_of(batches: list[list[Written]], given: Configs = COMPACTED) -> tuple[Log, MemoryDisk, bytes]:
    """A synced log with these batches, and its bytes."""
    disk = MemoryDisk()
    log = open_log(disk, given)
    sequences: dict[int, int] = {}
    content = b"".join(write(log, *batch, sequences=sequences) for batch in batches)
    sync_all(log, disk)
    return log, disk, content


def keyed(count: int, keys: str = "ab") -> list[list[Written]]:
    """So many batches of one record, whose keys take turns."""
    return [[Written(keys[number % len(keys)], f"{number}-{FILLER}")] for number in range(count)]


@given(batches=HISTORIES, more=HISTORIES)
@settings(deadline=None, max_examples=100)
def test_the_last_value_of_every_key_stays_at_its_offset(
    batches: list[list[Written]], more: list[list[Written]]
) -> None:
    log, disk, content = log_of(batches)
    for history in (more, more[:3]):
        originals = list(read_records(content))
        compact_fully(log, disk)
        found = records_of(log)
        assert latest(found) == latest(originals)
        by_offset = {record.offset: record for record in originals}
        assert all(by_offset[record.offset] == record for record in found)
        assert log.log_end_offset == originals[-1].offset + 1
        content += b"".join(write(log, *batch) for batch in history)
        sync_all(log, disk)
        assert latest(records_of(open_log(disk.copy(), COMPACTED))) == latest(list(read_records(content)))


def test_superseded_records_go_and_the_log_shrinks() -> None:
    log, disk, _ = log_of(keyed(100))
    before = log.size_bytes
    assert compact_fully(log, disk)
    assert log.size_bytes < before / 3
    closed = [record for record in records_of(log) if record.offset < log.segments[-1].base_offset]
    assert sorted(record.key or b"" for record in closed) == [b"a", b"b"]
    assert not compact_fully(log, disk), "what is clean is left alone"


def test_the_active_segment_and_what_is_not_synced_are_left_alone() -> None:
    disk = MemoryDisk()
    log = open_log(disk, COMPACTED)
    for batch in keyed(30):
        write(log, *batch)
    assert not compact_fully(log, disk)
    sync_all(log, disk)
    active = log.segments[-1]
    assert compact_fully(log, disk)
    assert log.segments[-1] is active


def test_what_is_not_stable_is_left_alone() -> None:
    log, _, _ = log_of(keyed(100))
    second = log.segments[1].base_offset
    assert dirt_of(log, second, NOW_MS).end_offset == second
    assert dirt_of(log, second - 1, NOW_MS).end_offset == 0


def test_records_younger_than_the_lag_are_left_alone_and_old_ones_are_overdue() -> None:
    log, _, _ = log_of(keyed(100), compacted(min_compaction_lag_ms="1000", min_cleanable_dirty_ratio="1"))
    rules = log.settings.cleaning
    assert dirt_of(log, log.log_end_offset, NOW_MS + 999).end_offset == 0
    waiting = dirt_of(log, log.log_end_offset, NOW_MS + 1001)
    assert waiting.end_offset == log.segments[-1].base_offset and not waiting.is_due(rules)
    log.reconfigure(compacted(max_compaction_lag_ms="5000", min_cleanable_dirty_ratio="1"))
    assert not dirt_of(log, log.log_end_offset, NOW_MS + 4999).is_due(log.settings.cleaning)
    assert dirt_of(log, log.log_end_offset, NOW_MS + 5001).is_due(log.settings.cleaning)


def test_the_dirty_ratio_counts_what_compaction_has_not_seen() -> None:
    log, disk, _ = log_of(keyed(100), compacted(min_cleanable_dirty_ratio="0.5"))
    assert dirt_of(log, log.log_end_offset, NOW_MS).ratio == 1.0
    assert compact_fully(log, disk)
    assert dirt_of(log, log.log_end_offset, NOW_MS).ratio == 0.0


def test_a_tombstone_stays_for_its_time_and_then_goes() -> None:
    log, disk, _ = log_of(
        [[Written("a", "old")], [Written("a", None)], *keyed(60, "bc")], compacted(delete_retention_ms="1000")
    )
    compact_fully(log, disk, NOW_MS)
    assert (b"a", None) in [(record.key, record.value) for record in records_of(log)], "a reader must see the delete"
    horizons = [header.delete_horizon_ms for header in headers_of(walk(log))]
    assert NOW_MS + 1000 in horizons
    timestamps = [record.timestamp for record in records_of(log) if record.key == b"a"]
    assert timestamps == [NOW_MS], "the horizon takes the base timestamp's place, not the record's"
    for now_ms, stays in ((NOW_MS + 999, True), (NOW_MS + 1000, False)):
        for batch in keyed(30, "bc"):
            write(log, *batch)
        sync_all(log, disk)
        compact_fully(log, disk, now_ms)
        assert (b"a" in [record.key for record in records_of(log)]) is stays


def test_a_producers_last_batch_stays_as_a_header_with_its_sequence_numbers() -> None:
    batches = [[Written("a", f"{number}-{FILLER}", producer=7)] for number in range(20)]
    batches += [[Written("a", f"{number}-{FILLER}", producer=8)] for number in range(40)]
    log, disk, _ = log_of(batches)
    compact_fully(log, disk, NOW_MS)
    kept = [header for header in headers_of(walk(log)) if header.producer_id == 7]
    assert (kept[-1].record_count, kept[-1].last_offset, kept[-1].last_sequence) == (0, 19, 19)
    assert len(kept) < 5, "the others are the ends of segments"
    expected = [(id_, epoch, batches[-1:]) for id_, epoch, batches in producers_of(walk(log))]
    for name in [name for name in disk.files if name.endswith(".snapshot")]:
        disk.delete(name)
    again = open_log(disk, COMPACTED)
    assert [(id_, epoch, batches[-1:]) for id_, epoch, batches in remembered(again.producers)] == expected


def test_readers_get_to_the_end_although_the_last_records_of_a_segment_are_gone() -> None:
    log, disk, _ = log_of(keyed(60, "a"))
    compact_fully(log, disk)
    closed = log.segments[0]
    assert closed.next_offset == log.segments[1].base_offset
    last = headers_of(walk(log))[0]
    assert (last.record_count, last.next_offset) == (0, closed.next_offset), "KAFKA-17076"


def test_a_follower_copies_a_log_with_gaps_and_finds_it_again_after_a_loss_of_power() -> None:
    leader, disk, _ = log_of([[Written("k", "v")], *keyed(100)])
    compact_fully(leader, disk)
    copy = MemoryDisk()
    follower = open_log(copy, COMPACTED)
    while follower.log_end_offset < leader.log_end_offset:
        part = leader.read(follower.log_end_offset, 400, leader.log_end_offset, at_least_one=True)
        follower.append_as_follower(part, NOW_MS)
    assert walk(follower) == walk(leader)
    copy.lose_power(survivors_percent=100)
    assert walk(open_log(copy, COMPACTED)) == walk(leader), "its gaps are no damage"


def test_a_gap_in_a_log_that_was_never_compacted_is_damage() -> None:
    log, disk, content = log_of(keyed(6))
    first, second = headers_of(content)[:2]
    path = log.segments[0].path
    del disk.files[path][first.size_bytes : first.size_bytes + second.size_bytes]
    disk.files["orders-0/recovery-point-offset-checkpoint"] = bytearray()
    assert open_log(disk, COMPACTED).log_end_offset == 1


def test_more_keys_than_memory_holds_take_several_compactions() -> None:
    batches = [[Written(f"key-{number % 50:02}", f"{number}-{FILLER}")] for number in range(300)]
    tight = Configs({**COMPACTED.values, "log.cleaner.dedupe.buffer.size": str(156 * 20)})
    log, disk, content = log_of(batches, tight)
    rounds = 0
    while compact_fully(log, disk):
        rounds += 1
        assert latest(records_of(log)) == latest(list(read_records(content)))
    assert rounds > 5
    closed = [record for record in records_of(log) if record.offset < log.segments[-1].base_offset]
    assert len(closed) <= 60, "at most a few superseded ones are left of 290"


def test_small_segments_become_one() -> None:
    log, disk, _ = log_of(keyed(100))
    before = len(log.segments)
    compact_fully(log, disk)
    for batch in keyed(60):
        write(log, *batch)
    sync_all(log, disk)
    compact_fully(log, disk)
    assert before + 6 > len(log.segments) and log.segments[0].next_offset > 30
    assert [segment.base_offset for segment in open_log(disk, COMPACTED).segments] == [
        segment.base_offset for segment in log.segments
    ]


@pytest.mark.parametrize("lost", ["head", "tail"])
def test_a_log_that_loses_its_head_or_its_tail_meanwhile_keeps_what_is_left(lost: str) -> None:
    log, disk, _ = log_of(keyed(100))
    steps = compact(log, dirt_of(log, log.log_end_offset, NOW_MS), NOW_MS)
    path = next(path for path in steps if path is not None)
    if lost == "head":
        log.advance_log_start_offset(log.segments[2].base_offset)
    else:
        log.truncate_to(log.segments[0].base_offset + 2)
    assert list(steps) == [] and not disk.exists(path)
    assert [record.offset for record in records_of(log)] == list(range(log.log_start_offset, log.log_end_offset))


def test_truncation_makes_what_comes_after_it_dirty_again() -> None:
    log, disk, _ = log_of(keyed(100))
    compact_fully(log, disk)
    log.truncate_to(40)
    assert dirt_of(log, log.log_end_offset, NOW_MS).first_offset <= 40


def test_timestamps_are_found_in_what_is_left() -> None:
    disk = MemoryDisk()
    log = open_log(disk, COMPACTED)
    for number in range(60):
        write(log, Written("ab"[number % 2], FILLER), timestamp_ms=NOW_MS + number)
    sync_all(log, disk)
    compact_fully(log, disk, NOW_MS + DAY_MS)
    found = log.offset_for_timestamp(NOW_MS)
    assert found is not None and found.offset == records_of(log)[0].offset
    newest = log.max_timestamp_offset()
    assert newest is not None and newest.timestamp == NOW_MS + 59


def test_leader_epochs_stay_known() -> None:
    log, disk, _ = log_of(keyed(50))
    log.assign_epoch(3)
    for batch in keyed(50):
        write_in_epoch(log, batch, 3)
    sync_all(log, disk)
    compact_fully(log, disk)
    assert log.epochs == (EpochStart(0, 0), EpochStart(3, 50)) == open_log(disk, COMPACTED).epochs


def write_in_epoch(log: Log, batch: list[Written], epoch: int) -> None:
    value = (batch[0].value or "").encode()
    log.append_as_leader(
        memoryview(build_batch([(batch[0].key.encode(), value, ())], timestamp_ms=NOW_MS)), epoch, NOW_MS
    )


@pytest.mark.parametrize("codec", range(5))
def test_compressed_batches_stay_compressed(codec: int) -> None:
    disk = MemoryDisk()
    log = open_log(disk, COMPACTED)
    for number in range(40):
        records = [(b"ab"[:1], FILLER.encode() * 3, ()), (f"own-{number}".encode(), FILLER.encode() * 3, ())]
        log.append_as_leader(memoryview(build_batch(records, timestamp_ms=NOW_MS, compression=codec)), 0, NOW_MS)
    sync_all(log, disk)
    before = records_of(log)
    compact_fully(log, disk)
    assert latest(records_of(log)) == latest(before)
    assert len(records_of(log)) < len(before)
    assert {header.compression for header in headers_of(walk(log)) if header.record_count} == {codec}


def test_the_work_between_two_pauses_is_bounded_however_little_is_left_of_a_segment() -> None:
    disk = MemoryDisk()
    log = open_log(disk, compacted(segment_bytes="2000000"))
    for _ in range(2000):
        write(log, Written("a", "x" * 1000))
    sync_all(log, disk)
    steps = compact(log, dirt_of(log, log.log_end_offset, NOW_MS), NOW_MS)
    read_before, most = disk.read_bytes, 0
    for path in steps:
        most = max(most, disk.read_bytes - read_before)
        read_before = disk.read_bytes
        if path is not None:
            disk.sync_now(path)
    assert log.segments[0].size_bytes < 2000 and most < 10 * STEP_BYTES


@pytest.mark.parametrize("byte_from_end", [1, 60])
def test_damaged_records_are_not_written_anew_under_a_sound_checksum(byte_from_end: int) -> None:
    log, disk, _ = log_of([[Written(f"{number % 7}", f"{number}-{FILLER}")] for number in range(60)])
    segment = log.cleaning.closed_segments[0]
    disk.damage(segment.path, segment.size_bytes - byte_from_end)  # in the last batch of the segment
    before = bytes(disk.files[segment.path])
    with pytest.raises(KafkaError) as refused:
        compact_fully(log, disk)
    assert refused.value.code is ErrorCode.CORRUPT_MESSAGE
    assert bytes(disk.files[segment.path]) == before


def test_what_a_refused_compaction_had_begun_to_write_does_not_stay() -> None:
    log, disk, _ = log_of(keyed(100))
    compact_fully(log, disk)
    clean = log.cleaning.closed_segments[0]
    disk.damage(clean.path, clean.size_bytes - 1)
    for batch in keyed(60):
        write(log, *batch)
    sync_all(log, disk)
    before = {path: bytes(content) for path, content in disk.files.items()}
    with pytest.raises(KafkaError):
        compact_fully(log, disk)
    assert {path: bytes(content) for path, content in disk.files.items()} == before
