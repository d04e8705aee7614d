"""Which leader wrote which part of a log: the `leader-epoch-checkpoint` (KIP-101, class LeaderEpochFileCache).

Here: the list of (epoch, first offset) and the questions replication asks of it. An epoch that wrote nothing
disappears from the list when the next one begins at the same offset.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

from cluster.base.ids import NO_EPOCH, NO_OFFSET
from cluster.base.ports import Disk
from cluster.storage.checkpoints import read_checkpoint, write_checkpoint

_FILE = "leader-epoch-checkpoint"


class EpochStart(NamedTuple):
    """A leader epoch and the offset of its first record."""

    epoch: int
    start_offset: int


class EpochEndOffset(NamedTuple):
    """A leader epoch and the offset after its last record; (-1, -1) when the epoch is unknown."""

    epoch: int
    end_offset: int


UNKNOWN_EPOCH_END = EpochEndOffset(NO_EPOCH, NO_OFFSET)


class LeaderEpochs:
    """The epochs of one log, oldest first; epochs and offsets both grow. Every change is on disk when it returns."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._path = f"{directory}/{_FILE}"
        self._entries: list[EpochStart] = []
        self.is_known = self._load()
        """False when the file was missing or damaged, so that the epochs must be read out of the batches."""
        self.latest = self._entries[-1].epoch if self._entries else NO_EPOCH
        """The newest epoch, -1 when there is none. An attribute, because every append looks at it."""

    @property
    def entries(self) -> tuple[EpochStart, ...]:
        """All epochs, oldest first."""
        return tuple(self._entries)

    def assign(self, epoch: int, start_offset: int) -> None:
        """Begin an epoch at an offset; what contradicts it is forgotten. Nothing happens when it is known already."""
        if self._entries and self.latest == epoch and self._entries[-1].start_offset <= start_offset:
            return
        kept = [entry for entry in self._entries if entry.epoch < epoch and entry.start_offset < start_offset]
        self._change([*kept, EpochStart(epoch, start_offset)])

    def rebuild(self, start_offset: int, end_offset: int, starts: list[EpochStart]) -> None:
        """Replace what is known about the offsets in [start, end) by what the batches there say."""
        entries = [entry for entry in self._entries if entry.start_offset < start_offset]
        later = [entry for entry in self._entries if entry.start_offset >= end_offset]
        for entry in (*starts, *later):
            if not entries or entry.epoch > entries[-1].epoch:
                entries.append(entry)
        self._change(entries)

    def truncate_from_end(self, end_offset: int) -> None:
        """Forget epochs that begin at `end_offset` or later: their records are gone."""
        self._change([entry for entry in self._entries if entry.start_offset < end_offset])

    def clear(self) -> None:
        """Forget all epochs."""
        self._change([])

    def truncate_from_start(self, start_offset: int) -> None:
        """Forget epochs that end before `start_offset`; the one that holds it begins there from now on."""
        older = [entry for entry in self._entries if entry.start_offset <= start_offset]
        newer = self._entries[len(older) :]
        self._change([EpochStart(older[-1].epoch, start_offset), *newer] if older else newer)

    def end_offset_for(self, epoch: int, log_end_offset: int) -> EpochEndOffset:
        """Return the largest epoch that is at most `epoch`, and the offset after its last record.

        (-1, -1) when the epoch is newer than all known ones. An epoch older than all known ones is returned
        itself, with the offset where the oldest known one begins.
        """
        if epoch == NO_EPOCH or epoch > self.latest:
            return UNKNOWN_EPOCH_END
        if epoch == self.latest:
            return EpochEndOffset(epoch, log_end_offset)
        index = bisect_right(self._entries, epoch, key=lambda entry: entry.epoch)
        found = self._entries[index - 1].epoch if index > 0 else epoch
        return EpochEndOffset(found, self._entries[index].start_offset)

    def epoch_at(self, offset: int) -> int:
        """Return the epoch that holds an offset, -1 when it is older than all known ones."""
        index = bisect_right(self._entries, offset, key=lambda entry: entry.start_offset)
        return self._entries[index - 1].epoch if index > 0 else NO_EPOCH

    def _change(self, entries: list[EpochStart]) -> None:
        if entries == self._entries:
            return
        self._entries = entries
        self.latest = entries[-1].epoch if entries else NO_EPOCH
        write_checkpoint(self._disk, self._path, [f"{epoch} {start_offset}" for epoch, start_offset in entries])

    def _load(self) -> bool:
        lines = read_checkpoint(self._disk, self._path)
        if lines is None:
            return False
        try:
            pairs = [EpochStart(*(int(number) for number in line.split())) for line in lines]
        except (TypeError, ValueError):
            return False
        grows = all(
            before.epoch < after.epoch and before.start_offset < after.start_offset for before, after in pairwise(pairs)
        )
        self._entries = pairs if grows else []
        return grows
