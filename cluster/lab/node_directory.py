"""One live node's files from outside: what damage is done to, and what a loss of power takes.

Here: plain files below the node's directory. Logs that people read and traces are no part of the disk that is broken.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cluster.runtime.live.disk import UNSYNCED_FILE
from cluster.runtime.live.order import LOG_FILE
from cluster.runtime.live.trace_file import TRACE_FILE

_NOT_OURS = (LOG_FILE, TRACE_FILE, UNSYNCED_FILE)


class NodeDirectory:
    """The files of a node, as `damage` wants them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """Each file's length, and what was synced of it by the note that its last process left; all, without one."""
        note = self._root / UNSYNCED_FILE
        synced: dict[str, int] = json.loads(note.read_text()) if note.exists() else {}
        found: dict[str, tuple[int, int]] = {}
        for file in sorted(self._root.rglob("*")):
            path = file.relative_to(self._root).as_posix()
            if path not in _NOT_OURS and file.is_file():
                with suppress(FileNotFoundError):  # the node goes on working
                    size_bytes = file.stat().st_size
                    found[path] = size_bytes, min(size_bytes, synced.get(path, size_bytes))
        return found

    def byte(self, path: str, offset: int) -> int | None:
        """Return one byte; None when the file is not there or shorter."""
        try:
            with (self._root / path).open("rb") as file:
                file.seek(offset)
                content = file.read(1)
        except FileNotFoundError:
            return None
        return content[0] if content else None

    def read(self, path: str) -> bytes:
        """Return a whole file."""
        return (self._root / path).read_bytes()

    def flip(self, path: str, offset: int, mask: int) -> None:
        """Change the bits of one byte that the mask has."""
        before = self.byte(path, offset)
        if before is not None:
            with (self._root / path).open("r+b") as file:
                file.seek(offset)
                file.write(bytes([before ^ mask]))

    def cut(self, path: str, size_bytes: int) -> None:
        """Shorten a file."""
        os.truncate(self._root / path, size_bytes)

    def clear(self) -> None:
        """Remove every file of the node's."""
        for entry in self._root.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in _NOT_OURS:
                entry.unlink()

    def forget_note(self) -> None:
        """Remove the note of a process that is gone: it says nothing of the next one."""
        (self._root / UNSYNCED_FILE).unlink(missing_ok=True)
