"""A machine's disk: files in memory that know which of their bytes would survive a loss of power.

Here: the Disk port, and what a power loss leaves. The page cache is modelled for file contents only: creating,
truncating, renaming and deleting files is durable at once, as the journal of a file system nearly makes it.
What was appended and not synced becomes durable when it is older than the writeback time; at a power loss a seeded
part of the rest survives, cut at any byte, and sometimes followed by zeros where blocks were allotted but not written.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from cluster.base.ports import Buffer, DiskError, DiskSpace

SYNC_MS_MIN = 0.2
SYNC_MS_MAX = 2.0
UNLIMITED_BYTES = 2**40
"""What a disk without a capacity says of itself."""

WRITEBACK_MARKS_MAX = 16
"""How finely the age of dirty bytes is kept: this many marks in one writeback time."""

ZEROED_TAIL_CHANCE = 0.1
ZEROED_TAIL_BYTES_MAX = 512


class SimFile:
    """One file's bytes, and how many of them from the start are durable."""

    __slots__ = ("content", "durable_bytes", "marks", "syncs")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable_bytes = 0
        self.marks: deque[list[float]] = deque()  # [written from this time on, size after]
        self.syncs: list[list[int]] = []  # sizes that running syncs will make durable

    def truncate(self, size_bytes: int) -> None:
        """Cut, and let nothing that was cut become durable later."""
        del self.content[size_bytes:]
        self.durable_bytes = min(self.durable_bytes, size_bytes)
        for mark in self.marks:
            mark[1] = min(mark[1], size_bytes)
        for sync in self.syncs:
            sync[0] = min(sync[0], size_bytes)

    def written(self, now: float, writeback_s: float) -> None:
        """Note that bytes were added just now, and now and then that old ones have been written back."""
        marks = self.marks
        if marks and now - marks[-1][0] < writeback_s / WRITEBACK_MARKS_MAX:
            marks[-1][1] = len(self.content)
        else:
            self.write_back(now, writeback_s)
            marks.append([now, len(self.content)])

    def write_back(self, now: float, writeback_s: float) -> None:
        """Make durable what is old enough; a mark's bytes are as old as the youngest of them."""
        age_s = writeback_s * (1 + 1 / WRITEBACK_MARKS_MAX)
        while self.marks and self.marks[0][0] + age_s <= now:
            self.durable_bytes = max(self.durable_bytes, int(self.marks.popleft()[1]))


