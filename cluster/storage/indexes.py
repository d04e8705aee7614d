"""The two sparse indexes of a segment: offset to file position, timestamp to offset (classes OffsetIndex, TimeIndex).

Here: sorted arrays in memory, and Kafka's file format: big-endian, offsets relative to the segment's base.
Entries go to the file in groups, when the segment is rolled, flushed or closed: the file is only read after a
clean start, and a crash rebuilds it from the log. Not here: when an entry is due (`segment`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from struct import Struct

from cluster.base.ports import Disk

OFFSET_ENTRY = Struct(">ii")
"""Relative offset of a batch's last record, position of the batch in the log file."""

TIME_ENTRY = Struct(">qi")
"""A timestamp larger than all before it, relative offset of the last record of the batch that has it."""


class SparseIndex:
    """Pairs of numbers, both growing, written to a file as fixed-size entries."""

    def __init__(self, disk: Disk, path: str, entry: Struct) -> None:
        self._disk = disk
        self.path = path
        self._entry = entry
        self.keys = array("q")
        self.values = array("q")
        self._written_count = 0

    def __len__(self) -> int:
        return len(self.keys)

    def append(self, key: int, value: int) -> None:
        """Add a pair; both numbers are as they go to the file."""
        self.keys.append(key)
        self.values.append(value)

    def floor(self, key: int) -> int:
        """Return the number of the last entry whose key is at most `key`; -1 when there is none."""
        return bisect_right(self.keys, key) - 1

    def write_pending(self) -> None:
        """Bring the file up to date."""
        if self._written_count < len(self.keys):
            first = self._written_count
            pack = self._entry.pack
            pairs = zip(self.keys[first:], self.values[first:], strict=True)
            self._disk.append(self.path, (b"".join(pack(key, value) for key, value in pairs),))
            self._written_count = len(self.keys)

    def load(self) -> bool:
        """Read the file; False when it cannot be what was written: a torn entry, or numbers that do not grow."""
        content = self._disk.read(self.path, 0, self._disk.size(self.path)) if self._disk.exists(self.path) else b""
        if len(content) % self._entry.size:
            return False
        pairs = list(self._entry.iter_unpack(content))
        self.keys = array("q", (key for key, _ in pairs))
        self.values = array("q", (value for _, value in pairs))
        self._written_count = len(pairs)
        return _grows(self.keys) and _grows(self.values)

    def cut_values_from(self, value: int) -> None:
        """Drop the entries whose value is `value` or more, in the file too."""
        self._cut(bisect_left(self.values, value))

    def reset(self) -> None:
        """Forget everything and remove the file."""
        self.keys = array("q")
        self.values = array("q")
        self._written_count = 0
        self._disk.delete(self.path)

    def _cut(self, count: int) -> None:
        del self.keys[count:]
        del self.values[count:]
        if count < self._written_count:
            self._disk.truncate(self.path, count * self._entry.size)
            self._written_count = count


def _grows(numbers: array[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))
