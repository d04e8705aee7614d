"""A block of producer ids: the broker asks the controller for a thousand at a time (Kafka: `ProducerIdManager`)."""

from __future__ import annotations

import asyncio


class ProducerIdBlock:
    """Ids that were allocated to this broker and not yet given away. They are lost when it stops; there are plenty."""

    def __init__(self) -> None:
        self._next = 0
        self._end = 0
        self.refilling = asyncio.Lock()

    def take(self) -> int | None:
        """Return an id that nobody else has, or None when the block is used up."""
        if self._next >= self._end:
            return None
        producer_id, self._next = self._next, self._next + 1
        return producer_id

    def refill(self, start: int, count: int) -> None:
        """Take over a new block; what is left of the old one is given up."""
        assert start >= self._end, "the controller allocates each block once"
        self._next, self._end = start, start + count
