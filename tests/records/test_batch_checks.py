"""What may enter a log: each way in which a client's batch can be wrong, and the answer it gets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import build_batch, check_batches, check_copied_batches
from cluster.records.header import HEADER, compute_crc

RECORDS = [(b"k", b"v" * 50, ())] * 3
LARGE_BYTES = 1_000_000


def refusal(batch: bytes | bytearray, max_batch_bytes: int = LARGE_BYTES) -> ErrorCode:
    """The code with which the batch is refused."""
    with pytest.raises(KafkaError) as raised:
        check_batches(memoryview(batch), max_batch_bytes)
    return raised.value.code


def rewritten(field: int, value: int) -> bytearray:
    """A batch with another value in one field of the header, and a checksum that fits."""
    batch = build_batch(RECORDS, timestamp_ms=1, producer_id=4, producer_epoch=0, base_sequence=0)
    fields = list(HEADER.unpack_from(batch))
    fields[field] = value
    HEADER.pack_into(batch, 0, *fields)
    fields[4] = compute_crc(memoryview(batch), 0, len(batch))
    HEADER.pack_into(batch, 0, *fields)
    return batch


def test_sound_batches_pass_with_their_positions() -> None:
    batch = build_batch(RECORDS, timestamp_ms=1)
    assert [position for position, _ in check_batches(memoryview(batch * 3), LARGE_BYTES)] == [
        0,
        len(batch),
        2 * len(batch),
    ]
    assert check_batches(memoryview(b""), LARGE_BYTES) == []


def test_a_batch_may_have_exactly_the_largest_size() -> None:
    batch = build_batch(RECORDS, timestamp_ms=1)
    assert check_batches(memoryview(batch), len(batch))
    assert refusal(batch, len(batch) - 1) is ErrorCode.MESSAGE_TOO_LARGE


@given(position=st.integers(min_value=16, max_value=260), flip=st.integers(min_value=1, max_value=255))
@settings(deadline=None)
def test_no_changed_byte_passes_unseen(position: int, flip: int) -> None:
    """Bytes 0 to 15 are the offset, the length and the leader's epoch, which the checksum leaves out."""
    batch = build_batch(RECORDS, timestamp_ms=1)
    batch[position % (len(batch) - 16) + 16] ^= flip
    assert refusal(batch) in (ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD)


@pytest.mark.parametrize("length", [-1, 0, 48, 10_000, 2**31 - 1])
def test_a_wrong_length_is_corrupt(length: int) -> None:
    batch = build_batch(RECORDS, timestamp_ms=1)
    batch[8:12] = length.to_bytes(4, "big", signed=True)
    assert refusal(batch) is ErrorCode.CORRUPT_MESSAGE


def test_bytes_that_no_whole_batch_uses_are_corrupt() -> None:
    batch = build_batch(RECORDS, timestamp_ms=1)
    assert refusal(batch + b"\0") is ErrorCode.CORRUPT_MESSAGE
    assert refusal(batch[:-1]) is ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (3, 1, ErrorCode.INVALID_RECORD),
        (5, 0x20, ErrorCode.INVALID_RECORD),
        (5, 5, ErrorCode.INVALID_RECORD),
        (6, 1, ErrorCode.INVALID_RECORD),
        (6, -1, ErrorCode.CORRUPT_MESSAGE),
        (10, -1, ErrorCode.INVALID_RECORD),
        (11, -1, ErrorCode.INVALID_RECORD),
        (12, 0, ErrorCode.INVALID_RECORD),
        (12, 4, ErrorCode.INVALID_RECORD),
    ],
    ids=["magic 1", "control", "codec 5", "few offsets", "no offsets", "no epoch", "no sequence", "empty", "count"],
)
def test_a_header_that_contradicts_itself_is_refused(field: int, value: int, code: ErrorCode) -> None:
    assert refusal(rewritten(field, value)) is code


def test_a_replica_copies_control_batches_that_no_client_may_send() -> None:
    control = build_batch([(b"\0\0\0\1", b"\0\0\0\0\0\0", ())], timestamp_ms=1, producer_id=1, control=True)
    assert refusal(control) is ErrorCode.INVALID_RECORD
    assert check_copied_batches(memoryview(control))[0][1].is_control
