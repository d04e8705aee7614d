"""The header of a record batch: what is read, what is stamped, and that the stamp spares the checksum."""

from __future__ import annotations

import pytest

from cluster.records import (
    BatchHeader,
    advance_sequence,
    build_batch,
    check_batches,
    iterate_headers,
    read_header,
    read_records,
    stamp_append_time,
    stamp_batch,
)

RECORD = (b"key", b"value", ())


def test_every_field_of_the_header_is_read() -> None:
    batch = build_batch(
        [RECORD, RECORD, RECORD],
        base_offset=40,
        timestamp_ms=1_700_000_000_000,
        compression=4,
        producer_id=9,
        producer_epoch=2,
        base_sequence=70,
        leader_epoch=5,
        transactional=True,
    )
    header = read_header(batch)
    assert (header.base_offset, header.last_offset, header.next_offset) == (40, 42, 43)
    assert (header.size_bytes, header.leader_epoch, header.magic) == (len(batch), 5, 2)
    assert (header.base_timestamp, header.max_timestamp) == (1_700_000_000_000, 1_700_000_000_000)
    assert (header.producer_id, header.producer_epoch, header.record_count) == (9, 2, 3)
    assert (header.base_sequence, header.last_sequence) == (70, 72)
    assert (header.compression, header.is_transactional, header.is_control) == (4, True, False)
    assert header.has_producer_id and not header.uses_log_append_time


def test_a_header_needs_61_bytes() -> None:
    batch = build_batch([RECORD], timestamp_ms=0)
    assert read_header(batch[:61]).record_count == 1
    with pytest.raises(ValueError, match="needs 61 bytes, there are 60"):
        read_header(batch[:60])


def test_the_leaders_stamp_leaves_the_checksum_valid() -> None:
    batch = build_batch([RECORD, RECORD], timestamp_ms=5)
    two = bytearray(batch + batch)
    stamp_batch(two, len(batch), base_offset=1_000_000_007, leader_epoch=12)
    (_, first), (position, second) = check_batches(memoryview(two), len(batch))
    assert (first.base_offset, first.leader_epoch) == (0, -1)
    assert (position, second.base_offset, second.leader_epoch) == (len(batch), 1_000_000_007, 12)


def test_the_brokers_clock_changes_every_record_and_the_checksum() -> None:
    batch = build_batch([RECORD, RECORD], timestamp_ms=5)
    before = read_header(batch)
    after = stamp_append_time(memoryview(batch), 0, before, now_ms=77)
    assert after == read_header(batch) != before
    assert after.uses_log_append_time
    assert check_batches(memoryview(batch), len(batch)) == [(0, after)]
    assert [record.timestamp for record in read_records(batch)] == [77, 77]


def test_walking_stops_at_a_batch_that_is_cut_short() -> None:
    batch = build_batch([RECORD], timestamp_ms=0)
    for missing in range(1, len(batch)):
        assert [position for position, _ in iterate_headers((batch + batch)[:-missing])] == [0]
    assert [position for position, _ in iterate_headers(batch + batch)] == [0, len(batch)]


def test_sequence_numbers_wrap_round_to_zero() -> None:
    assert advance_sequence(2**31 - 1, 0) == 2**31 - 1
    assert advance_sequence(2**31 - 1, 1) == 0
    assert advance_sequence(2**31 - 3, 5) == 2
    assert advance_sequence(2, -5) == 2**31 - 3
    assert advance_sequence(-1, 4) == -1, "no sequence stays none"


def test_a_header_is_a_fact_that_can_be_compared() -> None:
    header = read_header(build_batch([RECORD], timestamp_ms=0))
    assert header == BatchHeader(*header)
    assert header._replace(base_offset=3) != header
