"""A disk in memory for Raft's tests: it knows what was synced, and a loss of power takes the rest.

Here: the synchronous half of the Disk port, and `mark_synced` in place of `sync`, so that a test decides when a sync
returns. Not here: the simulated disk of `cluster.runtime.sim`, which this room's tests do not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cluster.base.ports import Buffer


class MemoryDisk:
    """Files by path. `replace` is durable at once; appended bytes are after `mark_synced`."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}
        self._durable_bytes: dict[str, int] = {}

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        content = self._files.setdefault(path, bytearray())
        for chunk in chunks:
            content += chunk

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        return bytes(self._files[path][offset : offset + size_bytes])

    def size(self, path: str) -> int:
        return len(self._files.get(path, b""))

    def truncate(self, path: str, size_bytes: int) -> None:
        assert size_bytes <= len(self._files[path])
        del self._files[path][size_bytes:]
        self._durable_bytes[path] = min(self._durable_bytes.get(path, 0), size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        self._files[path] = bytearray(content)
        self._durable_bytes[path] = len(content)

    def exists(self, path: str) -> bool:
        return path in self._files or bool(self.list(path))

    def list(self, directory: str) -> list[str]:
        prefix = f"{directory}/"
        return sorted(path.removeprefix(prefix) for path in self._files if path.startswith(prefix))

    def rename(self, source: str, target: str) -> None:
        self._files[target] = self._files.pop(source)

    def delete(self, path: str) -> None:
        self._files.pop(path, None)

    async def sync(self, path: str) -> None:
        self.mark_synced(path, self.size(path))

    def mark_synced(self, path: str, size_bytes: int) -> None:
        """A sync of the file, begun when it had `size_bytes`, returns."""
        self._durable_bytes[path] = max(self._durable_bytes.get(path, 0), size_bytes)

    def lose_power(self, rng: Random) -> None:
        """Keep what was synced, a part of the rest, and perhaps a few bytes of nonsense after it."""
        for path, content in self._files.items():
            durable_bytes = self._durable_bytes.get(path, 0)
            if durable_bytes < len(content):
                del content[rng.randrange(durable_bytes, len(content) + 1) :]
                if rng.random() < 0.5:
                    content.extend(rng.randbytes(rng.randrange(0, 40)))

    def damage(self, path: str, position: int) -> None:
        """Flip the bits of one byte."""
        self._files[path][position] ^= 0xFF
