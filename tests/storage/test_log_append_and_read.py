"""Appending and reading: offsets, stamps, rolls, limits, and what a reader gets for its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import (
    DIRECTORY,
    NOW_MS,
    append,
    batch_of,
    configs,
    fill,
    headers_of,
    log_files,
    open_log,
    read_all,
)
from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import check_batches, iterate_headers, read_header, read_records


def test_a_leader_gives_offsets_and_its_epoch_and_writes_the_same_buffer() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs())
    two = batch_of(3) + batch_of(2)
    appended = append(log, two, epoch=7)
    assert (appended.first_offset, appended.last_offset, appended.duplicate) == (0, 4, False)
    assert appended.log_append_time_ms == -1
    assert [(header.base_offset, header.leader_epoch) for header in appended.batches] == [(0, 7), (3, 7)]
    assert disk.files[log_files(disk)[0]] == two, "stamped in place"
    assert list(appended.batches) == [header for _, header in check_batches(memoryview(two), 1000)]
    assert append(log, batch_of(1), epoch=7).first_offset == 5


def test_a_follower_keeps_what_the_leader_stamped() -> None:
    leader, follower = open_log(MemoryDisk()), open_log(MemoryDisk())
    fill(leader, 10, epoch=3)
    fill(leader, 10, epoch=5)
    while follower.log_end_offset < leader.log_end_offset:
        part = leader.read(follower.log_end_offset, 700, leader.log_end_offset, at_least_one=True)
        appended = follower.append_as_follower(part, NOW_MS)
        assert appended.last_offset == follower.log_end_offset - 1
    assert read_all(follower) == read_all(leader)
    assert follower.epochs == leader.epochs


def test_a_follower_refuses_damage_and_takes_nothing_of_it() -> None:
    leader, follower = open_log(MemoryDisk()), open_log(MemoryDisk())
    fill(leader, 2)
    damaged = bytearray(read_all(leader))
    damaged[-1] ^= 1
    with pytest.raises(KafkaError) as raised:
        follower.append_as_follower(damaged, NOW_MS)
    assert raised.value.code is ErrorCode.CORRUPT_MESSAGE
    assert follower.log_end_offset == 0
    follower.append_as_follower(read_all(leader), NOW_MS)
    with pytest.raises(KafkaError, match="ends at 6"):
        follower.append_as_follower(leader.read(3, 1, 6, at_least_one=True), NOW_MS)


def test_a_follower_refuses_a_batch_of_a_newer_epoch_than_its_leaders() -> None:
    """KAFKA-18723: a batch's epoch lies outside its checksum, so a wrong bit there must not poison the epochs."""
    leader, follower = open_log(MemoryDisk()), open_log(MemoryDisk())
    fill(leader, 1)
    damaged = bytearray(read_all(leader))
    damaged[13] ^= 1
    with pytest.raises(KafkaError, match="65536"):
        follower.append_as_follower(damaged, NOW_MS, leader_epoch=0)
    assert follower.log_end_offset == 0


def test_a_follower_with_smaller_segments_splits_what_it_is_sent() -> None:
    leader, disk = open_log(MemoryDisk(), configs()), MemoryDisk()
    fill(leader, 50)
    follower = open_log(disk)
    follower.append_as_follower(read_all(leader), NOW_MS)
    assert read_all(follower) == read_all(leader)
    assert len(log_files(disk)) > 1 and all(disk.size(path) <= 1024 for path in log_files(disk))


def test_the_brokers_clock_stamps_records_when_the_topic_says_so() -> None:
    given = configs().for_topic({"message.timestamp.type": "LogAppendTime"})
    log = open_log(MemoryDisk(), given)
    appended = append(log, batch_of(2, timestamp_ms=5), now_ms=NOW_MS + 9)
    assert appended.log_append_time_ms == NOW_MS + 9
    content = read_all(log)
    assert appended.batches == (read_header(content),)
    assert [record.timestamp for record in read_records(content)] == [NOW_MS + 9] * 2
    assert check_batches(memoryview(content), 1000), "the checksum is of the stamped bytes"
    assert open_log(MemoryDisk(), configs()).append_as_follower(content, NOW_MS).log_append_time_ms == -1


