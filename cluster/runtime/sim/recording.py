"""What a run leaves behind: the ordered trace of events, and a hash of every step and every message.

Here: both recorders and the tracer that nodes are given. The hash never sees an address or a `repr`: two runs with
the same seed have the same hash, and two hashes that differ say that the runs were different.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from cluster.base.trace import Traced, TraceEvent

LINES_PER_UPDATE = 4096
"""Lines that are gathered before the hash takes them in."""


class StepRecorder:
    """A rolling blake2b over one line for each instant, step and message. `keep` also keeps the lines."""

    def __init__(self, *, is_hashing: bool, keep: bool = False) -> None:
        self.is_hashing = is_hashing
        self.lines: list[str] | None = [] if keep else None
        self._hash = blake2b(digest_size=16)
        self._pending: list[str] = []

    def instant(self, now: float) -> None:
        """Note that time moved."""
        self._pending.append(f"@{now:.9f}")
        if len(self._pending) > LINES_PER_UPDATE:
            self._update()

    def step(self, callback: Callable[..., object]) -> None:
        """Note that a callback runs: by its task's or lane's label, or by its function's name."""
        label: str = getattr(getattr(callback, "__self__", None), "step_label", "")
        self._pending.append(label or getattr(callback, "__qualname__", "partial"))

    def message(self, lane: str, crc: int) -> None:
        """Note that bytes were sent over a link."""
        self._pending.append(f"{lane} {crc:08x}")

    def digest(self) -> str:
        """Return the hash of all that was noted, in hexadecimal."""
        self._update()
        return self._hash.hexdigest() if self.is_hashing else ""

    def _update(self) -> None:
        lines, self._pending = self._pending, []
        if lines:
            self._hash.update(("\n".join(lines) + "\n").encode())
            if self.lines is not None:
                self.lines.extend(lines)


class TraceRecorder:
    """All trace events of a run in order, told to subscribers as they happen."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.events: list[Traced] = []
        self._now_us = now_us
        self._subscribers: list[Callable[[Traced], None]] = []

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every later event, in the middle of the step that emits it."""
        self._subscribers.append(on_event)

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event, now."""
        traced = Traced(self._now_us(), node, event)
        self.events.append(traced)
        for on_event in self._subscribers:
            on_event(traced)


class SimTracer:
    """The tracer of one node."""

    def __init__(self, recorder: TraceRecorder, node: str, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._recorder = recorder
        self._node = node

    def emit(self, event: TraceEvent) -> None:
        """Enter what happened on this node, now."""
        if self.enabled:
            self._recorder.emit(self._node, event)
