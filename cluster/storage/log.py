"""One partition's log on one broker: segments, leader epochs, producers, and the rules between them.

Here: appending as a leader or as a follower, reading, truncation, flushing. Not here: recovery (`recovery`), the list
of segments (`log_segments`), searches by time (`timestamps`), which replica leads and what is committed
(`cluster.replication`).

`now_ms` is the wall clock everywhere in this room. A log never syncs: `begin_flush` says which files to sync,
the shell does it, `finish_flush` takes note (Kafka's UnifiedLog and LocalLog).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicId
from cluster.base.ports import Buffer, Disk, DiskError
from cluster.records import (
    BatchHeader,
    EndMarker,
    build_marker,
    check_batches,
    check_copied_batches,
    check_keys,
    iterate_headers,
    read_header,
    read_marker,
    stamp_append_time,
    stamp_batch,
)
from cluster.records.header import CONTROL_FLAG, LENGTH_OFFSET, LOG_APPEND_TIME_FLAG, STAMP
from cluster.storage.checkpoints import LOG_START_FILE, RECOVERY_POINT_FILE, write_offset
from cluster.storage.epochs import EpochEndOffset, EpochStart
from cluster.storage.identity import read_topic_id, write_topic_id
from cluster.storage.log_cleaning import LogCleaning
from cluster.storage.log_segments import LogSegments
from cluster.storage.producers import BatchSequence, ProducerStates
from cluster.storage.recovery import RecoveredLog, load_producers, recover_log
from cluster.storage.segment import NO_TIMESTAMP, Segment
from cluster.storage.settings import LogSettings
from cluster.storage.snapshots import delete_snapshots, write_snapshot
from cluster.storage.timestamps import TimestampOffset, find_max_timestamp, find_timestamp
from cluster.storage.transaction_index import find_aborted

DELETED_SUFFIX = "-deleted"

_RECOVERY_POINT_INTERVAL_MS = 60_000
_PRODUCER_EXPIRATION_INTERVAL_MS = 600_000


class Appended(NamedTuple):
    """What an append did. A retry of an idempotent producer did nothing: the offsets are the original's."""

    first_offset: int
    last_offset: int
    log_append_time_ms: int
    """The broker's stamp, -1 under message.timestamp.type=CreateTime."""
    duplicate: bool
    batches: tuple[BatchHeader, ...]
    """The headers as they are in the log; none when it was a duplicate."""


class Flush(NamedTuple):
    """A flush under way: sync these paths, then hand it back; everything below `offset` is durable then."""

    paths: tuple[str, ...]
    offset: int
    truncations: int
    """A truncation in between makes the flush worthless: `offset` may mean other records by then."""


