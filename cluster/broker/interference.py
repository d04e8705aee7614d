"""What a broker does with a request that a fault has hit: refuses it, holds it up, or carries it out unanswered.

Here: the slot of such a request and the wait before it is served. Not here: which requests are hit
(`cluster.base.request_faults`), and what a refusal looks like (`cluster.wire`).

A reply that is lost takes its connection with it: replies come in the order of their requests, so a client that is not
answered is not answered at all any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cluster.base.ports import Buffer
from cluster.base.request_faults import RequestFaults, RequestVerdict
from cluster.broker.request import Connection, Slot


class AfflictedSlot(Slot):
    """The reply of a request that a fault has hit."""

    __slots__ = ("_faults", "_lost_to", "_verdict")

    def __init__(
        self,
        connection: Connection,
        header: tuple[int, bool, int],
        verdict: RequestVerdict,
        faults: RequestFaults,
    ) -> None:
        super().__init__(connection, *header)
        self._lost_to = connection
        self._verdict = verdict
        self._faults = faults

    def _fill(self, chunks: Sequence[Buffer]) -> None:
        if self._verdict.loses_reply:
            self._lost_to.refuse("a fault loses this reply")
        elif self._verdict.holds_reply:
            copied = [bytes(chunk) for chunk in chunks]
            self._faults.when_changed(lambda: self._leave(copied))
        elif self._verdict.reply_delay_ms:
            copied = [bytes(chunk) for chunk in chunks]
            asyncio.get_running_loop().call_later(self._verdict.reply_delay_ms / 1000, self._leave, copied)
        else:
            super()._fill(chunks)

    def _leave(self, chunks: Sequence[Buffer]) -> None:
        super()._fill(chunks)


def hold_up(faults: RequestFaults, verdict: RequestVerdict, serve: Callable[[], None]) -> bool:
    """Have a request served later, if it has to wait. Returns whether it does."""
    if verdict.holds:
        faults.when_changed(serve)
    elif verdict.delay_ms:
        asyncio.get_running_loop().call_later(verdict.delay_ms / 1000, serve)
    else:
        return False
    return True
