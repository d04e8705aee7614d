"""The segments of one log, in the order of their offsets (class LogSegments).

Here: which segment holds an offset, the one that is written to, and taking segments away at the head or the tail or
putting a compacted one among them. Not here: one segment's batches (`segment`), why segments come and go (`log`,
`log_cleaning`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from cluster.base.ports import Disk
from cluster.storage.segment import Segment
from cluster.storage.swap_files import swap_segments


class LogSegments:
    """Never empty: the last segment is `active`, the others are closed and do not change any more."""

    def __init__(self, disk: Disk, directory: str, segments: Sequence[Segment]) -> None:
        self._disk = disk
        self._directory = directory
        self._segments = list(segments)
        self._base_offsets = [segment.base_offset for segment in segments]
        self.active = self._segments[-1]
        """The segment that is written to."""

    @property
    def all(self) -> Sequence[Segment]:
        """Every segment, oldest first."""
        return self._segments

    @property
    def closed(self) -> Sequence[Segment]:
        """All but the active one, oldest first."""
        return self._segments[:-1]

    @property
    def base_offset(self) -> int:
        """Where the oldest segment begins."""
        return self._base_offsets[0]

    @property
    def base_offsets(self) -> Sequence[int]:
        """Where every segment begins, ascending."""
        return self._base_offsets

    @property
    def size_bytes(self) -> int:
        """The size of all segments, without their indexes."""
        return sum(segment.size_bytes for segment in self._segments)

    def holding(self, offset: int) -> Segment:
        """Return the segment that an offset is in; the oldest one for what precedes it."""
        return self.active if offset >= self.active.base_offset else self._segments[self._index_of(offset)]

    def since(self, offset: int) -> Sequence[Segment]:
        """Return the segment that an offset is in and all that follow."""
        return self._segments[self._index_of(offset) :]

    def _index_of(self, offset: int) -> int:
        return max(0, bisect_right(self._base_offsets, offset) - 1)

    def begin(self, base_offset: int, index_interval_bytes: int) -> None:
        """Go on in a new segment. Raises DiskError."""
        segment = Segment(self._disk, self._directory, base_offset, index_interval_bytes)
        segment.create()
        self._segments.append(segment)
        self._base_offsets.append(base_offset)
        self.active = segment

    def truncate_to(self, offset: int) -> None:
        """Drop the batches at `offset`, which lies behind the oldest base offset, and later. Raises DiskError."""
        assert offset > self.base_offset, f"{offset} leaves no segment of {self._directory}"
        while self.active.base_offset >= offset:
            self._delete(-1)
            self.active = self._segments[-1]
        self.active.truncate_to(offset)

    def replace_all(self, base_offset: int, index_interval_bytes: int) -> None:
        """Delete every segment and begin again at this offset. Raises DiskError."""
        while self._segments:
            self._delete(-1)
        self.begin(base_offset, index_interval_bytes)

    def delete_below(self, offset: int) -> bool:
        """Delete the closed segments that end at `offset` or before; False when there were none. Raises DiskError."""
        count = len(self._segments)
        while len(self._segments) > 1 and self._base_offsets[1] <= offset:
            self._delete(0)
        return len(self._segments) < count

    def _delete(self, index: int) -> None:
        del self._base_offsets[index]
        self._segments.pop(index).delete()

    def swap_in(self, sources: Sequence[Segment], cleaned: Segment) -> None:
        """Let a synced segment take the place of the closed neighbours that it was made from. Raises DiskError."""
        first = self._index_of(sources[0].base_offset)
        last = first + len(sources)
        assert self._segments[first:last] == list(sources), "a log that lost something is not compacted on"
        assert last < len(self._segments), "the active segment is not compacted"
        assert cleaned.next_offset == sources[-1].next_offset, "the last batch of a segment stays"
        swap_segments(self._disk, sources, cleaned)
        self._segments[first:last] = [cleaned]
        self._base_offsets[first:last] = [cleaned.base_offset]
