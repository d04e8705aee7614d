"""Damage to files at rest: torn ends, flipped bits, an empty disk. The node that owns them may be down or not look.

Here: which bytes are hit, over any node's files. Not here: the files themselves (`node_directory`, the simulated disk).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Protocol

TORN_BYTES_MAX = 60
"""A record batch has a header of 61 bytes: one that lacks up to so many was written by half."""

LOGS = ("*/[0-9]*.log",)
"""The segments of partitions. A voter's own log is not among them: it cannot be fetched from others."""


class NodeFiles(Protocol):
    """One node's files from outside."""

    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """Each file's length, and how much of it would survive a loss of power; by path."""

    def byte(self, path: str, offset: int) -> int | None:
        """Return one byte; None when the file is not there or shorter."""

    def flip(self, path: str, offset: int, mask: int) -> None:
        """Change the bits of one byte that the mask has."""

    def cut(self, path: str, size_bytes: int) -> None:
        """Shorten a file."""

    def clear(self) -> None:
        """Remove every file."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One byte that was changed: what to change it back with, if it is still what it was made."""

    path: str
    offset: int
    mask: int
    now: int


def tear(files: NodeFiles, rng: Random) -> None:
    """Cut the end of each log as if power had gone while it was written; what was synced stays."""
    for path, (size_bytes, synced_bytes) in sorted(files.sizes().items()):
        if size_bytes > synced_bytes and fnmatchcase(path, LOGS[0]):
            files.cut(path, max(synced_bytes, size_bytes - rng.randrange(1, TORN_BYTES_MAX + 1)))


def cut_unsynced(files: NodeFiles) -> None:
    """Cut all that was not synced."""
    for path, (size_bytes, synced_bytes) in sorted(files.sizes().items()):
        if size_bytes > synced_bytes:
            files.cut(path, synced_bytes)


def rot(files: NodeFiles, patterns: Sequence[str], count: int, rng: Random) -> tuple[Flip, ...]:
    """Flip one bit in so many places; fewer when there is nothing to flip."""
    wanted = patterns or LOGS
    candidates = [
        (path, size_bytes)
        for path, (size_bytes, _) in sorted(files.sizes().items())
        if size_bytes and any(fnmatchcase(path, pattern) for pattern in wanted)
    ]
    flips: list[Flip] = []
    for _ in range(count if candidates else 0):
        path, size_bytes = rng.choice(candidates)
        offset, mask = rng.randrange(size_bytes), 1 << rng.randrange(8)
        files.flip(path, offset, mask)
        flips.append(Flip(path, offset, mask, files.byte(path, offset) or 0))
    return tuple(flips)


def restore(files: NodeFiles, flips: Sequence[Flip]) -> None:
    """Flip bits back, where the byte is still there as it was left."""
    for flip in reversed(flips):
        if files.byte(flip.path, flip.offset) == flip.now:
            files.flip(flip.path, flip.offset, flip.mask)
