"""One ordered trace out of the files that all nodes write and the events of the lab and its clients.

Here: following files as they grow, and putting events in order of time. A node writes an event a moment after it
happened, so events are told a little late: what happened at T is told when nothing older is expected any more.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from pathlib import Path

import cluster.base.group_trace
import cluster.base.transaction_trace  # noqa: F401 - every kind of event is to be known when it is read
from cluster.base.trace import Traced, TraceEvent
from cluster.runtime.live.trace_file import monotonic_us

_POLL_S = 0.02
_LAG_US = 60_000
_READ_BYTES = 1 << 20


class TraceMerge:
    """Follows trace files and tells subscribers, in order. Times count from when this object was made."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._origin_us = monotonic_us()
        self._files = [_FollowedFile(path) for path in paths]
        self._pending: list[tuple[int, int, Traced]] = []
        self._sequence = 0
        self._told_until_us = 0
        self._told = asyncio.Event()
        self._subscribers: list[Callable[[Traced], None]] = []
        self._task: asyncio.Task[None] | None = None

    def now_us(self) -> int:
        """Return the time on the trace's clock."""
        return monotonic_us() - self._origin_us

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every event from now on."""
        self._subscribers.append(on_event)

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event of the lab or a client, now."""
        self._add(Traced(self.now_us(), node, event))

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(lambda _: self._told.set())

    async def settle(self) -> None:
        """Return when everything that happened before the call has been told. Raises what ended the following."""
        before_us = self.now_us()
        while self._told_until_us < before_us:
            if self._task is not None and self._task.done():
                self._task.result()
            self._told.clear()
            await self._told.wait()

    async def close(self) -> None:
        """Tell what is left and stop following. Raises what ended the following: the trace has holes then."""
        failure: BaseException | None = None
        if self._task is not None:
            self._task.cancel()
            failure = (await asyncio.gather(self._task, return_exceptions=True))[0]
            self._task = None
        try:
            if isinstance(failure, Exception):
                raise failure
            self._read()
            self._tell(self.now_us())
        finally:
            for file in self._files:
                file.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            until_us = self.now_us() - _LAG_US  # before reading: what is older must be in the files now
            self._read()
            self._tell(until_us)

    def _read(self) -> None:
        for file in self._files:
            for line in file.lines():
                row = json.loads(line)
                if row["t"] >= self._origin_us:  # what an earlier run left in the file is not of this trace
                    row["t"] -= self._origin_us
                    self._add(Traced.from_json(row))

    def _add(self, traced: Traced) -> None:
        self._sequence += 1
        heappush(self._pending, (traced.time_us, self._sequence, traced))

    def _tell(self, until_us: int) -> None:
        while self._pending and self._pending[0][0] <= until_us:
            traced = heappop(self._pending)[2]
            if traced.time_us < self._told_until_us:  # its node was slow to write: order beats the exact time
                traced = Traced(self._told_until_us, traced.node, traced.event)
            self._told_until_us = traced.time_us
            for subscriber in self._subscribers:
                subscriber(traced)
        self._told_until_us = max(self._told_until_us, until_us)
        self._told.set()


class _FollowedFile:
    """A file that grows by whole lines and may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._partial = b""

    def lines(self) -> list[bytes]:
        """Return the lines that came since the last call."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return []
        content = self._partial
        while more := os.read(self._descriptor, _READ_BYTES):
            content += more
        *lines, self._partial = content.split(b"\n")
        return lines

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