class Log:
    """The log of one partition. Offsets in [`log_start_offset`, `log_end_offset`) can be read."""

    def __init__(self, disk: Disk, directory: str, settings: LogSettings, recovered: RecoveredLog, now_ms: int) -> None:
        self._disk = disk
        self.directory = directory
        self._settings = settings
        self._segments = LogSegments(disk, directory, recovered.segments)
        self.cleaning = LogCleaning(disk, directory, self._segments, recovered.cleaned_offset)
        self._epochs = recovered.epochs
        self.producers: ProducerStates = recovered.producers
        self.log_start_offset = recovered.log_start_offset
        self.log_end_offset = self._segments.active.next_offset
        self.recovery_point = recovered.recovery_point
        """All records below it survive a loss of power."""
        self._saved_recovery_point = recovered.recovery_point
        self._saved_recovery_point_ms = now_ms
        self._unflushed_since_ms = now_ms
        self._truncations = 0
        self._producers_expired_ms = now_ms
        self.topic_id = read_topic_id(disk, directory)
        """The topic that the directory was made for; None when nobody has said so yet."""

    @classmethod
    def open(cls, disk: Disk, directory: str, configs: Configs, now_ms: int) -> Log:
        """Open a log directory such as `orders-0`, or make it; damage at the tail is cut.

        `configs` are the broker's with the topic's own laid over them.
        """
        settings = LogSettings.of(configs)
        return cls(disk, directory, settings, recover_log(disk, directory, settings, now_ms), now_ms)

    @property
    def latest_epoch(self) -> int:
        """The newest leader epoch in the log, -1 when it is empty."""
        return self._epochs.latest

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        """Every leader epoch and the offset where it begins, oldest first."""
        return self._epochs.entries

    @property
    def size_bytes(self) -> int:
        """The size of all segments, without their indexes."""
        return self._segments.size_bytes

    @property
    def settings(self) -> LogSettings:
        """The configs in force."""
        return self._settings

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments, oldest first; the last one is written to."""
        return self._segments.all

    def reconfigure(self, configs: Configs) -> None:
        """Obey other configs from now on; what is written stays as it is."""
        self._settings = LogSettings.of(configs)
        for segment in self._segments.all:
            segment.index_interval_bytes = self._settings.index_interval_bytes

    def assign_topic_id(self, topic_id: TopicId) -> None:
        """Write down which topic the directory belongs to."""
        if self.topic_id != topic_id:
            write_topic_id(self._disk, self.directory, topic_id)
            self.topic_id = topic_id

    # Appending

    def append_as_leader(
        self, batches: memoryview, leader_epoch: int, now_ms: int, by_coordinator: bool = False
    ) -> Appended:
        """Check a producer's batches, give them offsets and the leader's epoch in place, and write them.

        `by_coordinator`: on a producer's behalf, whose batches have no sequence numbers then.
        `batches` must be writable; it is written to the log without a copy. Raises KafkaError: what
        `check_batches` and `ProducerStates.check` raise, RECORD_LIST_TOO_LARGE when they do not fit into a
        segment, INVALID_TIMESTAMP when a client plays broker, KAFKA_STORAGE_ERROR when the disk fails.
        """
        settings = self._settings
        checked = check_batches(batches, settings.batch_bytes_max, by_coordinator)
        if not checked:
            raise KafkaError(ErrorCode.INVALID_RECORD, "there is no batch to append")
        if len(batches) > settings.segment_bytes:
            raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, f"{len(batches)} bytes do not fit into log.segment.bytes")
        # Epochs only grow: recovery takes a batch of an older epoch behind a newer one for a ghost.
        assert leader_epoch >= self._epochs.latest, f"epoch {leader_epoch} after {self._epochs.latest}"
        if settings.is_compacted and not by_coordinator:
            check_keys(batches, checked)
        original = self._check_producers(checked)
        if original is not None:
            return Appended(original.first_offset, original.last_offset, NO_TIMESTAMP, True, ())
        first_offset = offset = self.log_end_offset
        stamped = []
        for position, header in checked:
            if header[5] & LOG_APPEND_TIME_FLAG:
                raise KafkaError(ErrorCode.INVALID_TIMESTAMP, "only brokers stamp records with LogAppendTime")
            fields = stamp_append_time(batches, position, header, now_ms) if settings.stamps_append_time else header
            STAMP.pack_into(batches, position, offset, header[1] - LENGTH_OFFSET, leader_epoch)
            stamped.append(tuple.__new__(BatchHeader, (offset, header[1], leader_epoch, *fields[3:])))
            offset += header[6] + 1
        self._write(batches, stamped, now_ms)
        append_time_ms = now_ms if settings.stamps_append_time else NO_TIMESTAMP
        return Appended(first_offset, offset - 1, append_time_ms, False, tuple(stamped))

    def append_marker(self, marker: EndMarker, leader_epoch: int, now_ms: int, is_strict: bool) -> Appended:
        """End a producer's transaction. Raises KafkaError: what `ProducerStates.check_marker` raises, or the disk."""
        assert leader_epoch >= self._epochs.latest, f"epoch {leader_epoch} after {self._epochs.latest}"
        self.producers.check_marker(marker, is_strict)
        batch = build_marker(marker, now_ms)
        stamp_batch(batch, 0, self.log_end_offset, leader_epoch)
        header = read_header(batch)
        self._write(memoryview(batch), [header], now_ms)
        return Appended(header.base_offset, header.last_offset, NO_TIMESTAMP, False, (header,))

    def append_as_follower(self, batches: Buffer, now_ms: int, leader_epoch: int | None = None) -> Appended:
        """Write batches copied from the leader, which must continue this log; only compaction leaves offsets out.

        Raises KafkaError: CORRUPT_MESSAGE (also for a newer epoch, KAFKA-18723), KAFKA_STORAGE_ERROR.
        """
        view = memoryview(batches)
        headers = [header for _, header in check_copied_batches(view)]
        expected = self.log_end_offset
        for header in headers:
            if header.base_offset < expected or (leader_epoch is not None and header.leader_epoch > leader_epoch):
                raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{self.directory} ends at {expected}, got {header[:8]}")
            if header.base_offset > expected:
                self.cleaning.allow_gaps()
            expected = header.next_offset
        appended = Appended(self.log_end_offset, expected - 1, NO_TIMESTAMP, False, tuple(headers))
        if headers:
            self._write(view, headers, now_ms)
        return appended

    def _check_producers(self, checked: list[tuple[int, BatchHeader]]) -> BatchSequence | None:
        """Return the original of a retried batch, None when the batches are new. Raises KafkaError."""
        for _, header in checked:
            if header[9] >= 0:
                if len(checked) > 1:
                    raise KafkaError(ErrorCode.INVALID_RECORD, "an idempotent producer appends one batch at a time")
                return self.producers.check(header)
        return None

    def _write(self, batches: memoryview, headers: list[BatchHeader], now_ms: int) -> None:
        """Write checked, stamped batches into as many segments as they need, and note what they say."""
        if now_ms - self._producers_expired_ms >= _PRODUCER_EXPIRATION_INTERVAL_MS:
            self.producers.expire(now_ms, self._settings.producer_expiration_ms)
            self._producers_expired_ms = now_ms
        try:
            if self._has_room(headers):
                self._append(batches, headers, now_ms)
                return
            position = 0
            for header in headers:
                if not self._has_room([header]):
                    self._roll()
                self._append(batches[position : position + header.size_bytes], [header], now_ms)
                position += header.size_bytes
        except DiskError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.directory}: {error}") from error

    def _append(self, chunk: memoryview, headers: list[BatchHeader], now_ms: int) -> None:
        if self.log_end_offset == self.recovery_point:
            self._unflushed_since_ms = now_ms
        active = self._segments.active
        active.append(chunk, headers)
        self.log_end_offset = active.next_offset
        for header in headers:
            if header[9] >= 0:
                if header[5] & CONTROL_FLAG:
                    self._note_marker(chunk, header)
                else:
                    self.producers.update(header)
        for header in headers:
            if header[2] > self._epochs.latest:
                self._epochs.assign(header[2], header[0])

    def _note_marker(self, chunk: memoryview, header: BatchHeader) -> None:
        position = next(at for at, found in iterate_headers(chunk) if found.base_offset == header.base_offset)
        marker = read_marker(chunk, position, header)
        aborted = None if marker is None else self.producers.end(header, marker)
        if aborted is not None:
            self._segments.active.aborted.append(aborted)

    def _has_room(self, headers: list[BatchHeader]) -> bool:
        settings, active = self._settings, self._segments.active
        return active.has_room(headers, settings.segment_bytes, settings.index_bytes_max) and (
            active.age_ms(headers[-1][8]) <= settings.roll_ms
        )

    def roll(self) -> None:
        """Close the active segment and begin the next one at the log's end; an empty one stays. Raises DiskError."""
        if self._segments.active.size_bytes > 0:
            self._roll()

    def _roll(self) -> None:
        self._segments.active.write_indexes(is_final=True)
        write_snapshot(self._disk, self.directory, self.log_end_offset, self.producers)
        self._segments.begin(self.log_end_offset, self._settings.index_interval_bytes)

    # Reading

    def read(self, offset: int, max_bytes: int, end_offset: int, at_least_one: bool) -> bytes:
        """Return whole batches from the one that holds `offset`, all below `end_offset`, at most `max_bytes`.

        When already the first batch is larger, `at_least_one` returns it all the same. What is returned ends
        with the segment at the latest. Raises KafkaError: OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR.
        """
        if not self.log_start_offset <= offset <= self.log_end_offset:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"offset {offset} is outside [{self.log_start_offset}, {self.log_end_offset}] of {self.directory}",
            )
        if offset >= end_offset or offset == self.log_end_offset:
            return b""
        try:
            return self._segments.holding(offset).read(offset, max_bytes, end_offset, at_least_one)
        except DiskError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.directory}: {error}") from error

    def aborted_transactions(self, records: bytes) -> list[tuple[int, int]]:
        """Return producer id and first offset of the aborted transactions that batches just read may belong to."""
        if not records or not any(len(segment.aborted) for segment in self._segments.all):
            return []
        ends = [(header.base_offset, header.next_offset) for _, header in iterate_headers(records)]
        return find_aborted(self._segments.all, ends[0][0], ends[-1][1])

    def offset_for_timestamp(self, timestamp: int) -> TimestampOffset | None:
        """Return the first record of `timestamp` or later; None when there is none. Raises KafkaError."""
        with _storage_errors(self.directory):
            return find_timestamp(self._segments.all, timestamp, self.log_start_offset)

    def max_timestamp_offset(self) -> TimestampOffset | None:
        """Return the first record that has the largest timestamp; None when the log is empty. Raises KafkaError."""
        with _storage_errors(self.directory):
            return find_max_timestamp(self._segments.all, self.log_start_offset)

    # Leader epochs

    def assign_epoch(self, epoch: int) -> None:
        """A new leader's epoch begins at the log's end."""
        self._epochs.assign(epoch, self.log_end_offset)

    def end_offset_for_epoch(self, epoch: int) -> EpochEndOffset:
        """Return the largest known epoch up to `epoch` and where it ends; (-1, -1) when `epoch` is newer than all."""
        return self._epochs.end_offset_for(epoch, self.log_end_offset)

    def epoch_for_offset(self, offset: int) -> int:
        """Return the leader epoch that holds an offset, -1 when unknown."""
        return self._epochs.epoch_at(offset)

    # Truncation

    def truncate_to(self, offset: int) -> bool:
        """Drop the records at `offset` and later; a batch that holds `offset` goes as a whole.

        Returns False when there were none.
        """
        self._epochs.truncate_from_end(offset)
        if offset >= self.log_end_offset:
            return False
        if offset <= self._segments.base_offset:
            self.truncate_fully_and_start_at(offset)
            return True
        self._truncations += 1
        self._lower_recovery_point(offset)
        self._segments.truncate_to(offset)
        self._end_truncation()
        return True

    def truncate_fully_and_start_at(self, offset: int) -> None:
        """Drop everything; the next record has this offset."""
        self._truncations += 1
        self._lower_recovery_point(offset)
        self._segments.replace_all(offset, self._settings.index_interval_bytes)
        self._epochs.clear()
        self._move_log_start(offset)
        self._end_truncation()
        self.recovery_point = offset  # there is nothing that could be lost

    def _end_truncation(self) -> None:
        self.log_end_offset = self._segments.active.next_offset
        self._lower_recovery_point(self.log_end_offset)
        self._epochs.truncate_from_end(self.log_end_offset)
        if self.log_start_offset > self.log_end_offset:
            self._move_log_start(self.log_end_offset)
        delete_snapshots(self._disk, self.directory, lambda offset: offset <= self.log_end_offset)
        if len(self.producers):  # what is left of nobody is nobody
            self.producers = load_producers(self._disk, self.directory, self._segments.all)

    def _lower_recovery_point(self, offset: int) -> None:
        """What is appended from `offset` on is not durable yet: say so on disk before the old records go."""
        self.cleaning.lost_tail(offset)
        self.recovery_point = min(self.recovery_point, offset)
        if self._saved_recovery_point > offset:
            self._save_recovery_point()

    # The start of the log

    def advance_log_start_offset(self, offset: int) -> None:
        """Make records below `offset` unreadable and delete the segments that hold nothing else.

        Nothing happens when the log starts there or later. Raises KafkaError(OFFSET_OUT_OF_RANGE) beyond its end.
        """
        if offset > self.log_end_offset:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE, f"{self.directory} ends at {self.log_end_offset}, before {offset}"
            )
        if offset <= self.log_start_offset:
            return
        self._move_log_start(offset)
        if self._segments.delete_below(offset):
            self.cleaning.lost_head()
        self._epochs.truncate_from_start(offset)
        delete_snapshots(self._disk, self.directory, lambda found: found >= self._segments.base_offset)

    def retention_offset(self, now_ms: int, committed_offset: int) -> int:
        """Return the log start offset that retention.ms and retention.bytes ask for.

        Only segments that lie wholly below `committed_offset` may go; all may, when they do.
        """
        settings = self._settings
        excess_bytes = self.size_bytes - settings.retention_bytes if settings.retention_bytes >= 0 else 0
        offset = self.log_start_offset
        for segment in self._segments.all:
            is_old = segment.max_timestamp >= 0 and 0 <= settings.retention_ms < now_ms - segment.max_timestamp
            may_go = segment.size_bytes > 0 and segment.next_offset <= committed_offset
            if not may_go or not (is_old or excess_bytes >= segment.size_bytes):
                break
            excess_bytes -= segment.size_bytes
            offset = max(offset, segment.next_offset)
        return offset

    def _move_log_start(self, offset: int) -> None:
        if offset != self.log_start_offset:
            write_offset(self._disk, self.directory, LOG_START_FILE, offset)
            self.log_start_offset = offset

    # Flushing

    def flush_due(self, now_ms: int) -> bool:
        """Whether flush.messages or flush.ms asks for a sync now."""
        unflushed = self.log_end_offset - self.recovery_point
        if unflushed <= 0:
            return False
        settings = self._settings
        return unflushed >= settings.flush_messages or now_ms - self._unflushed_since_ms >= settings.flush_ms

    @property
    def has_closed_unflushed(self) -> bool:
        """Whether a closed segment is not synced yet. Kafka syncs those in the background, after every roll."""
        return self.recovery_point < self._segments.active.base_offset

    def begin_flush(self) -> Flush:
        """Say which files to sync to make everything that is appended by now durable."""
        self._segments.active.write_indexes(is_final=False)
        paths = tuple(path for segment in self._segments.since(self.recovery_point) for path in segment.paths)
        return Flush(paths, self.log_end_offset, self._truncations)

    def finish_flush(self, flush: Flush, now_ms: int) -> None:
        """Take note that all files of a flush are synced."""
        if flush.truncations != self._truncations or flush.offset <= self.recovery_point:
            return
        has_new_segment = self._saved_recovery_point < self._segments.active.base_offset <= flush.offset
        self.recovery_point = flush.offset
        self._unflushed_since_ms = now_ms
        # The checkpoint only bounds the scan of the next start. Written at every flush it would double its price.
        if has_new_segment or now_ms - self._saved_recovery_point_ms >= _RECOVERY_POINT_INTERVAL_MS:
            self._save_recovery_point()
            self._saved_recovery_point_ms = now_ms

    def close(self) -> None:
        """Write down what makes the next start quick. Flush before: only what is synced needs no scan then."""
        self._segments.active.write_indexes(is_final=True)
        delete_snapshots(self._disk, self.directory, lambda offset: offset in self._segments.base_offsets)
        write_snapshot(self._disk, self.directory, self.log_end_offset, self.producers)
        if self._saved_recovery_point != self.recovery_point:
            self._save_recovery_point()

    def delete(self) -> None:
        """Remove the log with all its files; a crash half-way leaves a directory whose name ends in -deleted."""
        doomed = self.directory + DELETED_SUFFIX
        self._disk.delete(doomed)
        self._disk.rename(self.directory, doomed)
        self._disk.delete(doomed)

    def _save_recovery_point(self) -> None:
        write_offset(self._disk, self.directory, RECOVERY_POINT_FILE, self.recovery_point)
        self._saved_recovery_point = self.recovery_point


@contextmanager
def _storage_errors(directory: str) -> Iterator[None]:
    """Answer a failing disk as Kafka does. Appends and reads spell this out: they are called too often."""
    try:
        yield
    except DiskError as error:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{directory}: {error}") from error
