"""Records inside a batch: reading them out, and building batches.

Here: the v2 record format (varints, headers). Brokers on the data path never come here; timestamp searches,
internal topics, checks and tests do. Not here: the header of the batch (`header`) and codecs (`compression`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ports import Buffer
from cluster.records.compression import compress, decompress
from cluster.records.header import (
    CONTROL_FLAG,
    CRC_OFFSET,
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
        record = _write_record(delta, key, value, headers)
        _write_varint(body, len(record))
        body += record
    packed = compress(compression, body)
    batch = bytearray(HEADER.size)
    attributes = compression | (TRANSACTIONAL_FLAG if transactional else 0) | (CONTROL_FLAG if control else 0)
    batch += packed
    size_bytes = len(batch)

    def write_header(crc: int) -> None:
        fields = (base_offset, size_bytes - LENGTH_OFFSET, leader_epoch, MAGIC, crc, attributes, len(records) - 1)
        times_and_producer = (timestamp_ms, timestamp_ms, producer_id, producer_epoch, base_sequence, len(records))
        HEADER.pack_into(batch, 0, *fields, *times_and_producer)

    write_header(0)
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


def _write_record(delta: int, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> bytearray:
    record = bytearray(1)
    _write_varint(record, 0)
    _write_varint(record, delta)
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
