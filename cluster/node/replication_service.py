"""The leader's end of replication streams: takes fetches, holds them until there is something to say, answers.

Here: holding and waking, one stream for each follower. Not here: what is said (`cluster.replication.follower_session`).

A fetch is answered at once when there are records for it; and when only a high watermark moved, a moment later, so
that under load it travels with the next records instead of costing a message of its own. Nothing is polled: appends
wake the stream through a future, once per turn of the loop however many there were, and only when an answer is due.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.ports import Clock
from cluster.node.world import World
from cluster.replication import FollowerSession, Replicas
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse
from cluster.rpc.replication_pb2_grpc import ReplicationServicer

HIGH_WATERMARK_HOLD_MS = 25
"""How long a fetch is held for records when there is only a high watermark to tell.

Nobody waits for a follower's high watermark, and a message of its own costs as much as one with records. (Kafka: up
to `replica.fetch.wait.max.ms`, half a second.)
"""

GATHERED_BYTES_MAX = 512 * 1024
"""While the log grows faster than it is fetched: how much is gathered for one response."""

GATHERING_MS_MAX = 20
"""How long is gathered, from the fetch on."""

GATHERING_PAUSE_MS_MAX = 2
"""How long nothing may be appended before the response leaves with what there is."""


class ReplicationService(ReplicationServicer):
    """Serves this broker's followers."""

    def __init__(self, world: World, configs: Configs, replicas: Replicas) -> None:
        self._clock = world.clock
        self._partition_bytes_max = configs.integer("replica.fetch.max.bytes")
        self._replicas = replicas

    async def Fetch(  # type: ignore[override]  # the stubs know only generators, which cost more for each message
        self,
        request_iterator: AsyncIterator[FetchRequest],
        context: grpc.aio.ServicerContext[FetchRequest, FetchResponse],
    ) -> None:
        """Answer one follower's fetches for as long as its stream lasts; a request that follows another frees it."""
        stream = _FollowerStream(self._clock, self._replicas, self._partition_bytes_max)
        reader = asyncio.ensure_future(stream.read(context))
        try:
            while await stream.is_due():
                await context.write(stream.answer())
            await reader  # what went wrong with reading is what went wrong with the stream
        finally:
            reader.cancel()
            stream.close()


class _FollowerStream:
    """One follower's stream: requests come in, held fetches go out."""

    def __init__(self, clock: Clock, replicas: Replicas, partition_bytes_max: int) -> None:
        self.session = FollowerSession(replicas, partition_bytes_max, self._look)
        self._clock = clock
        self._held_until_ms: deque[int] = deque()  # one for each fetch that was not answered yet
        self._has_ended = False
        self._news_until_ms: int | None = None  # while there is only a high watermark to tell
        self._due: asyncio.Future[None] | None = None  # while the sender waits
        self._gathering = _Gathering()
        self._loop = asyncio.get_running_loop()
        self._alarm = _Alarm(self._look)

    async def read(self, context: grpc.aio.ServicerContext[FetchRequest, FetchResponse]) -> None:
        """Take requests until the follower ends the stream or the connection breaks."""
        try:
            while isinstance(request := await context.read(), FetchRequest):  # and not EOF
                now_ms = self._clock.monotonic_ms()
                self._held_until_ms.append(now_ms + request.max_wait_ms)
                self.session.accept(request, now_ms)
                self._gathering.begin(now_ms)
                self._look()
        finally:
            self._has_ended = True
            self._look()

    async def is_due(self) -> bool:
        """Return True when a fetch should be answered, False when there will be none any more."""
        if not self._is_settled():
            self._due = asyncio.Future(loop=self._loop)
            try:
                await self._due
            finally:
                self._due = None
        return bool(self._held_until_ms)

    def answer(self) -> FetchResponse:
        """Return the response to the oldest fetch that is held."""
        self._held_until_ms.popleft()
        self._news_until_ms = None
        self._gathering.end()
        return self.session.respond()

    def close(self) -> None:
        """Let go of everything."""
        self._alarm.cancel()
        self.session.close()

    def _look(self) -> None:
        """Something happened: wake the sender when it has something to do."""
        if self._due is not None and not self._due.done() and self._is_settled():
            self._due.set_result(None)

    def _is_settled(self) -> bool:
        """Whether the oldest fetch is due, or there will be none; if not, look again when time alone makes it due."""
        if self._has_ended:
            return True
        held_until_ms, session = self._held_until_ms, self.session
        if not held_until_ms:
            return False
        if len(held_until_ms) > 1 or (session.is_urgent and not session.is_behind):
            return True
        now_ms = self._clock.monotonic_ms()
        until_ms = held_until_ms[0]
        if session.is_urgent:
            until_ms = min(until_ms, self._gathering.until_ms(session.gathered_bytes, now_ms))
        elif session.has_news:
            if self._news_until_ms is None:
                self._news_until_ms = now_ms + HIGH_WATERMARK_HOLD_MS
            until_ms = min(until_ms, self._news_until_ms)
        if until_ms <= now_ms:
            return True
        self._alarm.set(now_ms, until_ms)
        return False


class _Gathering:
    """How long a response that has records waits for those that are still coming.

    Under a pipelined load each small batch would otherwise make an exchange of its own with each follower, at fifteen
    times the context switches, and the nodes would be so busy with them that this goes on. A producer that waits for
    each acknowledgement never sees it: its log does not grow while a batch is being fetched. And when all producers
    have sent what they may have in flight, nothing is appended for a moment, and the response leaves.
    """

    def __init__(self) -> None:
        self._until_ms = 0
        self._grew_ms = 0
        self._size_bytes = 0

    def begin(self, now_ms: int) -> None:
        """A fetch came."""
        self._until_ms = now_ms + GATHERING_MS_MAX

    def end(self) -> None:
        """A response leaves."""
        self._size_bytes = 0

    def until_ms(self, size_bytes: int, now_ms: int) -> int:
        """Return when the response should leave, if nothing more is appended to the `size_bytes` that were."""
        if size_bytes >= GATHERED_BYTES_MAX:
            return now_ms
        if size_bytes != self._size_bytes:
            self._size_bytes = size_bytes
            self._grew_ms = now_ms
        return min(self._until_ms, self._grew_ms + GATHERING_PAUSE_MS_MAX)


class _Alarm:
    """One timer, which may ring too early: nearly all fetches are answered before, and it is set anew when it rings."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at_ms = 0

    def set(self, now_ms: int, at_ms: int) -> None:
        """Ring at `at_ms` at the latest."""
        if self._timer is not None:
            if self._at_ms <= at_ms:
                return
            self._timer.cancel()
        self._at_ms = at_ms
        self._timer = self._loop.call_later((at_ms - now_ms) / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._ring()

    def cancel(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
