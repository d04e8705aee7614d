"""What `kafka-dump-log` prints of a partition's files (`kafka.tools.DumpLogSegments`), line by line.

Here: segments, both indexes, producer snapshots, read as plain files while brokers run or after they died. Not here:
Kafka's decoders for internal topics; a broker's own reading of these files is in `cluster.storage`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.base.errors import KafkaError
from cluster.console.errors import failure, usage
from cluster.records import BatchHeader, Compression, Record, check_copied_batches, read_batch_records, read_header

_DELETE_HORIZON_FLAG = 0x40
_OFFSET_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")
_SNAPSHOT_HEAD = struct.Struct(">hIi")
_SNAPSHOT_ENTRY = struct.Struct(">qhiqiqiq")
_CONTROL_KEY = struct.Struct(">hh")
_CONTROL_VALUE = struct.Struct(">hi")
_CONTROL_TYPES = {0: "ABORT", 1: "COMMIT"}

BYTES_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What is shown of a segment."""

    with_records: bool = False
    """Every record's metadata (`--deep-iteration`)."""
    with_data: bool = False
    """Keys and values too (`--print-data-log`)."""
    skip_metadata: bool = False
    bytes_max: int = BYTES_MAX
    verify_only: bool = False
    """Show nothing of indexes but what is wrong."""


def dump_file(path: Path, options: DumpOptions) -> Iterator[tuple[bool, str]]:
    """Yield each line, and whether it tells of something wrong. Raises LabError when the file cannot be read."""
    yield False, f"Dumping {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise usage(
            f"{path} cannot be read: {error.strerror}", "`fencepost ps` shows the nodes' directories."
        ) from error
    if path.suffix == ".log":
        yield from _dump_log(path, content, options)
    elif path.suffix == ".index":
        yield from _dump_index(path, content, options)
    elif path.suffix == ".timeindex":
        yield from _dump_time_index(path, content, options)
    elif path.suffix == ".snapshot":
        yield from _dump_producers(path, content)
    else:
        yield True, f"Ignoring unknown file {path}"


def _dump_log(path: Path, content: bytes, options: DumpOptions) -> Iterator[tuple[bool, str]]:
    yield False, f"Log starting offset: {_base_offset(path)}"
    last_offset: int | None = None
    gaps = []
    end = 0
    for position, header in _batches(content, min(len(content), options.bytes_max)):
        batch = content[position : position + header.size_bytes]
        is_valid = _is_valid(batch)
        yield False, _batch_line(position, header, is_valid)
        if options.with_records and is_valid:
            for record in read_batch_records(batch, 0, header):
                if last_offset is not None and record.offset != last_offset + 1:
                    gaps.append((last_offset, record.offset))
                last_offset = record.offset
                yield False, _record_line(header, record, options)
        end = position + header.size_bytes
    trailing = len(content) - end
    if trailing > 0 and options.bytes_max == BYTES_MAX:
        yield False, f"Found {trailing} invalid bytes at the end of {path.name}"
    if gaps:
        yield True, f"Non-consecutive offsets in {path.absolute()}"
        for before, after in reversed(gaps):
            yield True, f"  {before} is followed by {after}"


def _batches(content: bytes, end: int) -> Iterator[tuple[int, BatchHeader]]:
    """Yield whole batches; unlike `iterate_headers` this leaves the reader to find how far it came."""
    position = 0
    while end - position >= 61:
        header = read_header(content, position)
        if header.size_bytes < 61 or position + header.size_bytes > end:
            return
        yield position, header
        position += header.size_bytes


def _is_valid(batch: bytes) -> bool:
    try:
        check_copied_batches(memoryview(batch))
    except KafkaError:
        return False
    return True


def _batch_line(position: int, header: BatchHeader, is_valid: bool) -> str:
    has_horizon = header.attributes & _DELETE_HORIZON_FLAG
    horizon = f"OptionalLong[{header.base_timestamp}]" if has_horizon else "OptionalLong.empty"
    codec = header.compression
    name = Compression(codec).name.lower() if codec <= Compression.ZSTD else f"unknown({codec})"
    return (
        f"baseOffset: {header.base_offset} lastOffset: {header.last_offset} count: {header.record_count} "
        f"baseSequence: {header.base_sequence} lastSequence: {header.last_sequence} "
        f"producerId: {header.producer_id} producerEpoch: {header.producer_epoch} "
        f"partitionLeaderEpoch: {header.leader_epoch} isTransactional: {_java(header.is_transactional)} "
        f"isControl: {_java(header.is_control)} deleteHorizonMs: {horizon} position: {position} "
        f"{_timestamp_type(header)}: {header.max_timestamp} size: {header.size_bytes} magic: {header.magic} "
        f"compresscodec: {name} crc: {header.crc} isvalid: {_java(is_valid)}"
    )


