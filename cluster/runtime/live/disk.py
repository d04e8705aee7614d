"""The Disk port over the files of a real machine, below one directory.

Here: system calls, a cache of open files, errors with their reason. Not here: what the files mean (`cluster.storage`,
`cluster.raft`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.base.ports import Buffer, DiskError, DiskSpace

UNSYNCED_FILE = ".unsynced.json"
"""What a process that is to lose its power leaves: how many bytes of which files were synced."""

_OPEN_FILES_MAX = 1024
_CHUNKS_PER_WRITE_MAX = 512  # IOV_MAX is 1024 on Linux


class LiveDisk:
    """One node's files. A write is in the page cache when the call returns."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._root = str(root)
        self._read_only = read_only
        self._synced: dict[str, int] = {}  # of files that were opened: so many bytes survive a loss of power
        self._descriptors: OrderedDict[str, int] = OrderedDict()

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        """Write all chunks at the end of the file, creating it and its directories when missing."""
        try:  # spelt out here and in `read`: a context manager is a tenth of a small append
            descriptor = self._descriptor(path, create=True)
            for first in range(0, len(chunks), _CHUNKS_PER_WRITE_MAX):
                _write_all(descriptor, chunks[first : first + _CHUNKS_PER_WRITE_MAX])
        except OSError as error:
            raise self._failure(error, path) from error

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Return up to `size_bytes` from `offset`; fewer when the file ends before."""
        try:
            descriptor = self._descriptor(path)
            content = os.pread(descriptor, size_bytes, offset)
            while content and len(content) < size_bytes:  # one pread returns 2 GiB at most
                more = os.pread(descriptor, size_bytes - len(content), offset + len(content))
                if not more:
                    break
                content += more
            return content
        except OSError as error:
            raise self._failure(error, path) from error

    def size(self, path: str) -> int:
        """Return the file's length in bytes; 0 when it does not exist."""
        with self._errors(path):
            try:
                descriptor = self._descriptors.get(path)
                return (os.fstat(descriptor) if descriptor is not None else os.stat(self._full(path))).st_size
            except FileNotFoundError:
                return 0

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut the file to `size_bytes`."""
        with self._errors(path):
            os.ftruncate(self._descriptor(path), size_bytes)
            self._synced[path] = min(self._synced.get(path, 0), size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        """Write the whole file atomically and durably."""
        full = self._full(path)
        scratch = f"{full}.tmp"
        with self._errors(path):
            descriptor = _opened(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, create=True)
            try:
                _write_all(descriptor, [content])
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._forget(path)
            os.rename(scratch, full)
            self._synced[path] = len(content)
            _sync_directory(os.path.dirname(full))

    def exists(self, path: str) -> bool:
        """Whether a file or a directory of that name exists."""
        return os.path.exists(self._full(path))

    def list(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted; empty when it does not exist."""
        with self._errors(directory):
            try:
                return sorted(os.listdir(self._full(directory)))
            except FileNotFoundError:
                return []

    def rename(self, source: str, target: str) -> None:
        """Give a file or a directory another name, replacing a file that has it."""
        with self._errors(source):
            self._forget(source)
            self._forget(target)
            os.rename(self._full(source), self._full(target))
            for name in [name for name in self._synced if name == source or name.startswith(f"{source}/")]:
                self._synced[target + name[len(source) :]] = self._synced.pop(name)

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all it holds; nothing happens when it is missing."""
        full = self._full(path)
        with self._errors(path):
            self._forget(path)
            for name in [name for name in self._synced if name == path or name.startswith(f"{path}/")]:
                del self._synced[name]
            try:
                os.unlink(full)
            except FileNotFoundError:
                return
            except OSError as error:  # Linux answers EISDIR, others EPERM
                if error.errno not in (errno.EISDIR, errno.EPERM):
                    raise
                shutil.rmtree(full)

    def space(self) -> DiskSpace:
        """Return where the files lie and how much room there is."""
        with self._errors(""):
            usage = os.statvfs(self._root)
        return DiskSpace(self._root, usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize)

    async def sync(self, path: str) -> None:
        """Return when all that was appended to the file before the call survives a loss of power."""
        with self._errors(path):
            # A copy of the descriptor: the cache may close its own while a thread waits for the disk.
            descriptor = os.dup(self._descriptor(path))
            size_bytes = os.fstat(descriptor).st_size
            await asyncio.get_running_loop().run_in_executor(None, _sync_and_close, descriptor)
            if path in self._synced:  # or it was deleted meanwhile
                self._synced[path] = max(self._synced[path], min(size_bytes, self.size(path)))

    def note_unsynced(self) -> None:
        """Write down which files are longer than what was synced of them, for who plays a loss of power.

        What a process found when it started counts as synced; what the kernel wrote back by itself does not.
        """
        rows = {path: synced for path, synced in self._synced.items() if self.size(path) > synced}
        with open(self._full(UNSYNCED_FILE), "w") as file:
            json.dump(rows, file)

    def close(self) -> None:
        """Close what is open."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _descriptor(self, path: str, *, create: bool = False) -> int:
        descriptor = self._descriptors.get(path)
        if descriptor is not None:
            self._descriptors.move_to_end(path)
            return descriptor
        if self._read_only:
            descriptor = os.open(self._full(path), os.O_RDONLY | os.O_CLOEXEC)
        else:
            flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
            descriptor = _opened(self._full(path), flags, create=create)
        self._descriptors[path] = descriptor
        if path not in self._synced:
            self._synced[path] = os.fstat(descriptor).st_size
        if len(self._descriptors) > _OPEN_FILES_MAX:
            os.close(self._descriptors.popitem(last=False)[1])
        return descriptor

    def _forget(self, path: str) -> None:
        """Close the file of that name and all below it: their names are about to mean something else."""
        for name in [name for name in self._descriptors if name == path or name.startswith(f"{path}/")]:
            os.close(self._descriptors.pop(name))

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(error, path) from error

    def _failure(self, error: OSError, path: str) -> DiskError:
        if isinstance(error, DiskError):
            return error
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.ENOSPC:
            reason = f"{reason}: free some space, or choose another --data-dir"
        return DiskError(error.errno, reason, self._full(path))


def _write_all(descriptor: int, chunks: Sequence[Buffer]) -> None:
    left = sum(len(chunk) for chunk in chunks)
    written = os.writev(descriptor, chunks) if left else 0
    while written < left:  # rare: a full disk, or more than 2 GiB
        left -= written
        chunks = _after(chunks, written)
        written = os.writev(descriptor, chunks)


def _after(chunks: Sequence[Buffer], size_bytes: int) -> list[Buffer]:
    """Return what is left of the chunks after their first bytes."""
    remaining: list[Buffer] = []
    for chunk in chunks:
        if size_bytes >= len(chunk):
            size_bytes -= len(chunk)
        else:
            remaining.append(memoryview(chunk)[size_bytes:])
            size_bytes = 0
    return remaining


def _opened(full: str, flags: int, *, create: bool) -> int:
    try:
        return os.open(full, flags | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        if not create:
            raise
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return os.open(full, flags | os.O_CLOEXEC, 0o644)


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(full: str) -> None:
    descriptor = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems cannot; the rename is then as durable as they make it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
