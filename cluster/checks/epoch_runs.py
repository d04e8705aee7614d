"""The history of a log as runs of leader epochs: enough to say whether two logs hold the same records.

Under one epoch one leader appends, so a record is known by its offset and its epoch (KIP-101). A log of millions of
records is a few runs.
"""

from __future__ import annotations

from bisect import bisect_right

UNKNOWN_EPOCH = -2
"""Of what nobody said anything about: it agrees with everything."""


class EpochRuns:
    """Which epoch lies at which offset, from `start` (below, nothing is known) up to `end` (exclusive)."""

    __slots__ = ("end", "epochs", "start", "starts")

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.end = start
        self.starts: list[int] = []
        self.epochs: list[int] = []

    def copy(self) -> EpochRuns:
        """Return the same history as it is now."""
        other = EpochRuns(self.start)
        other.end, other.starts, other.epochs = self.end, self.starts.copy(), self.epochs.copy()
        return other

    def append(self, base_offset: int, last_offset: int, epoch: int) -> None:
        """Records of one epoch follow; a jump means that nothing below it is known any more."""
        if base_offset != self.end:
            self.restart(base_offset)
        if not self.epochs or self.epochs[-1] != epoch:
            self.starts.append(base_offset)
            self.epochs.append(epoch)
        self.end = last_offset + 1

    def restart(self, offset: int) -> None:
        """Know nothing but where the log ends."""
        self.start = self.end = offset
        self.starts.clear()
        self.epochs.clear()

    def truncate(self, end: int) -> None:
        """Forget everything from `end` on."""
        if end >= self.end:
            return
        self.end = max(end, 0)
        while self.starts and self.starts[-1] >= self.end:
            self.starts.pop()
            self.epochs.pop()
        self.start = min(self.start, self.end)

    def epoch_at(self, offset: int) -> int:
        """The epoch of the record at an offset; UNKNOWN_EPOCH outside of what is known."""
        if not self.start <= offset < self.end:
            return UNKNOWN_EPOCH
        if offset >= self.starts[-1]:
            return self.epochs[-1]
        return self.epochs[bisect_right(self.starts, offset) - 1]

    def first_difference(self, other: EpochRuns, end: int) -> int | None:
        """The lowest offset below `end` at which both are known and differ; None when there is none."""
        offset = max(self.start, other.start)
        end = min(end, self.end, other.end)
        while offset < end:
            if self.epoch_at(offset) != other.epoch_at(offset):
                return offset
            offset = min(self._run_end(offset), other._run_end(offset))
        return None

    def _run_end(self, offset: int) -> int:
        place = bisect_right(self.starts, offset)
        return self.starts[place] if place < len(self.starts) else self.end

    def extend_from(self, other: EpochRuns, end: int) -> None:
        """Take over what another log holds from this one's end up to `end`."""
        if other.start > self.end:
            self.restart(other.start)
        while self.end < min(end, other.end):
            run_end = min(other._run_end(self.end), end)
            self.append(self.end, run_end - 1, other.epoch_at(self.end))
