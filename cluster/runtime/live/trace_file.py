"""The tracer of a live node: one JSON line per event, in a file that the lab reads as it grows.

Here: writing. Lines carry monotonic microseconds, which are the same clock in every process of a machine, so that
the lab can merge the files of all nodes.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from cluster.base.trace import Traced, TraceEvent

TRACE_FILE = "trace.jsonl"


def monotonic_us() -> int:
    """Microseconds on the machine's monotonic clock."""
    return time.monotonic_ns() // 1000


class TraceFile:
    """Appends a node's events. What happens in one turn of the loop is written with one system call."""

    enabled = True

    def __init__(self, path: Path, node: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._node = node
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._lines: list[str] = []

    def emit(self, event: TraceEvent) -> None:
        """Record what happened, now."""
        if not self._lines:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # before or after the loop
                self._lines.append(self._line(event))
                self.flush()
                return
        self._lines.append(self._line(event))

    def flush(self) -> None:
        """Write what was emitted."""
        if self._lines:
            content = "".join(self._lines).encode()
            self._lines.clear()
            os.write(self._descriptor, content)

    def _line(self, event: TraceEvent) -> str:
        return json.dumps(Traced(monotonic_us(), self._node, event).to_json(), separators=(",", ":")) + "\n"
