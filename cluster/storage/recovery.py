"""Opening a log after whatever happened: a clean stop, the death of the process, a loss of power.

Here: deciding what can be trusted and repairing the rest (Kafka's LogLoader). Everything below the recovery
point was synced and is taken as it is, unless sizes or indexes contradict it. Everything else is read batch by
batch: the log ends before the first batch that is damaged or does not continue what precedes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.base.ports import Disk
from cluster.records import BatchHeader, read_marker
from cluster.storage.checkpoints import CLEANER_FILE, LOG_START_FILE, RECOVERY_POINT_FILE, read_offset, write_offset
from cluster.storage.epochs import LeaderEpochs
from cluster.storage.producers import ProducerStates
from cluster.storage.segment import Segment
from cluster.storage.settings import LogSettings
from cluster.storage.snapshots import list_snapshots, read_snapshot, snapshot_path
from cluster.storage.swap_files import finish_swaps


@dataclass(frozen=True, slots=True)
class RecoveredLog:
    """What was found in a log directory; there is at least one segment."""

    segments: list[Segment]
    epochs: LeaderEpochs
    producers: ProducerStates
    log_start_offset: int
    recovery_point: int
    cleaned_offset: int | None
    """Where compaction goes on; None when no offset was ever left out."""


def recover_log(disk: Disk, directory: str, settings: LogSettings, now_ms: int) -> RecoveredLog:
    """Load a log directory, cutting what is damaged; an empty or missing one becomes an empty log."""
    finish_swaps(disk, directory)
    cleaned_offset = read_offset(disk, directory, CLEANER_FILE)
    if cleaned_offset is None and disk.exists(f"{directory}/{CLEANER_FILE}"):
        cleaned_offset = 0  # unreadable, but there
    epochs = LeaderEpochs(disk, directory)
    saved_recovery_point = read_offset(disk, directory, RECOVERY_POINT_FILE) or 0
    trusted_offset = saved_recovery_point if epochs.is_known else 0
    segments = _load_segments(disk, directory, settings, epochs, trusted_offset, has_gaps=cleaned_offset is not None)
    log_start_offset = max(
        read_offset(disk, directory, LOG_START_FILE) or 0, segments[0].base_offset if segments else 0
    )
    if not segments or segments[-1].next_offset < log_start_offset:
        for segment in segments:
            segment.delete()
        segments = [Segment(disk, directory, log_start_offset, settings.index_interval_bytes)]
        segments[0].create()
    while len(segments) > 1 and segments[1].base_offset <= log_start_offset:
        segments.pop(0).delete()
    log_end_offset = segments[-1].next_offset
    epochs.truncate_from_end(log_end_offset)
    epochs.truncate_from_start(log_start_offset)
    recovery_point = min(saved_recovery_point, log_end_offset)
    if recovery_point < saved_recovery_point:
        write_offset(disk, directory, RECOVERY_POINT_FILE, recovery_point)
    producers = load_producers(disk, directory, segments)
    producers.expire(now_ms, settings.producer_expiration_ms)
    return RecoveredLog(segments, epochs, producers, log_start_offset, recovery_point, cleaned_offset)


def load_producers(disk: Disk, directory: str, segments: Sequence[Segment]) -> ProducerStates:
    """Rebuild what the log remembers of producers: the newest sound snapshot, then the batches behind it.

    Where indexes of aborted transactions were lost, the batches are read from there on, and the indexes made anew.
    """
    log_end_offset = segments[-1].next_offset
    read_from = next((segment.base_offset for segment in segments if segment.aborted.is_lost), log_end_offset)
    start_offset = segments[0].base_offset
    producers = ProducerStates()
    for offset in reversed(list_snapshots(disk, directory)):
        found = read_snapshot(disk, directory, offset) if offset <= log_end_offset else None
        if found is not None and offset > read_from:
            continue
        if found is not None:
            producers, start_offset = found, offset
            break
        disk.delete(snapshot_path(directory, offset))  # torn, or of records that are gone
    for segment in segments:
        if segment.next_offset > start_offset:
            position = segment.locate(start_offset) if start_offset > segment.base_offset else 0
            for found_at, header in segment.headers(position):
                if header.has_producer_id:
                    _replay(producers, segment, found_at, header)
        segment.aborted.is_lost = False
    return producers


def _replay(producers: ProducerStates, segment: Segment, position: int, header: BatchHeader) -> None:
    marker = read_marker(segment.read_batch(position, header), 0, header) if header.is_control else None
    if marker is None:
        producers.update(header)
        return
    aborted = producers.end(header, marker)
    if aborted is not None and segment.aborted.is_lost:
        segment.aborted.append(aborted)


def _load_segments(
    disk: Disk, directory: str, settings: LogSettings, epochs: LeaderEpochs, trusted_offset: int, *, has_gaps: bool
) -> list[Segment]:
    """Load or recover segment after segment, until one is damaged or missing; what lies behind it is deleted."""
    segments: list[Segment] = []
    is_whole = True
    for base_offset in _base_offsets(disk, directory):
        segment = Segment(disk, directory, base_offset, settings.index_interval_bytes)
        if not is_whole or (segments and segments[-1].next_offset != base_offset):
            is_whole = False
            segment.delete()
            continue
        segments.append(segment)
        if segment.load() and segment.next_offset <= trusted_offset:
            continue
        starts, is_whole = segment.recover(epochs.epoch_at(base_offset - 1), has_gaps)
        epochs.rebuild(base_offset, segment.next_offset, starts)
    for segment in segments[:-1]:
        segment.write_indexes(is_final=True)
    return segments


def _base_offsets(disk: Disk, directory: str) -> list[int]:
    names = (name.removesuffix(".log") for name in disk.list(directory) if name.endswith(".log"))
    return sorted(int(name) for name in names if name.isdigit())
