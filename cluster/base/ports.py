"""The ports through which the core reaches the world: disk, clock, randomness, trace.

Here: protocols only. The live and the simulated implementations are in `cluster.runtime`;
what a node needs beyond these (channels, listeners) is `cluster.node.world`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from cluster.base.trace import TraceEvent

Buffer = bytes | bytearray | memoryview
_T = TypeVar("_T")


class DiskError(OSError):
    """A file operation failed: `errno` and `filename` say how and where (ENOSPC when full)."""


class DiskSpace(NamedTuple):
    """Where a node's files lie, how large the disk below them is, and what may still be written to it."""

    path: str
    total_bytes: int
    usable_bytes: int


class Disk(Protocol):
    """One node's files, named by a path relative to its data directory, with `/` between parts.

    Writes reach the page cache at once and survive the death of the process; only `sync`
    and `replace` make them survive a loss of power. All methods raise DiskError.
    """

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        """Write all chunks at the end of the file, creating it and its directories when missing.

        A write that fails half-way may leave a part of the bytes: the caller truncates.
        """

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Return up to `size_bytes` from `offset`; fewer when the file ends before."""

    def size(self, path: str) -> int:
        """Return the file's length in bytes; 0 when it does not exist."""

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut the file to `size_bytes`; it must exist and be at least that long."""

    def replace(self, path: str, content: bytes) -> None:
        """Write the whole file atomically **and durably**: temporary file, fsync, rename, fsync of the directory.

        Synchronous because it is rare: checkpoints, votes, identities.
        """

    def exists(self, path: str) -> bool:
        """Whether a file or a directory of that name exists."""

    def list(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted; empty when it does not exist."""

    def rename(self, source: str, target: str) -> None:
        """Give a file or a directory another name, replacing a file that has it."""

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all it holds; nothing happens when it is missing."""

    def space(self) -> DiskSpace:
        """Return where the files lie and how much room there is."""

    async def sync(self, path: str) -> None:
        """Return when all that was appended to the file before the call survives a loss of power."""


class Clock(Protocol):
    """Two clocks. The core never holds one: it is given `now_ms`."""

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back: for timeouts."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970: for record timestamps."""


class Rng(Protocol):
    """The part of `random.Random` that the core uses; seeded by whoever builds the node."""

    def random(self) -> float: ...
    def randrange(self, start: int, stop: int) -> int: ...
    def choice(self, seq: Sequence[_T]) -> _T: ...
    def getrandbits(self, k: int) -> int: ...


class Tracer(Protocol):
    """Where trace events go. Check `enabled` before an event is built: it costs nothing when nobody listens."""

    enabled: bool

    def emit(self, event: TraceEvent) -> None:
        """Record what happened, now, on the node this tracer belongs to."""


class SilentTracer:
    """The tracer of whoever has no audience."""

    enabled = False

    def emit(self, event: TraceEvent) -> None:
        """Drop the event."""
