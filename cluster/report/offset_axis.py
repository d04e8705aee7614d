"""An axis of offsets that shows what matters: a stretch around each boundary to scale, everything between it folded.

Nine records lost of three thousand are one part in three hundred: on a plain axis nobody would see them. Pure
arithmetic; positions are percent of the axis.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_FOLD_SHARE = 7.0
"""Percent of the axis that a folded stretch takes."""

_FOLDS_SHARE_MAX = 45.0
"""Percent that all folded stretches may take together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets from `start` to `end`, drawn from `left` to `right` percent; `is_folded` ones are not to scale."""

    start: int
    end: int
    left: float
    right: float
    is_folded: bool


@dataclass(frozen=True, slots=True)
class OffsetAxis:
    """Maps offsets to percent."""

    stretches: tuple[Stretch, ...]

    @classmethod
    def around(cls, boundaries: Iterable[int], end: int) -> OffsetAxis:
        """Return an axis from 0 to `end` that shows each boundary to scale with a little room on both sides."""
        end = max(end, 1)
        marks = sorted({min(max(mark, 0), end) for mark in (*boundaries, end)})
        margin = max(3, round((marks[-1] - marks[0]) * 0.004))
        shown = _joined([(max(0, mark - margin), min(end, mark + margin)) for mark in marks], margin)
        pieces: list[tuple[int, int, bool]] = []
        at = 0
        for low, high in shown:
            if low > at:
                pieces.append((at, low, True))
            pieces.append((low, high, False))
            at = high
        folds = sum(folded for _, _, folded in pieces)
        fold_share = min(_FOLD_SHARE, _FOLDS_SHARE_MAX / folds) if folds else 0.0
        length = sum(high - low for low, high, folded in pieces if not folded)
        per_offset = (100 - folds * fold_share) / max(length, 1)
        stretches: list[Stretch] = []
        left = 0.0
        for low, high, folded in pieces:
            right = left + (fold_share if folded else (high - low) * per_offset)
            stretches.append(Stretch(low, high, round(left, 3), round(right, 3), folded))
            left = right
        return cls(tuple(stretches))

    def place(self, offset: int) -> float:
        """Percent at which an offset begins."""
        for stretch in self.stretches:
            if offset <= stretch.end:
                share = (offset - stretch.start) / (stretch.end - stretch.start)
                return round(stretch.left + max(share, 0.0) * (stretch.right - stretch.left), 3)
        return 100.0


def _joined(spans: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Join spans that overlap or leave less than `gap` between them; the first begins at 0 when it is near."""
    joined: list[tuple[int, int]] = []
    for low, high in spans:
        start = 0 if not joined and low <= gap else low
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((start, high))
    return joined
