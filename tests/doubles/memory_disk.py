"""A disk in memory, for tests of rooms below the runtime: it knows what is synced, counts reads, and fails on demand.

Not the simulated disk of `cluster.runtime.sim`: here the test itself says when a sync returns and what a cut leaves.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from random import Random

from cluster.base.ports import Buffer, DiskError, DiskSpace


class MemoryDisk:
    """The Disk port over a dictionary of bytearrays."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.synced: dict[str, int] = {}
        self.read_bytes = 0
        self.room_bytes: int | None = None
        """How many more bytes fit; None for no limit."""
        self.is_broken = False
        """Whether reading and every change fail."""

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        self._check_whole(path)
        file = self.files.setdefault(path, bytearray())
        for chunk in chunks:
            if self.room_bytes is not None:
                room = self.room_bytes
                self.room_bytes = max(0, room - len(chunk))
                if len(chunk) > room:
                    file += chunk[:room]
                    raise DiskError(errno.ENOSPC, "no space left", path)
            file += chunk

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        content = bytes(memoryview(self._file(path))[offset : offset + size_bytes])
        self.read_bytes += len(content)
        return content

    def size(self, path: str) -> int:
        return len(self.files.get(path, b""))

    def truncate(self, path: str, size_bytes: int) -> None:
        assert size_bytes <= len(self._file(path))
        del self.files[path][size_bytes:]
        self.synced[path] = min(self.synced.get(path, 0), size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        self._check_whole(path)
        self.files[path] = bytearray(content)
        self.synced[path] = len(content)

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def list(self, directory: str) -> list[str]:
        inside = f"{directory}/" if directory else ""
        return sorted({name[len(inside) :].split("/")[0]: None for name in self.files if name.startswith(inside)})

    def rename(self, source: str, target: str) -> None:
        for name in [name for name in self.files if name == source or name.startswith(f"{source}/")]:
            renamed = target + name[len(source) :]
            self.files[renamed] = self.files.pop(name)
            self.synced[renamed] = self.synced.pop(name, 0)

    def delete(self, path: str) -> None:
        for name in [name for name in self.files if name == path or name.startswith(f"{path}/")]:
            del self.files[name]
            self.synced.pop(name, None)

    def space(self) -> DiskSpace:
        return DiskSpace("/memory", 2**40, 2**40)

    async def sync(self, path: str) -> None:
        self.sync_now(path)

    def sync_now(self, path: str) -> None:
        """Sync without a loop."""
        self.mark_synced(path, len(self._file(path)))

    def mark_synced(self, path: str, size_bytes: int) -> None:
        """A sync of the file, begun when it had `size_bytes`, returns."""
        self.synced[path] = max(self.synced.get(path, 0), size_bytes)

    def lose_power(self, survivors_percent: int) -> None:
        """Keep of each file what is synced, and so much of the rest."""
        for path, content in self.files.items():
            synced = self.synced.get(path, 0)
            del content[synced + (len(content) - synced) * survivors_percent // 100 :]
            self.synced[path] = len(content)

    def lose_power_raggedly(self, rng: Random) -> None:
        """Keep what is synced, a part of the rest, and perhaps a few bytes of nonsense after it."""
        for path, content in self.files.items():
            synced = self.synced.get(path, 0)
            if synced < len(content):
                del content[rng.randrange(synced, len(content) + 1) :]
                if rng.random() < 0.5:
                    content.extend(rng.randbytes(rng.randrange(0, 40)))

    def damage(self, path: str, position: int) -> None:
        """Flip the bits of one byte."""
        self.files[path][position] ^= 0xFF

    def copy(self) -> MemoryDisk:
        """Return an independent disk with the same files."""
        other = MemoryDisk()
        other.files = {path: bytearray(content) for path, content in self.files.items()}
        other.synced = dict(self.synced)
        return other

    def _file(self, path: str) -> bytearray:
        self._check_whole(path)
        if path not in self.files:
            raise DiskError(errno.ENOENT, "no such file", path)
        return self.files[path]

    def _check_whole(self, path: str) -> None:
        if self.is_broken:
            raise DiskError(errno.EIO, "broken", path)
