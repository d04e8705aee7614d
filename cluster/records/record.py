"""Records inside a batch: reading them out, and building batches.

Here: the v2 record format (varints, headers). Brokers on the data path never come here; timestamp searches,
internal topics, checks and tests do. Not here: the header of the batch (`header`) and codecs (`compression`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.facts import unguarded
from cluster.base.ports import Buffer
from cluster.records.compression import compress, decompress
from cluster.records.header import (
    COMPRESSION_MASK,
    CONTROL_FLAG,
    CRC_OFFSET,
    DELETE_HORIZON_FLAG,
    HEADER,
    LENGTH_OFFSET,
    MAGIC,
    TRANSACTIONAL_FLAG,
    BatchHeader,
    compute_crc,
    iterate_headers,
)

RecordHeaders = Sequence[tuple[str, bytes | None]]

_VARINT_BYTES_MAX = 10


@unguarded
@dataclass(frozen=True, slots=True)
class Record:
    """One record as a consumer sees it; `timestamp` is in milliseconds since 1970."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def read_records(view: Buffer) -> Iterator[Record]:
    """Yield every record of every whole batch, decompressed. Control batches hold nobody's data and are skipped.

    Raises KafkaError(CORRUPT_MESSAGE) when a batch holds something else than its header says.
    """
    for position, header in iterate_headers(view):
        if not header.is_control:
            yield from read_batch_records(view, position, header)


def read_batch_records(view: Buffer, position: int, header: BatchHeader) -> Iterator[Record]:
    """Yield the records of one batch, whatever its kind. Raises KafkaError(CORRUPT_MESSAGE)."""
    packed = memoryview(view)[position + HEADER.size : position + header.size_bytes]
    plain = decompress(header.compression, packed)
    cursor = 0
    try:
        for _ in range(header.record_count):
            size_bytes, cursor = _read_varint(plain, cursor)
            record_end = cursor + size_bytes
            record, cursor = _read_record(plain, cursor, header)
            if cursor != record_end:
                raise ValueError(f"a record of {size_bytes} bytes ends {cursor - record_end} bytes off")
            yield record
    except (IndexError, ValueError) as error:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"batch at offset {header.base_offset}: {error}") from error


def check_keys(view: Buffer, batches: Sequence[tuple[int, BatchHeader]]) -> None:
    """Check that every record has a key, as a compacted topic demands. Raises KafkaError(INVALID_RECORD)."""
    for position, header in batches:
        for record in read_batch_records(view, position, header):
            if record.key is None:
                raise KafkaError(ErrorCode.INVALID_RECORD, "a compacted topic takes no record without a key")


def build_batch(
    records: Sequence[tuple[bytes | None, bytes | None, RecordHeaders]],
    *,
    base_offset: int = 0,
    timestamp_ms: int,
    compression: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    leader_epoch: int = -1,
    transactional: bool = False,
    control: bool = False,
) -> bytearray:
    """Build one batch of `(key, value, headers)`, all with one timestamp, ready to be appended."""
    assert records, "a batch has at least one record"
    body = bytearray()
    for delta, (key, value, headers) in enumerate(records):
        record = _write_record(0, delta, key, value, headers)
        _write_varint(body, len(record))
        body += record
    attributes = compression | (TRANSACTIONAL_FLAG if transactional else 0) | (CONTROL_FLAG if control else 0)
    position = (base_offset, 0, leader_epoch, MAGIC, 0, attributes, len(records) - 1)
    times_and_producer = (timestamp_ms, timestamp_ms, producer_id, producer_epoch, base_sequence, len(records))
    return _pack_batch(BatchHeader(*position, *times_and_producer), compress(compression, body))


