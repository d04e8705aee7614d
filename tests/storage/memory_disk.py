"""A disk in memory for the tests of storage: it knows what is synced, counts reads, and fails on demand.

Not the simulated disk of `cluster.runtime.sim`: storage is tested below the runtime, with cuts the test chooses.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from cluster.base.ports import Buffer, DiskError


class MemoryDisk:
    """The Disk port over a dictionary of bytearrays."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.synced: dict[str, int] = {}
        self.read_bytes = 0
        self.room_bytes: int | None = None
        """How many more bytes fit; None for no limit."""

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
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
        self.files[path] = bytearray(content)
        self.synced[path] = len(content)

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def list(self, directory: str) -> list[str]:
        inside = f"{directory}/"
        return sorted({name[len(inside) :].split("/")[0]: None for name in self.files if name.startswith(inside)})

    def rename(self, source: str, target: str) -> None:
        for name in [name for name in self.files if name == source or name.startswith(f"{source}/")]:
            self.files[target + name[len(source) :]] = self.files.pop(name)

    def delete(self, path: str) -> None:
        for name in [name for name in self.files if name == path or name.startswith(f"{path}/")]:
            del self.files[name]
            self.synced.pop(name, None)

    async def sync(self, path: str) -> None:
        self.sync_now(path)

    def sync_now(self, path: str) -> None:
        """Sync without a loop."""
        self.synced[path] = len(self._file(path))

    def lose_power(self, survivors_percent: int) -> None:
        """Keep of each file what is synced, and so much of the rest."""
        for path, content in self.files.items():
            synced = self.synced.get(path, 0)
            del content[synced + (len(content) - synced) * survivors_percent // 100 :]
            self.synced[path] = len(content)

    def copy(self) -> MemoryDisk:
        """Return an independent disk with the same files."""
        other = MemoryDisk()
        other.files = {path: bytearray(content) for path, content in self.files.items()}
        other.synced = dict(self.synced)
        return other

    def _file(self, path: str) -> bytearray:
        if path not in self.files:
            raise DiskError(errno.ENOENT, "no such file", path)
        return self.files[path]
