"""Queues of a producer's requests, which keep their order while one of them waits for something."""

from __future__ import annotations

import asyncio


class ProducerQueues:
    """Requests of one producer that must not overtake each other while one of them asks its coordinator."""

    def __init__(self) -> None:
        self._last: dict[int, asyncio.Future[None]] = {}

    def is_waiting(self, producer_id: int) -> bool:
        """Whether a request of the producer is waiting."""
        return producer_id in self._last

    def enter(self, producer_id: int) -> tuple[asyncio.Future[None] | None, asyncio.Future[None]]:
        """Stand in line; return what to wait for, and what to hand to `leave`."""
        before = self._last.get(producer_id)
        own: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last[producer_id] = own
        return before, own

    def leave(self, producer_id: int, own: asyncio.Future[None]) -> None:
        """Let the next one go on."""
        if not own.done():
            own.set_result(None)
        if self._last.get(producer_id) is own:
            del self._last[producer_id]
