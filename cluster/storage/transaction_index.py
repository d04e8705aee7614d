"""The aborted transactions of one segment, in Kafka's `.txnindex` file (class TransactionIndex, AbortedTxn).

Here: the file and its entries, and which of them a reader of committed records has to be told. A transaction is listed
in the segment that holds its abort marker. Not here: which transactions there are (`producers`).

An entry is written after its marker. Whatever makes a segment be scanned again also makes its index be built again,
out of the markers, so that a crash between the two costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple, Protocol

from cluster.base.ports import Disk

_VERSION = 0
_ENTRY = Struct(">hqqqq")
"""Version, producer id, first offset, last offset, last stable offset."""


class AbortedTransaction(NamedTuple):
    """From its first record to its marker. `last_stable_offset`: nothing below was undecided when it was aborted."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class TransactionIndex:
    """The aborted transactions whose markers lie in one segment, in the order of the markers."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self.path = path
        self.entries: list[AbortedTransaction] = []
        self.is_lost = False
        """Whether the segment has markers and the entries have to be found in the log again."""

    def __len__(self) -> int:
        return len(self.entries)

    def load(self, base_offset: int, next_offset: int) -> bool:
        """Take the file over; False when it cannot be this segment's."""
        size_bytes = self._disk.size(self.path)
        content = self._disk.read(self.path, 0, size_bytes) if size_bytes else b""
        if len(content) % _ENTRY.size:
            return False
        self.entries = [AbortedTransaction(*fields[1:]) for fields in _ENTRY.iter_unpack(content)]
        ends = [entry.last_offset for entry in self.entries]
        return ends == sorted(ends) and (not ends or (base_offset <= ends[0] and ends[-1] < next_offset))

    def append(self, entry: AbortedTransaction) -> None:
        """Add a transaction whose marker has just been written. Raises DiskError."""
        self._disk.append(self.path, (_ENTRY.pack(_VERSION, *entry),))
        self.entries.append(entry)

    def truncate_to(self, offset: int) -> None:
        """Forget what was ended by markers at `offset` and later."""
        kept = [entry for entry in self.entries if entry.last_offset < offset]
        if len(kept) < len(self.entries):
            self._disk.truncate(self.path, len(kept) * _ENTRY.size)
            self.entries = kept

    def reset(self, has_markers: bool) -> None:
        """Forget everything, because the segment was scanned anew."""
        self._disk.delete(self.path)
        self.entries = []
        self.is_lost = has_markers

    def delete(self) -> None:
        """Remove the file."""
        self._disk.delete(self.path)


class Indexed(Protocol):
    """A segment, as far as this file has to know it."""

    @property
    def next_offset(self) -> int: ...
    @property
    def aborted(self) -> TransactionIndex: ...


def find_aborted(segments: Iterable[Indexed], start: int, end: int) -> list[tuple[int, int]]:
    """Return producer id and first offset of the aborted transactions with records in [start, end), by first offset.

    Their markers may lie much later, in a later segment. The search ends at an entry that says that nothing below
    `end` was undecided any more.
    """
    found: list[tuple[int, int]] = []
    for segment in segments:
        if segment.next_offset <= start:
            continue
        for entry in segment.aborted.entries:
            if entry.last_offset >= start and entry.first_offset < end:
                found.append((entry.first_offset, entry.producer_id))
            if entry.last_stable_offset >= end:
                return [(producer_id, first_offset) for first_offset, producer_id in sorted(found)]
    return [(producer_id, first_offset) for first_offset, producer_id in sorted(found)]
