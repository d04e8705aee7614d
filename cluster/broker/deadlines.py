"""Deadlines: what happens when a produce or a fetch has waited long enough.

Here: many deadlines on one timer of the loop. Kafka uses a hierarchical timing wheel for the same reason: nearly
all deadlines are cancelled, so setting and cancelling must cost next to nothing. Here they lie in buckets of one
millisecond, each a dictionary, and only the buckets are in a heap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from cluster.base.ports import Clock


class Deadline:
    """One deadline. It is due once, unless it is cancelled before."""

    __slots__ = ("_bucket", "_number")

    def __init__(self, bucket: dict[int, Callable[[], None]], number: int) -> None:
        self._bucket = bucket
        self._number = number

    def cancel(self) -> None:
        """Nothing will happen; nothing happens the second time either."""
        self._bucket.pop(self._number, None)


class Deadlines:
    """All deadlines of one broker's requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, dict[int, Callable[[], None]]] = {}
        self._due_ms: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._next_number = 0

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def set(self, delay_ms: int, on_due: Callable[[], None]) -> Deadline:
        """Call `on_due` after so many milliseconds."""
        due_ms = self._clock.monotonic_ms() + max(delay_ms, 0)
        bucket = self._buckets.get(due_ms)
        if bucket is None:
            bucket = self._buckets[due_ms] = {}
            heappush(self._due_ms, due_ms)
        number, self._next_number = self._next_number, self._next_number + 1
        bucket[number] = on_due
        if self._timer is None or due_ms < self._timer_ms:
            self._arm(due_ms)
        return Deadline(bucket, number)

    def close(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buckets.clear()
        self._due_ms.clear()

    def _arm(self, due_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # At least a millisecond: the loop's clock may run a fraction ahead of ours, and must not spin there.
        delay_ms = max(due_ms - self._clock.monotonic_ms(), 1)
        self._timer_ms = due_ms
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now_ms = self._clock.monotonic_ms()
        while self._due_ms and (self._due_ms[0] <= now_ms or not self._buckets[self._due_ms[0]]):
            bucket = self._buckets.pop(heappop(self._due_ms))
            while bucket:
                _call(bucket.pop(next(iter(bucket))))  # the oldest first; it may cancel others of the bucket
        if self._due_ms:  # a callback may have set the timer, but to later than what was next in the heap already
            self._arm(self._due_ms[0])


def _call(on_due: Callable[[], None]) -> None:
    """Call one; that it fails must not cost the others of the same moment their time."""
    try:
        on_due()
    except Exception as error:  # noqa: BLE001 - as the loop does with each of its own callbacks
        asyncio.get_running_loop().call_exception_handler({"message": "a deadline failed", "exception": error})
