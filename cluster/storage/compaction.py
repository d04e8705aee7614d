"""Compaction: of every key only the last value stays (class Cleaner).

Here: one compaction of one log, as a generator of small steps: first the last offset of every key in the dirty part
is learned, then the segments are written anew without what is superseded, and each takes its old place by a rename.
Not here: when it is worth it (`cleaning_plan`), crashes between the renames (`swap_files`), who drives the steps.

What compaction must not break:

- **Bytes.** What is read with a wrong checksum is not written anew with a right one: the log is left as it is.
- **Offsets.** Every record keeps its own. The last batch of a segment stays, if only its header, so that whoever
  reads on always gets to the log's end (KAFKA-17076).
- **Idempotence.** The last batch of a producer stays, if only its header: its sequence numbers are in it.
- **Transactions.** Nothing undecided is touched. What was aborted goes and supersedes nothing, so that a compacted
  segment needs no index of aborted transactions; a marker stays until all batches of its transaction are gone, and for
  `delete.retention.ms` after that.
- **Deletes.** A tombstone stays for `delete.retention.ms` after it was first compacted, so that a reader who keeps up
  sees it (KIP-534: that moment is written into its batch).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import (
    BatchHeader,
    Record,
    check_copied_batches,
    read_batch_records,
    read_header,
    rebuild_batch,
)
from cluster.storage.cleaning_plan import Dirt, group_segments
from cluster.storage.log import Log
from cluster.storage.segment import Segment

STEP_BYTES = 64 * 1024
"""How much is read between two pauses: some milliseconds of work."""

_KEY_OVERHEAD_BYTES = 150
"""What remembering one key costs beside its own bytes."""


def compact(log: Log, dirt: Dirt, now_ms: int) -> Iterator[str | None]:
    """Compact the dirty part of a log. Yields None where others may go on, or a path that must be synced first.

    Whoever drives it may stop at any yield; it ends by itself when the log loses its head or its tail meanwhile.
    Raises KafkaError when the log cannot be read, with nothing half done left; DiskError when the disk fails.
    """
    losses = log.cleaning.losses
    try:
        for step in _steps(log, dirt, now_ms):
            yield step
            if log.cleaning.losses != losses:
                log.cleaning.give_up()
                return
    except KafkaError:
        log.cleaning.give_up()
        raise


def _steps(log: Log, dirt: Dirt, now_ms: int) -> Iterator[str | None]:
    settings = log.settings
    keys = _KeyOffsets(settings.cleaning.key_memory_bytes)
    aborted = _AbortedRecords(log)
    yield from _learn_keys(log, dirt, keys, aborted)
    end_offset = min(dirt.end_offset, keys.end_offset)
    closed = [segment for segment in log.cleaning.closed_segments if segment.next_offset <= dirt.end_offset]
    retention = _Retention(log, keys, aborted, now_ms)
    for sources in group_segments(closed, end_offset, settings.segment_bytes, settings.index_bytes_max):
        cleaned = log.cleaning.begin_segment(sources[0].base_offset, settings)
        yield from retention.rewrite(sources, cleaned)
        if len(sources) > 1 or retention.has_changed:
            yield cleaned.path
            log.cleaning.swap_in(sources, cleaned)
        else:
            log.cleaning.give_up()
    log.cleaning.go_on_at(end_offset)


def dirt_of(log: Log, stable_offset: int, now_ms: int) -> Dirt:
    """Measure what there is to compact: nothing undecided (beyond the last stable offset), nothing unsynced."""
    return log.cleaning.measure_dirt(log.settings, min(stable_offset, log.recovery_point), now_ms)


class _KeyOffsets:
    """The last offset of every key in the dirty part, as far as memory reaches (class SkimpyOffsetMap)."""

    def __init__(self, memory_bytes: int) -> None:
        self._offsets: dict[bytes, int] = {}
        self._room_bytes = memory_bytes
        self.end_offset = 0
        """Everything dirty below it is known."""

    @property
    def is_full(self) -> bool:
        return self._room_bytes <= 0

    def put(self, key: bytes, offset: int) -> None:
        if key not in self._offsets:
            self._room_bytes -= _KEY_OVERHEAD_BYTES + len(key)
        self._offsets[key] = offset

    def is_superseded(self, key: bytes, offset: int) -> bool:
        return offset < self._offsets.get(key, -1)


class _AbortedRecords:
    """Which batches are of transactions that were aborted. Below the last stable offset that does not change."""

    def __init__(self, log: Log) -> None:
        self._spans: dict[int, list[tuple[int, int]]] = {}
        for segment in log.segments:
            for entry in segment.aborted.entries:
                self._spans.setdefault(entry.producer_id, []).append((entry.first_offset, entry.last_offset))

    def include(self, header: BatchHeader) -> bool:
        spans = self._spans.get(header.producer_id, ()) if header.is_transactional else ()
        return any(first <= header.base_offset < last for first, last in spans)


def _learn_keys(log: Log, dirt: Dirt, keys: _KeyOffsets, aborted: _AbortedRecords) -> Iterator[None]:
    """Read the dirty part up to its end, or up to the batch where memory is full; that one still counts as a whole."""
    start_offset = max(dirt.first_offset, log.log_start_offset)
    work = 0
    for segment in log.cleaning.closed_segments:
        if not start_offset < segment.next_offset <= dirt.end_offset:
            continue
        for position, header in segment.headers(segment.locate(start_offset)):
            if not header.is_control and not aborted.include(header):
                batch = _read_sound(segment, position, header)
                for record in read_batch_records(batch, 0, header):
                    if record.key is not None:
                        keys.put(record.key, record.offset)
            keys.end_offset = header.next_offset
            if keys.is_full:
                return
            work += header.size_bytes
            if work >= STEP_BYTES:
                work = 0
                yield


def _read_sound(segment: Segment, position: int, header: BatchHeader) -> bytes:
    """Return a batch whose bytes are those that were once acknowledged: it will get a checksum of its own.

    Raises KafkaError(CORRUPT_MESSAGE).
    """
    batch = segment.read_batch(position, header)
    if check_copied_batches(memoryview(batch)) != [(0, header)]:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the batch at offset {header.base_offset} reads in two ways")
    return batch


class _Retention:
    """Decides what stays, batch by batch in the order of the log, and writes it."""

    def __init__(self, log: Log, keys: _KeyOffsets, aborted: _AbortedRecords, now_ms: int) -> None:
        self._keys = keys
        self._aborted = aborted
        self._now_ms = now_ms
        self._horizon_ms = now_ms + log.settings.cleaning.delete_retention_ms
        self._last_offsets = frozenset(state.batches[-1].last_offset for _, state in log.producers if state.batches)
        self._epochs = {producer_id: state.epoch for producer_id, state in log.producers if not state.batches}
        """Of producers of whom only a marker is left to know."""
        self._open: dict[int, None] = {}
        """Producers of whose current transaction this compaction has met batches, if only headers."""
        self.has_changed = False

    def rewrite(self, sources: Sequence[Segment], cleaned: Segment) -> Iterator[None]:
        """Write what stays of some segments into one."""
        self.has_changed = False
        end_offset = sources[-1].next_offset
        chunks: list[bytes] = []
        headers: list[BatchHeader] = []
        work = 0
        for segment in sources:
            for position, header in segment.headers(0):
                batch = _read_sound(segment, position, header)
                kept = self._keep(batch, header, is_last=header.next_offset >= end_offset)
                work += header.size_bytes
                if kept is None:
                    self.has_changed = True
                else:
                    self.has_changed = self.has_changed or kept is not batch
                    chunks.append(kept)
                    headers.append(read_header(kept))
                if work >= STEP_BYTES:
                    work = 0
                    if headers:
                        cleaned.append(b"".join(chunks), headers)
                        chunks, headers = [], []
                    yield
        if headers:
            cleaned.append(b"".join(chunks), headers)

    def _keep(self, batch: bytes, header: BatchHeader, *, is_last: bool) -> bytes | None:
        """Return what stays of a batch: itself when nothing has to change, None when all of it goes."""
        if header.is_control:
            return self._keep_marker(batch, header, is_last=is_last)
        if header.is_transactional:
            self._open[header.producer_id] = None
        records: list[Record] = []
        if not self._aborted.include(header):
            records = [record for record in read_batch_records(batch, 0, header) if self._stays(record, header)]
        if not records:
            is_needed = is_last or header.last_offset in self._last_offsets
            return (bytes(rebuild_batch(header, ())) if header.record_count else batch) if is_needed else None
        has_new_tombstones = header.delete_horizon_ms is None and any(record.value is None for record in records)
        if len(records) == header.record_count and not has_new_tombstones:
            return batch
        return bytes(rebuild_batch(header, records, self._horizon_ms if has_new_tombstones else None))

    def _keep_marker(self, batch: bytes, header: BatchHeader, *, is_last: bool) -> bytes | None:
        """Keep a marker as long as a batch of its transaction is there: without it, that would be undecided again."""
        has_batches = header.producer_id in self._open
        self._open.pop(header.producer_id, None)
        if has_batches or is_last or self._epochs.get(header.producer_id) == header.producer_epoch:
            return batch
        if header.delete_horizon_ms is None:
            return bytes(rebuild_batch(header, list(read_batch_records(batch, 0, header)), self._horizon_ms))
        return batch if self._now_ms < header.delete_horizon_ms else None

    def _stays(self, record: Record, header: BatchHeader) -> bool:
        if record.offset >= self._keys.end_offset:
            return True  # beyond what this compaction knows of
        if record.key is None or self._keys.is_superseded(record.key, record.offset):
            return False
        horizon_ms = header.delete_horizon_ms
        return record.value is not None or horizon_ms is None or self._now_ms < horizon_ms
