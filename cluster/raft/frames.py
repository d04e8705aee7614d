"""The bytes of the write-ahead log: a header, then one checksummed frame for each entry.

Here: encoding, and a scan that tells a torn tail (a crash in the middle of a write: cut it) from damage to what had
been synced (refuse to start). Not here: files (`storage`).

Layout, big-endian. Header: magic, CRC32C of the rest, base index, base term. Frame: magic, CRC32C of the rest, length
of the data, **synced bytes**, index, term, kind, data. `synced bytes` is how much of the file was known to be durable
when the frame was written: a bad frame that lies below the mark of a later good one cannot be a torn write.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import crc32c

from cluster.raft.messages import Entry, EntryKind

_HEADER = struct.Struct(">4sIQQ")
_HEADER_MAGIC = b"FPW1"
_FRAME = struct.Struct(">4sIIQQQB")
_FRAME_MAGIC = b"FPE1"
_CHECKED_FROM = 8  # magic and checksum themselves are not covered

HEADER_SIZE_BYTES = _HEADER.size
FRAME_OVERHEAD_BYTES = _FRAME.size


class DamagedLog(ValueError):
    """Bytes that were durable are not what was written; the text says where."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds: its base, the entries that stand, and how many bytes of it are sound."""

    base_index: int
    base_term: int
    entries: tuple[Entry, ...]
    sound_bytes: int


def encode_header(base_index: int, base_term: int) -> bytes:
    """Return the header of a file whose first entry follows (`base_index`, `base_term`)."""
    header = bytearray(_HEADER.pack(_HEADER_MAGIC, 0, base_index, base_term))
    struct.pack_into(">I", header, 4, crc32c.crc32c(bytes(header[_CHECKED_FROM:])))
    return bytes(header)


def encode_entries(entries: Iterable[Entry], synced_bytes: int) -> list[bytes]:
    """Return a frame for each entry."""
    frames = []
    for entry in entries:
        packed = _FRAME.pack(_FRAME_MAGIC, 0, len(entry.data), synced_bytes, entry.index, entry.term, entry.kind)
        checksum = crc32c.crc32c(entry.data, crc32c.crc32c(packed[_CHECKED_FROM:]))
        frames.append(packed[:4] + checksum.to_bytes(4, "big") + packed[_CHECKED_FROM:] + entry.data)
    return frames


def scan(content: bytes) -> Scan:
    """Read a whole file. An entry whose index is not new replaces the tail: a leader overruled it.

    Raises DamagedLog when the header is bad, when a bad frame had been synced, or when the indexes have a gap.
    """
    if len(content) < HEADER_SIZE_BYTES:
        raise DamagedLog("it is shorter than its header")
    magic, checksum, base_index, base_term = _HEADER.unpack_from(content)
    if magic != _HEADER_MAGIC or checksum != crc32c.crc32c(content[_CHECKED_FROM:HEADER_SIZE_BYTES]):
        raise DamagedLog("its header does not match its checksum")
    entries: list[Entry] = []
    position = HEADER_SIZE_BYTES
    while (frame := _read_frame(content, position)) is not None:
        entry, _, size_bytes = frame
        kept = entry.index - base_index - 1
        if not 0 <= kept <= len(entries):
            raise DamagedLog(f"entry {entry.index} at byte {position} does not follow {base_index + len(entries)}")
        del entries[kept:]
        entries.append(entry)
        position += size_bytes
    _check_torn(content, position)
    return Scan(base_index, base_term, tuple(entries), position)


def _read_frame(content: bytes, position: int) -> tuple[Entry, int, int] | None:
    """Return an entry, its mark of synced bytes and its size; None when no sound frame begins here."""
    if position + FRAME_OVERHEAD_BYTES > len(content):
        return None
    magic, checksum, length, synced_bytes, index, term, kind = _FRAME.unpack_from(content, position)
    end = position + FRAME_OVERHEAD_BYTES + length
    if magic != _FRAME_MAGIC or end > len(content):
        return None
    if crc32c.crc32c(content[position + _CHECKED_FROM : end]) != checksum:
        return None
    entry = Entry(index, term, EntryKind(kind), content[position + FRAME_OVERHEAD_BYTES : end])
    return entry, synced_bytes, end - position


def _check_torn(content: bytes, damaged_at: int) -> None:
    """Raise DamagedLog when a sound frame further on proves that the bytes at `damaged_at` had been synced."""
    position = damaged_at
    while (position := content.find(_FRAME_MAGIC, position)) >= 0:
        frame = _read_frame(content, position)
        if frame is not None and frame[1] > damaged_at:
            raise DamagedLog(f"byte {damaged_at} is damaged although it had been synced before byte {position}")
        position += 1
