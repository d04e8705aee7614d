"""What compaction needs of a log, and what a log remembers of compaction.

Here: where compaction goes on, whether offsets may be missing, and putting a compacted segment among the others. Not
here: what is compacted and how (`compaction`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.ports import Disk
from cluster.storage.checkpoints import CLEANER_FILE, write_offset
from cluster.storage.cleaning_plan import Dirt, measure_dirt
from cluster.storage.log_segments import LogSegments
from cluster.storage.segment import Segment
from cluster.storage.settings import LogSettings
from cluster.storage.swap_files import CLEANED


class LogCleaning:
    """The compacted side of a log, whose segments it shares."""

    def __init__(self, disk: Disk, directory: str, segments: LogSegments, cleaned_offset: int | None) -> None:
        self._disk = disk
        self._directory = directory
        self._segments = segments
        self._cleaned_offset = cleaned_offset
        self._unfinished: str | None = None
        self.losses = 0
        """Counts how often the log lost its head or its tail: a compaction under way reads what may be gone."""

    @property
    def closed_segments(self) -> Sequence[Segment]:
        """All but the one that is written to, oldest first."""
        return self._segments.closed

    @property
    def cleaned_offset(self) -> int | None:
        """Where the next compaction begins; None when no offset is missing: a gap is damage in such a log."""
        return self._cleaned_offset

    def allow_gaps(self) -> None:
        """Offsets may be missing from now on, durably: called before the first batch behind a gap is written."""
        if self._cleaned_offset is None:
            self.go_on_at(self._segments.base_offset)

    def go_on_at(self, offset: int) -> None:
        """The next compaction begins here: nothing below is dirty."""
        if offset != self._cleaned_offset:
            write_offset(self._disk, self._directory, CLEANER_FILE, offset)
            self._cleaned_offset = offset

    def lost_head(self) -> None:
        """Segments were deleted."""
        self.losses += 1

    def lost_tail(self, offset: int) -> None:
        """What is written from this offset on is dirty again."""
        self.losses += 1
        if self._cleaned_offset is not None and self._cleaned_offset > offset:
            self.go_on_at(offset)

    def measure_dirt(self, settings: LogSettings, limit_offset: int, now_ms: int) -> Dirt:
        """Say which part of the log compaction has not seen and may touch, up to `limit_offset`."""
        cleaned_offset = max(self._cleaned_offset or 0, self._segments.base_offset)
        return measure_dirt(self.closed_segments, cleaned_offset, limit_offset, now_ms, settings.cleaning)

    def begin_segment(self, base_offset: int, settings: LogSettings) -> Segment:
        """Return an empty segment under a name that a crash makes worthless."""
        self.give_up()  # what a compaction left that nobody drove to its end
        segment = Segment(self._disk, self._directory, base_offset, settings.index_interval_bytes, CLEANED)
        segment.create()
        self._unfinished = segment.path
        return segment

    def give_up(self) -> None:
        """Forget the segment that was begun, if there is one."""
        if self._unfinished is not None:
            self._disk.delete(self._unfinished)
            self._unfinished = None

    def swap_in(self, sources: Sequence[Segment], cleaned: Segment) -> None:
        """Let a synced segment take the place of those that it was made from. Raises DiskError."""
        self.allow_gaps()
        self._unfinished = None
        self._segments.swap_in(sources, cleaned)
