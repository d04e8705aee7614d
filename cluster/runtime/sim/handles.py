"""Callbacks that wait for their turn, as `call_soon` and `call_at` hand them out.

Here: what a loop queues and a machine holds back. Not here: whose turn it is (`loop`), who may run (`machines`).
"""

from __future__ import annotations

from typing import Any


class SimHandle(list[Any]):
    """A callback to be run: [callback, arguments, context], the callback None once it is cancelled.

    A list, because the interpreter builds one without running Python code, and this is built for every step.
    It has what callers of `call_soon` use of asyncio's handles.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Never run the callback, and let go what it holds."""
        self[0] = None
        self[1] = ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self[0] is None


class SimTimer(SimHandle):
    """A callback to be run at a virtual time. A cancelled one keeps its place in the heap until then."""

    __slots__ = ("due",)
    due: float

    def when(self) -> float:
        """Return the time, in seconds of the loop's clock."""
        return self.due