def rebuild_batch(header: BatchHeader, records: Sequence[Record], delete_horizon_ms: int | None = None) -> bytearray:
    """Build a batch again with only some of its records, for compaction; there may be none left.

    Offsets, sequence numbers, leader epoch and producer stay what they were, so that nothing that counts on them is
    disturbed. `delete_horizon_ms` is written down for the tombstones in it; what is there already stays (KIP-534).
    """
    attributes = header.attributes
    if not records:
        attributes &= ~(COMPRESSION_MASK | DELETE_HORIZON_FLAG)
        header = header._replace(attributes=attributes, base_timestamp=-1, record_count=0)
        return _pack_batch(header, b"")
    base_timestamp = header.base_timestamp
    if delete_horizon_ms is not None:
        base_timestamp = delete_horizon_ms
        attributes |= DELETE_HORIZON_FLAG
    max_timestamp = header.max_timestamp
    if not header.uses_log_append_time:
        max_timestamp = max(record.timestamp for record in records)
    body = bytearray()
    for record in records:
        delta = record.offset - header.base_offset
        written = _write_record(record.timestamp - base_timestamp, delta, record.key, record.value, record.headers)
        _write_varint(body, len(written))
        body += written
    times = {"base_timestamp": base_timestamp, "max_timestamp": max_timestamp}
    header = header._replace(attributes=attributes, record_count=len(records), **times)
    return _pack_batch(header, compress(header.compression, body))


def _pack_batch(header: BatchHeader, packed: bytes) -> bytearray:
    """Put a batch together; length and checksum in the header are computed here."""
    size_bytes = HEADER.size + len(packed)
    batch = bytearray(HEADER.size)
    HEADER.pack_into(batch, 0, header.base_offset, size_bytes - LENGTH_OFFSET, *header[2:])
    batch += packed
    crc = compute_crc(memoryview(batch), 0, size_bytes)
    batch[CRC_OFFSET : CRC_OFFSET + 4] = crc.to_bytes(4, "big")
    return batch


def _read_record(plain: bytes, cursor: int, header: BatchHeader) -> tuple[Record, int]:
    cursor += 1  # attributes of a record: unused since v2
    timestamp_delta, cursor = _read_varint(plain, cursor)
    offset_delta, cursor = _read_varint(plain, cursor)
    key, cursor = _read_bytes(plain, cursor)
    value, cursor = _read_bytes(plain, cursor)
    header_count, cursor = _read_varint(plain, cursor)
    headers = []
    for _ in range(header_count):
        name, cursor = _read_bytes(plain, cursor)
        content, cursor = _read_bytes(plain, cursor)
        if name is None:
            raise ValueError("a record header has no name")
        headers.append((name.decode(), content))
    timestamp = header.max_timestamp if header.uses_log_append_time else header.base_timestamp + timestamp_delta
    return Record(header.base_offset + offset_delta, timestamp, key, value, tuple(headers)), cursor


def _write_record(
    timestamp_delta: int, offset_delta: int, key: bytes | None, value: bytes | None, headers: RecordHeaders
) -> bytearray:
    record = bytearray(1)
    _write_varint(record, timestamp_delta)
    _write_varint(record, offset_delta)
    _write_bytes(record, key)
    _write_bytes(record, value)
    _write_varint(record, len(headers))
    for name, content in headers:
        _write_bytes(record, name.encode())
        _write_bytes(record, content)
    return record


def _read_bytes(plain: bytes, cursor: int) -> tuple[bytes | None, int]:
    size_bytes, cursor = _read_varint(plain, cursor)
    if size_bytes < 0:
        return None, cursor
    if cursor + size_bytes > len(plain):
        raise ValueError(f"a field of {size_bytes} bytes is cut short")
    return plain[cursor : cursor + size_bytes], cursor + size_bytes


def _write_bytes(target: bytearray, content: bytes | None) -> None:
    if content is None:
        _write_varint(target, -1)
    else:
        _write_varint(target, len(content))
        target += content


def _read_varint(plain: bytes, cursor: int) -> tuple[int, int]:
    """Read a zigzag varint (protobuf's sint64), as all numbers inside a record are written."""
    byte = plain[cursor]
    if byte < 0x80:  # nine of ten: small deltas and short lengths
        return (byte >> 1) ^ -(byte & 1), cursor + 1
    raw = 0
    for index in range(_VARINT_BYTES_MAX):
        byte = plain[cursor + index]
        raw |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), cursor + index + 1
    raise ValueError("a varint has more than 10 bytes")


def _write_varint(target: bytearray, number: int) -> None:
    raw = (number << 1) ^ (number >> 63)
    while raw >= 0x80:
        target.append(raw & 0x7F | 0x80)
        raw >>= 7
    target.append(raw)