def test_a_client_may_not_play_broker() -> None:
    log = open_log(MemoryDisk(), configs().for_topic({"message.timestamp.type": "LogAppendTime"}))
    batch = batch_of(1)
    append(log, batch)
    with pytest.raises(KafkaError) as raised:
        append(open_log(MemoryDisk()), batch)
    assert raised.value.code is ErrorCode.INVALID_TIMESTAMP


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        (bytearray(), ErrorCode.INVALID_RECORD),
        (batch_of(1)[:-1], ErrorCode.CORRUPT_MESSAGE),
        (batch_of(1, size=600), ErrorCode.MESSAGE_TOO_LARGE),
        (batch_of(1, size=400) * 3, ErrorCode.RECORD_LIST_TOO_LARGE),
        (batch_of(1, producer=(1, 0, 0)) + batch_of(1, producer=(1, 0, 1)), ErrorCode.INVALID_RECORD),
    ],
    ids=["nothing", "torn", "large batch", "larger than a segment", "two idempotent batches"],
)
def test_what_is_refused_leaves_no_trace(batch: bytearray, code: ErrorCode) -> None:
    disk = MemoryDisk()
    log = open_log(disk, Configs.of({"log.segment.bytes": "1024", "message.max.bytes": "500"}))
    with pytest.raises(KafkaError) as raised:
        append(log, batch)
    assert raised.value.code is code
    assert (log.log_end_offset, log.size_bytes, len(log.producers)) == (0, 0, 0)


@pytest.mark.parametrize("max_bytes", [1, 100, 250, 1000, 5000])
def test_sequential_readers_get_every_byte_once(max_bytes: int) -> None:
    log = open_log(MemoryDisk())
    written = b"".join(fill(log, 100))
    assert read_all(log, max_bytes) == written


@given(data=st.data(), sizes=st.lists(st.integers(0, 300), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_a_read_returns_the_whole_batches_that_fit(data: st.DataObject, sizes: list[int]) -> None:
    """Held against a reader that walks the whole log; asked twice, because the second answer is remembered."""
    log = open_log(MemoryDisk())
    for number, size in enumerate(sizes):
        append(log, batch_of(number % 3 + 1, size=size))
    headers = headers_of(read_all(log))
    for _ in range(8):
        offset = data.draw(st.integers(0, log.log_end_offset))
        end_offset = data.draw(st.sampled_from([header.next_offset for header in headers] + [log.log_end_offset]))
        max_bytes = data.draw(st.integers(0, 1500))
        at_least_one = data.draw(st.booleans())
        segment_end = min(
            (base for base in (segment.base_offset for segment in log.segments) if base > offset), default=2**62
        )
        room, expected = max_bytes, []
        for header in headers:
            if (
                header.last_offset >= offset
                and header.base_offset < min(end_offset, segment_end)
                and offset < end_offset
            ):
                if header.size_bytes > room and not (at_least_one and not expected):
                    break
                room -= header.size_bytes
                expected.append(header)
        for _ in range(2):
            assert headers_of(log.read(offset, max_bytes, end_offset, at_least_one)) == expected


def test_a_reader_never_sees_a_batch_that_is_not_wholly_below_the_end_it_may_see() -> None:
    log = open_log(MemoryDisk())
    append(log, batch_of(3))
    append(log, batch_of(3))
    assert len(headers_of(log.read(0, 10_000, 6, at_least_one=True))) == 2
    assert len(headers_of(log.read(0, 10_000, 5, at_least_one=True))) == 1
    assert len(headers_of(log.read(0, 10_000, 3, at_least_one=True))) == 1
    assert log.read(3, 10_000, 3, at_least_one=True) == b""


def test_offsets_outside_the_log_are_out_of_range() -> None:
    log = open_log(MemoryDisk())
    fill(log, 4)
    log.advance_log_start_offset(4)
    for offset in (-1, 0, 3, 13):
        with pytest.raises(KafkaError) as raised:
            log.read(offset, 100, 12, at_least_one=True)
        assert raised.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    assert log.read(12, 100, 12, at_least_one=True) == b""
    assert read_header(log.read(4, 1, 12, at_least_one=True)).base_offset == 3, "its batch begins before the log"


def test_a_sequential_reader_reads_hardly_more_than_it_is_given() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs(index_interval_bytes=100_000))
    fill(log, 1000)
    disk.read_bytes = 0
    offset = 0
    while offset < log.log_end_offset:
        part = log.read(offset, 1000, log.log_end_offset, at_least_one=True)
        offset = headers_of(part)[-1].next_offset
    # Without remembered positions each of the 150 reads would walk from the start of the file.
    assert disk.read_bytes < 12 * log.size_bytes


def test_segments_roll_by_size_by_time_and_when_the_index_is_full() -> None:
    def bases(**given: object) -> list[int]:
        disk = MemoryDisk()
        log = open_log(disk, configs(**given))
        for number in range(12):
            append(log, batch_of(1, size=200, timestamp_ms=NOW_MS + number * 100))
        return [int(path[-24:-4]) for path in log_files(disk)]

    assert len(batch_of(1, size=200)) == 270
    assert bases() == [0]
    assert bases(segment_bytes=1080) == [0, 4, 8]
    assert bases(segment_bytes=1079) == [0, 3, 6, 9]
    assert bases(roll_ms=499) == [0, 5, 10]
    assert bases(index_interval_bytes=0, index_size_max_bytes=48) == [0, 5, 10], "4 entries of 12 bytes"


def test_a_topics_own_configs_count_from_the_next_append_on() -> None:
    disk = MemoryDisk()
    log = open_log(disk, configs())
    fill(log, 30)
    assert len(log_files(disk)) == 1
    log.reconfigure(configs().for_topic({"segment.bytes": "1024", "max.message.bytes": "100"}))
    with pytest.raises(KafkaError, match=r"max.message.bytes allows 100"):
        append(log, batch_of(3))
    append(log, batch_of(1, size=1))
    assert len(log_files(disk)) == 2


def test_a_full_disk_is_an_answer_and_the_log_goes_on_when_there_is_room_again() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    before = fill(log, 3)
    for room_bytes in (0, 1, 60, 100):
        disk.room_bytes = room_bytes
        with pytest.raises(KafkaError) as raised:
            append(log, batch_of(3, producer=(9, 0, 0)))
        assert raised.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert (log.log_end_offset, len(log.producers)) == (9, 0)
    disk.room_bytes = None
    after = fill(log, 3)
    assert read_all(log) == b"".join(before + after) == read_all(open_log(disk))


def test_a_file_that_shrinks_under_a_reader_is_a_storage_error() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 3)
    del disk.files[log_files(disk)[0]][-1:]
    with pytest.raises(KafkaError) as raised:
        read_all(log)
    assert raised.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    disk.delete(log_files(disk)[0])
    with pytest.raises(KafkaError) as raised:
        log.offset_for_timestamp(NOW_MS)
    assert raised.value.code is ErrorCode.KAFKA_STORAGE_ERROR


