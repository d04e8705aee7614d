"""The leader's end of replication streams: takes fetches, holds them until there is something to say, answers.

Here: holding and waking, one stream for each follower. Not here: what is said (`cluster.replication.follower_session`).

A fetch is answered at once when there are records for it; and when only a high watermark moved, a moment later, so
that under load it travels with the next records instead of costing a message of its own. Nothing is polled: appends
wake the stream through a future, once per turn of the loop however many there were.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.ports import Clock
from cluster.node.world import World
from cluster.replication import FollowerSession, Replicas
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse
from cluster.rpc.replication_pb2_grpc import ReplicationServicer

HIGH_WATERMARK_HOLD_MS = 5
"""How long a fetch is held for records when there is only a high watermark to tell."""


class ReplicationService(ReplicationServicer):
    """Serves this broker's followers."""

    def __init__(self, world: World, configs: Configs, replicas: Replicas) -> None:
        self._clock = world.clock
        self._partition_bytes_max = configs.integer("replica.fetch.max.bytes")
        self._replicas = replicas

    async def Fetch(
        self,
        request_iterator: AsyncIterator[FetchRequest],
        context: grpc.aio.ServicerContext[FetchRequest, FetchResponse],
    ) -> AsyncIterator[FetchResponse]:
        """Answer one follower's fetches for as long as its stream lasts; a request that follows another frees it."""
        stream = _FollowerStream(self._clock, self._replicas, self._partition_bytes_max)
        reader = asyncio.ensure_future(stream.read(request_iterator))
        try:
            while await stream.is_due():
                yield stream.answer()
            await reader  # what went wrong with reading is what went wrong with the stream
        finally:
            reader.cancel()
            stream.session.close()


class _Held(NamedTuple):
    """A fetch that was not answered yet, and until when it may be held."""

    until_ms: int


class _FollowerStream:
    """One follower's stream: requests come in, held fetches go out."""

    def __init__(self, clock: Clock, replicas: Replicas, partition_bytes_max: int) -> None:
        self.session = FollowerSession(replicas, partition_bytes_max, self._wake)
        self._clock = clock
        self._held: deque[_Held] = deque()
        self._has_ended = False
        self._news_until_ms: int | None = None
        self._woken: asyncio.Future[None] | None = None

    async def read(self, request_iterator: AsyncIterator[FetchRequest]) -> None:
        """Take requests until the follower ends the stream or the connection breaks."""
        try:
            async for request in request_iterator:
                now_ms = self._clock.monotonic_ms()
                self._held.append(_Held(now_ms + request.max_wait_ms))
                self.session.accept(request, now_ms)
                self._wake()
        finally:
            self._has_ended = True
            self._wake()

    async def is_due(self) -> bool:
        """Return True when a fetch should be answered, False when there will be none any more."""
        while True:
            wait_ms: int | None = None
            if self._held:
                wait_ms = self._wait_ms()
                if wait_ms <= 0:
                    return True
            elif self._has_ended:
                return False
            await self._pause(wait_ms)

    def _wait_ms(self) -> int:
        """How long the oldest fetch may still be held, as things are; 0 when it is due."""
        if self.session.is_urgent or len(self._held) > 1 or self._has_ended:
            return 0
        now_ms = self._clock.monotonic_ms()
        until_ms = self._held[0].until_ms
        if self.session.has_news:
            if self._news_until_ms is None:
                self._news_until_ms = now_ms + HIGH_WATERMARK_HOLD_MS
            until_ms = min(until_ms, self._news_until_ms)
        return until_ms - now_ms

    async def _pause(self, wait_ms: int | None) -> None:
        """Sleep until something happens, or for so long."""
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = None if wait_ms is None else loop.call_later(wait_ms / 1000, self._wake)
        try:
            await self._woken
        finally:
            self._woken = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def answer(self) -> FetchResponse:
        """Return the response to the oldest fetch that is held."""
        self._held.popleft()
        self._news_until_ms = None
        return self.session.respond()
