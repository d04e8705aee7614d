"""What compaction should read and write next: pure functions over the sizes and times of segments.

Here: which part of a log may be compacted, whether that is worth it now, and which segments become one (classes
LogCleanerManager and Cleaner). Not here: keys and records (`compaction`).

A log has a clean part, whose keys are all different, and a dirty one behind it. Segments that may be compacted are
closed, decided (below the last stable offset), synced, and not younger than `min.compaction.lag.ms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

_RELATIVE_OFFSET_MAX = 2**31 - 1


class Cleanable(Protocol):
    """What matters of a closed segment."""

    base_offset: int
    next_offset: int
    size_bytes: int
    first_timestamp: int
    max_timestamp: int

    @property
    def index_bytes(self) -> int:
        """The size of its larger index."""


C = TypeVar("C", bound=Cleanable)


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """The configs of a topic that say when and how it is compacted. Times in milliseconds, sizes in bytes."""

    min_dirty_ratio: float
    min_lag_ms: int
    max_lag_ms: int
    delete_retention_ms: int
    key_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Dirt:
    """The dirty part of a log: compaction may read [first_offset, end_offset)."""

    first_offset: int
    end_offset: int
    ratio: float
    """Dirty bytes over all bytes that may be compacted."""
    is_overdue: bool
    """Whether the oldest dirty record is older than `max.compaction.lag.ms`."""

    def is_due(self, rules: CleaningRules) -> bool:
        """Whether compaction is worth it (LogCleanerManager.grabFilthiestCompactedLog)."""
        return self.first_offset < self.end_offset and (self.is_overdue or self.ratio > rules.min_dirty_ratio)


def measure_dirt(
    closed: Sequence[Cleanable], cleaned_offset: int, limit_offset: int, now_ms: int, rules: CleaningRules
) -> Dirt:
    """Measure the dirty part of closed segments; compaction ended at `cleaned_offset` and may reach `limit_offset`.

    Like Kafka, a whole segment counts as dirty that has one dirty record.
    """
    clean_bytes = dirty_bytes = 0
    end_offset = cleaned_offset
    is_overdue = False
    for segment in closed:
        if segment.next_offset <= cleaned_offset:
            clean_bytes += segment.size_bytes
            continue
        is_young = rules.min_lag_ms > 0 and segment.max_timestamp > now_ms - rules.min_lag_ms
        if segment.next_offset > limit_offset or is_young:
            break
        dirty_bytes += segment.size_bytes
        end_offset = segment.next_offset
        is_overdue = is_overdue or 0 <= segment.first_timestamp < now_ms - rules.max_lag_ms
    total_bytes = clean_bytes + dirty_bytes
    return Dirt(cleaned_offset, end_offset, dirty_bytes / total_bytes if total_bytes else 0.0, is_overdue)


def group_segments(
    closed: Sequence[C], end_offset: int, segment_bytes: int, index_bytes_max: int
) -> list[tuple[C, ...]]:
    """Put neighbours together that fit into one segment; those that begin at `end_offset` or later are left alone.

    By their sizes before compaction, as in Kafka: what becomes of them is not known yet.
    """
    groups: list[tuple[C, ...]] = []
    size_bytes = index_bytes = 0
    for segment in closed:
        if segment.base_offset >= end_offset:
            break
        size_bytes += segment.size_bytes
        index_bytes += segment.index_bytes
        if (
            groups
            and size_bytes <= segment_bytes
            and index_bytes <= index_bytes_max
            and segment.next_offset - 1 - groups[-1][0].base_offset <= _RELATIVE_OFFSET_MAX
        ):
            groups[-1] += (segment,)
        else:
            groups.append((segment,))
            size_bytes, index_bytes = segment.size_bytes, segment.index_bytes
    return groups
