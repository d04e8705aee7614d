"""The 61-byte header of a v2 record batch (KIP-98): where every field lies, read and stamped without a copy.

Here: the layout and the fields a broker may patch. Not here: whether a batch is acceptable (`checking`), and
what is inside it (`record`): to a broker the records are opaque bytes.

    offset  0  base offset          int64   patched by the leader
    offset  8  batch length         int32   counts what follows this field
    offset 12  leader epoch         int32   patched by the leader
    offset 16  magic                int8    2
    offset 17  crc                  uint32  CRC-32C of everything from offset 21
    offset 21  attributes           int16   compression, timestamp type, transactional, control, delete horizon
    offset 23  last offset delta    int32
    offset 27  base timestamp       int64   milliseconds since 1970
    offset 35  max timestamp        int64
    offset 43  producer id          int64
    offset 51  producer epoch       int16
    offset 53  base sequence        int32
    offset 57  record count         int32

The two fields that the leader patches lie before the bytes that the CRC covers: that is why a broker never
has to compute a checksum twice, or touch the records at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from crc32c import crc32c

from cluster.base.limits import RECORD_BATCH_OVERHEAD_BYTES
from cluster.base.ports import Buffer

HEADER = Struct(">qiibIhiqqqhii")
"""All fields of the header, in order."""

LENGTH_OFFSET = 12
"""The batch length does not count the bytes up to here."""

CRC_OFFSET = 17
CHECKED_OFFSET = 21
"""The CRC covers the batch from here to its end."""

MAGIC = 2

COMPRESSION_MASK = 0x07
LOG_APPEND_TIME_FLAG = 0x08
TRANSACTIONAL_FLAG = 0x10
CONTROL_FLAG = 0x20
DELETE_HORIZON_FLAG = 0x40
"""The base timestamp is not the first record's: from then on compaction may drop the tombstones (KIP-534)."""

SEQUENCE_MAX = 2**31 - 1

STAMP = Struct(">qii")
_ATTRIBUTES = Struct(">h")
_CRC = Struct(">I")
_LONG = Struct(">q")
_MAX_TIMESTAMP_OFFSET = 35

assert HEADER.size == RECORD_BATCH_OVERHEAD_BYTES


class BatchHeader(NamedTuple):
    """What the header says. A named tuple, because one is made for every batch that passes through a broker."""

    base_offset: int
    size_bytes: int
    """The whole batch, the first 12 bytes included."""
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The base offset of the batch that follows."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record; after 2^31 - 1 comes 0."""
        return advance_sequence(self.base_sequence, self.last_offset_delta)

    @property
    def compression(self) -> int:
        """The codec's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & COMPRESSION_MASK

    @property
    def uses_log_append_time(self) -> bool:
        """Whether the broker's clock stamped the records: all have `max_timestamp`."""
        return bool(self.attributes & LOG_APPEND_TIME_FLAG)

    @property
    def is_transactional(self) -> bool:
        """Whether the records count only once their transaction is committed."""
        return bool(self.attributes & TRANSACTIONAL_FLAG)

    @property
    def is_control(self) -> bool:
        """Whether this is a transaction marker rather than somebody's data."""
        return bool(self.attributes & CONTROL_FLAG)

    @property
    def delete_horizon_ms(self) -> int | None:
        """When compaction may drop the batch's tombstones; None when it has not met the batch yet (KIP-534)."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON_FLAG else None

    @property
    def has_producer_id(self) -> bool:
        """Whether the producer is idempotent."""
        return self.producer_id >= 0


def advance_sequence(sequence: int, step: int) -> int:
    """Return the sequence number `step` records later, wrapping round to 0 (DefaultRecordBatch.incrementSequence)."""
    return (sequence + step) & SEQUENCE_MAX if sequence >= 0 else sequence


def read_header(view: Buffer, position: int = 0) -> BatchHeader:
    """Read the header that starts at `position`. Raises ValueError when the bytes end before it does."""
    if len(view) - position < HEADER.size:
        raise ValueError(f"a batch header needs {HEADER.size} bytes, there are {len(view) - position}")
    fields = HEADER.unpack_from(view, position)
    return BatchHeader(fields[0], fields[1] + LENGTH_OFFSET, *fields[2:])


def iterate_headers(view: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Yield the position and the header of each whole batch; stop where the bytes hold no further whole batch."""
    position = 0
    end = len(view)
    while end - position >= HEADER.size:
        header = read_header(view, position)
        if header.size_bytes < HEADER.size or position + header.size_bytes > end:
            return
        yield position, header
        position += header.size_bytes


def stamp_batch(view: Buffer, position: int, base_offset: int, leader_epoch: int) -> None:
    """Write the base offset and the leader epoch into a writable batch. The CRC stays valid."""
    length = int.from_bytes(view[position + 8 : position + 12], "big")
    STAMP.pack_into(view, position, base_offset, length, leader_epoch)


def stamp_append_time(view: memoryview, position: int, header: BatchHeader, now_ms: int) -> BatchHeader:
    """Let the broker's clock stamp all records of a batch (message.timestamp.type=LogAppendTime).

    Unlike the offset stamp this changes bytes under the CRC, so the checksum is computed anew.
    Returns the header as it is now.
    """
    attributes = header.attributes | LOG_APPEND_TIME_FLAG
    _ATTRIBUTES.pack_into(view, position + CHECKED_OFFSET, attributes)
    _LONG.pack_into(view, position + _MAX_TIMESTAMP_OFFSET, now_ms)
    crc = compute_crc(view, position, header.size_bytes)
    _CRC.pack_into(view, position + CRC_OFFSET, crc)
    return header._replace(attributes=attributes, max_timestamp=now_ms, crc=crc)


def compute_crc(view: memoryview, position: int, size_bytes: int) -> int:
    """Return the CRC-32C that the batch of this size at this position should carry."""
    crc: int = crc32c(view[position + CHECKED_OFFSET : position + size_bytes])
    return crc