class SimDisk:
    """The Disk port over memory. `capacity_bytes` makes it full, `sync_delay_ms` makes it slow; both may change."""

    def __init__(self, name: str, rng: Random, now: Callable[[], float], writeback_ms: float) -> None:
        self.capacity_bytes: int | None = None
        self.sync_delay_ms = 0.0
        self._name = name
        self._rng = rng
        self._now = now
        self._writeback_s = writeback_ms / 1000
        self._files: dict[str, SimFile] = {}
        self._used_bytes = 0

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        """Add bytes. Raises DiskError(ENOSPC) when the disk is full; as much as fits is written."""
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = SimFile()
        for chunk in chunks:
            if self.capacity_bytes is not None and self._used_bytes + len(chunk) > self.capacity_bytes:
                room = max(0, self.capacity_bytes - self._used_bytes)
                self._add(file, chunk[:room])
                raise DiskError(errno.ENOSPC, "no space left on device", path)
            self._add(file, chunk)

    def _add(self, file: SimFile, data: Buffer) -> None:
        file.content += data
        self._used_bytes += len(data)
        file.written(self._now(), self._writeback_s)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file."""
        return bytes(memoryview(self._file(path).content)[offset : offset + size_bytes])

    def size(self, path: str) -> int:
        """Return the length, 0 for a file that does not exist."""
        file = self._files.get(path)
        return len(file.content) if file is not None else 0

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file. Raises DiskError when it is shorter than that."""
        file = self._file(path)
        if size_bytes > len(file.content):
            raise DiskError(errno.EINVAL, f"the file has only {len(file.content)} bytes, not {size_bytes}", path)
        self._used_bytes -= len(file.content) - size_bytes
        file.truncate(size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        """Put a durable file in place of what had the name."""
        old_bytes = self.size(path)
        if self.capacity_bytes is not None and self._used_bytes + len(content) > self.capacity_bytes:
            raise DiskError(errno.ENOSPC, "no space left on device", path)
        file = self._files[path] = SimFile()
        file.content += content
        file.durable_bytes = len(content)
        self._used_bytes += len(content) - old_bytes

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name, or a directory with a file in it."""
        inside = f"{path}/"
        return path in self._files or any(name.startswith(inside) for name in self._files)

    def list(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted."""
        inside = f"{directory.rstrip('/')}/" if directory not in ("", ".", "/") else ""
        names = {name[len(inside) :].split("/", 1)[0]: None for name in self._files if name.startswith(inside)}
        return sorted(names)

    def rename(self, source: str, target: str) -> None:
        """Rename a file, or a directory with all in it. Raises DiskError when there is no source."""
        if source in self._files:
            self._used_bytes -= self.size(target)
            self._files[target] = self._files.pop(source)
            return
        inside = f"{source}/"
        moved = [name for name in self._files if name.startswith(inside)]
        if not moved:
            raise DiskError(errno.ENOENT, "no such file or directory", source)
        for name in moved:
            self._files[f"{target}/{name[len(inside) :]}"] = self._files.pop(name)

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all in it."""
        inside = f"{path}/"
        for name in [name for name in self._files if name == path or name.startswith(inside)]:
            self._used_bytes -= len(self._files.pop(name).content)

    def space(self) -> DiskSpace:
        """Return the capacity, or that of a large disk, and what is left of it."""
        total_bytes = UNLIMITED_BYTES if self.capacity_bytes is None else self.capacity_bytes
        return DiskSpace(f"/{self._name}", total_bytes, max(0, total_bytes - self._used_bytes))

    async def sync(self, path: str) -> None:
        """Make durable what the file holds now, after a seeded delay. Never ends for a process that dies."""
        file = self._file(path)
        sync = [len(file.content)]
        file.syncs.append(sync)
        delay_ms = SYNC_MS_MIN + self._rng.random() * (SYNC_MS_MAX - SYNC_MS_MIN) + self.sync_delay_ms
        try:
            await asyncio.sleep(delay_ms / 1000)
            file.durable_bytes = max(file.durable_bytes, sync[0])
        finally:
            file.syncs = [other for other in file.syncs if other is not sync]

    def lose_power(self) -> None:
        """Keep of each file what is durable and a seeded part of the rest."""
        now = self._now()
        for file in self._files.values():
            file.write_back(now, self._writeback_s)
            written_bytes = len(file.content)
            survivors = self._rng.randint(file.durable_bytes, written_bytes)
            del file.content[survivors:]
            lost_bytes = written_bytes - survivors
            if lost_bytes and self._rng.random() < ZEROED_TAIL_CHANCE:
                file.content += bytes(self._rng.randint(1, min(lost_bytes, ZEROED_TAIL_BYTES_MAX)))
            self._used_bytes -= written_bytes - len(file.content)
            file.durable_bytes = len(file.content)
            file.marks.clear()
            file.syncs = []

    # --- damage, done from outside ---

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Each file's length, and how much of it would survive a loss of power; by path."""
        for file in self._files.values():
            file.write_back(self._now(), self._writeback_s)
        return {path: (len(file.content), file.durable_bytes) for path, file in self._files.items()}

    def byte(self, path: str, offset: int) -> int | None:
        """Return one byte; None when the file is not there or shorter."""
        file = self._files.get(path)
        return None if file is None or offset >= len(file.content) else file.content[offset]

    def flip(self, path: str, offset: int, mask: int) -> None:
        """Change the bits of one byte that the mask has."""
        self._file(path).content[offset] ^= mask

    def cut(self, path: str, size_bytes: int) -> None:
        """Shorten a file."""
        self.truncate(path, size_bytes)

    def clear(self) -> None:
        """Remove every file."""
        self._files.clear()
        self._used_bytes = 0

    def _file(self, path: str) -> SimFile:
        file = self._files.get(path)
        if file is None:
            raise DiskError(errno.ENOENT, f"no such file on {self._name}", path)
        return file
