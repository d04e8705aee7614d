"""A disk that fails as it is told to, around any other disk: full, failing, slow, lying, misreading.

Here: what a process sees of such a disk; the same code over simulated and real files. Not here: damage to files at rest
(`cluster.lab.damage`), and what a loss of power takes (each world's own business).

Without rules the methods of this object *are* those of the disk within: no call comes between.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cluster.base.ports import Buffer, Disk, DiskError, DiskSpace, Rng


@dataclass(frozen=True, slots=True)
class DiskRule:
    """What ails one node's disk.

    `kind` is `full` (nothing more can be written), `error` (EIO on some of `operations`: read, write, sync), `slow` (a
    sync takes `latency_ms` and up to `jitter_ms` longer), `lie` (a sync says that it is done and did nothing) or
    `misread` (one bit of what is read is wrong). `files` are patterns such as `orders-0/*.log`; none means all. `rate`
    is a chance.
    """

    node: str
    kind: str
    operations: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    rate: float = 1.0
    latency_ms: float = 0.0
    jitter_ms: float = 0.0


OPERATIONS = ("read", "write", "sync")
"""What can fail with an error."""


class FaultyDisk:
    """The Disk port, with rules."""

    def __init__(self, bare: Disk, rng: Rng) -> None:
        self._bare = bare
        self._rng = rng
        self._rules: tuple[DiskRule, ...] = ()
        self.__dict__.update(append=bare.append, read=bare.read, sync=bare.sync, replace=bare.replace)

    def obey(self, rules: Iterable[DiskRule]) -> None:
        """Put these rules in force, in place of all that were."""
        self._rules = tuple(rules)
        names = ("append", "read", "sync", "replace")
        source = self._faulty_methods() if self._rules else {name: getattr(self._bare, name) for name in names}
        self.__dict__.update(source)  # into the instance, which Python looks at before the class

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        """Write at the end of the file. Raises DiskError when the disk is full or fails."""
        self._refuse_when_full(path)
        self._fail("write", path)
        self._bare.append(path, chunks)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file, perhaps with a wrong bit. Raises DiskError when the disk fails."""
        self._fail("read", path)
        content = self._bare.read(path, offset, size_bytes)
        if content and self._hits("misread", path):
            wrong = bytearray(content)
            last_quarter = 3 * len(wrong) // 4  # the head of a batch lies outside its checksum: it would be believed
            wrong[self._rng.randrange(last_quarter, len(wrong))] ^= 1 << self._rng.randrange(0, 8)
            return bytes(wrong)
        return content

    def replace(self, path: str, content: bytes) -> None:
        """Write the whole file. Raises DiskError when the disk is full or fails."""
        self._refuse_when_full(path)
        self._fail("write", path)
        self._bare.replace(path, content)

    async def sync(self, path: str) -> None:
        """Make durable what was appended: late, never, or with an error. Raises DiskError when the disk fails."""
        self._fail("sync", path)
        delay_ms = sum(rule.latency_ms + rule.jitter_ms * self._rng.random() for rule in self._rules_of("slow", path))
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if not self._hits("lie", path):
            await self._bare.sync(path)

    # --- what no fault changes ---

    def size(self, path: str) -> int:
        """Return the file's length in bytes; 0 when it does not exist."""
        return self._bare.size(path)

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut the file to `size_bytes`."""
        self._bare.truncate(path, size_bytes)

    def exists(self, path: str) -> bool:
        """Whether a file or a directory of that name exists."""
        return self._bare.exists(path)

    def rename(self, source: str, target: str) -> None:
        """Give a file or a directory another name, replacing a file that has it."""
        self._bare.rename(source, target)

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all it holds."""
        self._bare.delete(path)

    def space(self) -> DiskSpace:
        """Return where the files lie and how much room there is."""
        return self._bare.space()

    # --- inside ---

    def _faulty_methods(self) -> dict[str, object]:
        kind = type(self)
        return {name: getattr(kind, name).__get__(self) for name in ("append", "read", "sync", "replace")}

    def _rules_of(self, kind: str, path: str) -> Sequence[DiskRule]:
        return [
            rule
            for rule in self._rules
            if rule.kind == kind and (not rule.files or any(fnmatchcase(path, pattern) for pattern in rule.files))
        ]

    def _hits(self, kind: str, path: str) -> bool:
        return any(rule.rate >= 1 or self._rng.random() < rule.rate for rule in self._rules_of(kind, path))

    def _refuse_when_full(self, path: str) -> None:
        if self._rules_of("full", path):
            raise DiskError(errno.ENOSPC, "no space left on device", path)

    def _fail(self, operation: str, path: str) -> None:
        for rule in self._rules_of("error", path):
            if (not rule.operations or operation in rule.operations) and (
                rule.rate >= 1 or self._rng.random() < rule.rate
            ):
                raise DiskError(errno.EIO, f"input/output error during a {operation}", path)

    def list(self, directory: str) -> list[str]:  # last, because it hides the type's name in this class
        """Return the names in a directory, sorted; empty when it does not exist."""
        return self._bare.list(directory)
