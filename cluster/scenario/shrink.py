"""Shrinking: from a scenario that fails to a small one that fails in the same way (Zeller's delta debugging).

Here: which candidate is tried next, and when it is enough. Not here: what a candidate leaves out (`reductions`), or
how it is run: a batch of candidates is handed out at once, so that all cores can try them side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from cluster.scenario.document import Document
from cluster.scenario.reductions import REDUCTIONS, Reduction

FirstAlike = Callable[[Sequence[Document]], int | None]
"""Tries documents; returns the number of the first in their order that fails in the same way, None when none does."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest document that was found, and what it took. `is_minimal`: nothing more could be left out."""

    document: Document
    tried: int
    is_minimal: bool


def shrink(document: Document, first_alike: FirstAlike, *, tries_max: int, batch: int = 1) -> Shrunk:
    """Leave out whatever can be left out, until nothing more can or `tries_max` documents were tried.

    The same document and the same answers give the same result, whatever the `batch`: the first candidate in order
    wins, not the first to finish.
    """
    tried = 0
    has_shrunk = True
    while has_shrunk:
        has_shrunk = False
        for reduction in REDUCTIONS:
            smaller, used = _exhaust(reduction, document, first_alike, tries_max - tried, batch)
            tried += used
            has_shrunk = has_shrunk or smaller is not document
            document = smaller
            if tried >= tries_max:
                return Shrunk(document, tried, is_minimal=False)
    return Shrunk(document, tried, is_minimal=True)


def _exhaust(
    reduction: Reduction, document: Document, first_alike: FirstAlike, tries_max: int, batch: int
) -> tuple[Document, int]:
    """Apply one reduction for as long as it helps; return what is left and how many tries that took."""
    tried = 0
    candidates = reduction(document)
    while tried < tries_max:
        batch_now = _next(candidates, min(batch, tries_max - tried))
        if not batch_now:
            break
        tried += len(batch_now)
        winner = first_alike(batch_now)
        if winner is not None:
            document = batch_now[winner]
            candidates = reduction(document)
    return document, tried


def _next(candidates: Iterator[Document], count: int) -> list[Document]:
    return list(islice(candidates, count))