def _record_line(header: BatchHeader, record: Record, options: DumpOptions) -> str:
    parts = []
    if not options.skip_metadata:
        sequence = -1 if header.base_sequence < 0 else header.base_sequence + record.offset - header.base_offset
        names = ",".join(name for name, _ in record.headers)
        parts.append(
            f"offset: {record.offset} {_timestamp_type(header)}: {record.timestamp} keySize: {_size(record.key)} "
            f"valueSize: {_size(record.value)} sequence: {sequence} headerKeys: [{names}]"
        )
        if header.is_control:
            parts.append(_control(record))
    if options.with_data and not header.is_control:
        if record.key is not None:
            parts.append(f"key: {record.key.decode(errors='replace')}")
        if record.value is not None:
            parts.append(f"payload: {record.value.decode(errors='replace')}")
    return f"| {' '.join(parts)}"


def _control(record: Record) -> str:
    if record.key is None or len(record.key) < _CONTROL_KEY.size:
        return "controlType: UNKNOWN(-1)"
    number = _CONTROL_KEY.unpack_from(record.key)[1]
    name = _CONTROL_TYPES.get(number)
    if name is None or record.value is None or len(record.value) < _CONTROL_VALUE.size:
        return f"controlType: {name or 'UNKNOWN'}({number})"
    return f"endTxnMarker: {name} coordinatorEpoch: {_CONTROL_VALUE.unpack_from(record.value)[1]}"


def _dump_index(path: Path, content: bytes, options: DumpOptions) -> Iterator[tuple[bool, str]]:
    """Every entry, and those whose batch ends at another offset than the entry says."""
    entries = _entries(_OFFSET_ENTRY, content)
    if not entries:
        yield False, f"{path} is empty."
        return
    base = _base_offset(path)
    log = _log_of(path)
    mismatches = []
    for relative, position in entries:
        found = read_header(log, position).last_offset if len(log) - position >= 61 else -1
        if found != base + relative:
            mismatches.append((base + relative, found))
        if not options.verify_only:
            yield False, f"offset: {base + relative} position: {position}"
    if mismatches:
        yield True, f"Mismatches in :{path.absolute()}"
        for index_offset, log_offset in reversed(mismatches):
            yield True, f"  Index offset: {index_offset}, log offset: {log_offset}"


def _dump_time_index(path: Path, content: bytes, options: DumpOptions) -> Iterator[tuple[bool, str]]:
    """Every entry, and those whose timestamp is not the batch's, or not larger than the one before."""
    base = _base_offset(path)
    log = _log_of(path)
    stamps = {header.last_offset: header.max_timestamp for _, header in _batches(log, len(log))}
    before = -1
    wrong = []
    for timestamp, relative in _entries(_TIME_ENTRY, content):
        found = stamps.get(base + relative)
        if found is None:
            wrong.append(f"Indexed offset: {base + relative} is not found in the log")
        elif found != timestamp:
            wrong.append(f"  Index timestamp: {timestamp}, log timestamp: {found}")
        if before >= timestamp:
            wrong.append(f"  Index timestamp: {timestamp}, Previously indexed timestamp: {before}")
        before = timestamp
        if not options.verify_only:
            yield False, f"timestamp: {timestamp} offset: {base + relative}"
    if wrong:
        yield True, f"Found timestamp mismatch in :{path.absolute()}"
        yield from ((True, line) for line in wrong)


def _dump_producers(path: Path, content: bytes) -> Iterator[tuple[bool, str]]:
    if len(content) < _SNAPSHOT_HEAD.size or (len(content) - _SNAPSHOT_HEAD.size) % _SNAPSHOT_ENTRY.size:
        raise failure(f"{path} is no producer snapshot: it has {len(content)} bytes.", "It may be torn.")
    for entry in _SNAPSHOT_ENTRY.iter_unpack(content[_SNAPSHOT_HEAD.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, start = entry
        line = (
            f"producerId: {producer_id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} "
            f"currentTxnFirstOffset: {'OptionalLong.empty' if start < 0 else f'OptionalLong[{start}]'} "
            f"lastTimestamp: {timestamp} "
        )
        if last_sequence >= 0:
            line += (
                f"firstSequence: {last_sequence - delta} lastSequence: {last_sequence} lastOffset: {last_offset} "
                f"offsetDelta: {delta} timestamp: {timestamp}"
            )
        yield False, line


def _entries(layout: struct.Struct, content: bytes) -> list[tuple[int, int]]:
    """Return the entries; Kafka allocates index files ahead, so zeros after the first entry are none."""
    whole = content[: len(content) // layout.size * layout.size]
    pairs = [(first, second) for first, second in layout.iter_unpack(whole)]
    return [pair for index, pair in enumerate(pairs) if index == 0 or pair != (0, 0)]


def _log_of(path: Path) -> bytes:
    try:
        return path.with_suffix(".log").read_bytes()
    except OSError as error:
        raise usage(
            f"{path} has no log next to it: {error.strerror}", "Dump an index where its .log file is."
        ) from error


def _base_offset(path: Path) -> int:
    if not path.stem.isdigit():
        raise usage(f"{path.name} is not named after an offset.", "Name a segment, such as 00000000000000000000.log.")
    return int(path.stem)


def _timestamp_type(header: BatchHeader) -> str:
    return "LogAppendTime" if header.uses_log_append_time else "CreateTime"


def _size(content: bytes | None) -> int:
    return -1 if content is None else len(content)


def _java(flag: bool) -> str:
    return "true" if flag else "false"