def test_a_deleted_log_leaves_nothing_and_can_be_made_anew() -> None:
    disk = MemoryDisk()
    for _ in range(2):
        log = open_log(disk)
        fill(log, 20)
        log.delete()
        assert disk.files == {}
    disk.append(f"{DIRECTORY}-deleted/leftover", (b"of a crash",))
    open_log(disk).delete()
    assert disk.files == {}


def test_the_time_search_finds_what_a_full_scan_finds() -> None:
    log = open_log(MemoryDisk())
    assert log.offset_for_timestamp(0) is None and log.max_timestamp_offset() is None
    times = [5, 3, 9, 9, 2, 14, 13, 14, 20, 1, 19] * 5
    for number, time in enumerate(times):
        append(log, batch_of(2, timestamp_ms=time + 3 * (number // 11)), epoch=number // 20)
    log.advance_log_start_offset(7)
    records = [record for record in read_records(read_all(log)) if record.offset >= 7]
    epochs = {header.base_offset: header.leader_epoch for _, header in iterate_headers(read_all(log))}
    for timestamp in range(40):
        first = next((record for record in records if record.timestamp >= timestamp), None)
        found = log.offset_for_timestamp(timestamp)
        if first is None:
            assert found is None
        else:
            assert found is not None
            assert (found.timestamp, found.offset) == (first.timestamp, first.offset)
            assert found.leader_epoch == epochs[first.offset - first.offset % 2]
    newest = max(record.timestamp for record in records)
    largest = log.max_timestamp_offset()
    assert largest is not None
    assert (largest.timestamp, largest.offset) == (
        newest,
        next(record.offset for record in records if record.timestamp == newest),
    )
