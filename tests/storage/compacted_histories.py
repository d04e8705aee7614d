"""What the tests of compaction share: keyed records, a compaction driven to its end, and what readers then find."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from log_histories import NOW_MS, SMALL_SEGMENTS, append, headers_of, read_all
from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.records import Record, build_batch, read_records
from cluster.storage import Log, compact, dirt_of

COMPACTED = SMALL_SEGMENTS.for_topic({"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"})
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Written:
    """One record of a history; a value of None is a tombstone."""

    key: str
    value: str | None
    producer: int = -1


def compacted(**overrides: str) -> Configs:
    """Configs of a compacted topic; `delete_retention_ms="5"` means delete.retention.ms=5."""
    return COMPACTED.for_topic({name.replace("_", "."): value for name, value in overrides.items()})


def write(log: Log, *records: Written, sequences: dict[int, int] | None = None, timestamp_ms: int = NOW_MS) -> bytes:
    """Append the records as one batch and return it as it is in the log; all are of one producer."""
    producer = records[0].producer
    sequence = -1
    if producer >= 0:
        assert sequences is not None
        sequence = sequences.get(producer, 0)
        sequences[producer] = sequence + len(records)
    batch = build_batch(
        [(one.key.encode(), None if one.value is None else one.value.encode(), ()) for one in records],
        timestamp_ms=timestamp_ms,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
        base_sequence=sequence,
    )
    append(log, batch)
    return bytes(batch)


def compact_fully(log: Log, disk: MemoryDisk, now_ms: int = NOW_MS) -> bool:
    """Compact what may be, syncing as the shell does; return whether there was anything to do."""
    dirt = dirt_of(log, log.log_end_offset, now_ms)
    if not dirt.is_due(log.settings.cleaning):
        return False
    for path in compact(log, dirt, now_ms):
        if path is not None:
            disk.sync_now(path)
    return True


def records_of(log: Log) -> list[Record]:
    return list(read_records(walk(log)))


def walk(log: Log) -> bytes:
    """Everything from the log's start to its end, checked to be a walk without a step back or a dead end."""
    content = bytearray()
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        part = log.read(offset, 700, log.log_end_offset, at_least_one=True)
        headers = headers_of(part)
        assert headers, f"a reader at {offset} never gets to {log.log_end_offset}"
        assert headers[0].last_offset >= offset
        assert all(a.next_offset <= b.base_offset for a, b in pairwise(headers))
        offset = headers[-1].next_offset
        content += part
    return bytes(content)


def latest(records: list[Record]) -> dict[bytes | None, bytes]:
    """The last value of every key; a deleted key has none."""
    values: dict[bytes | None, bytes] = {}
    for record in records:
        if record.value is None:
            values.pop(record.key, None)
        else:
            values[record.key] = record.value
    return values


__all__ = ["COMPACTED", "DAY_MS", "Written", "compact_fully", "compacted", "latest", "read_all", "records_of", "write"]
