"""The follower's end of one replication stream: fetches from one leader for as long as it is followed.

Here: the stream's life: connect, fetch, apply, fetch again; back off and begin anew when it fails. Not here: what is
asked and what an answer does (`cluster.replication.leader_feed`).

The next fetch is the acknowledgement of what the last one brought, so it goes out at once; only a topic that asks
for a flush is synced before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.base.ports import DiskError
from cluster.metadata import Endpoint
from cluster.node.world import World
from cluster.replication import FIRST_BACKOFF_MS, LeaderFeed, Partition
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse
from cluster.rpc.replication_pb2_grpc import ReplicationStub

_T = TypeVar("_T")
FetchCall = grpc.aio.StreamStreamCall[FetchRequest, FetchResponse]

_logger = logging.getLogger(__name__)


class FetchFailed(Exception):
    """The stream is of no more use: begin another."""


class ReplicaFetcher:
    """Fetches from one leader.

    `endpoint` is where the leader listens, None while that is unknown. `flush` makes a partition's log durable.
    """

    def __init__(
        self,
        leader: NodeId,
        feed: LeaderFeed,
        world: World,
        configs: Configs,
        *,
        endpoint: Callable[[], Endpoint | None],
        broker_epoch: Callable[[], int],
        flush: Callable[[Partition], Awaitable[None]],
    ) -> None:
        self.feed = feed
        self._leader = leader
        self._world = world
        self._endpoint = endpoint
        self._broker_epoch = broker_epoch
        self._flush = flush
        self._wait_ms_max = configs.integer("replica.fetch.wait.max.ms")
        self._bytes_max = configs.integer("replica.fetch.response.max.bytes")
        self._backoff_max_ms = max(FIRST_BACKOFF_MS, configs.integer("replica.fetch.backoff.ms"))
        # A leader that is paused or cut off keeps its connection: only a deadline notices.
        self._deadline_ms = self._wait_ms_max + configs.integer("broker.session.timeout.ms") // 2
        self._backoff_ms = FIRST_BACKOFF_MS
        self._channel: grpc.aio.Channel | None = None
        self._connected_to: Endpoint | None = None
        self._nudged = asyncio.Event()
        self._writing = asyncio.Lock()
        self._unanswered = 0

    def nudge(self) -> None:
        """The feed has news that should not wait until the leader lets go of the fetch that it holds."""
        self._nudged.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        try:
            while True:
                try:
                    await self._fetch()
                except FetchFailed as failure:
                    _logger.info("fetching from broker %d begins anew: %s", self._leader, failure)
                await asyncio.sleep(self._backoff_ms / 1000)
                self._backoff_ms = min(2 * self._backoff_ms, self._backoff_max_ms)
        finally:
            await self._disconnect()

    async def _fetch(self) -> None:
        """Fetch over one stream until it fails. Raises FetchFailed."""
        call = ReplicationStub(await self._connect()).Fetch()
        self.feed.restart()
        self._unanswered = 0
        nudging = asyncio.ensure_future(self._nudge_leader(call))
        try:
            while True:
                # After a nudge one fetch is outstanding already; what moved is acknowledged all the same.
                if self._unanswered == 0 or self.feed.has_news:
                    await self._send(call)
                response = await self._receive(call)
                self._unanswered -= 1
                if response.error_code != ErrorCode.NONE:
                    raise FetchFailed(ErrorCode(response.error_code).name)
                self._backoff_ms = FIRST_BACKOFF_MS
                clock = self._world.clock
                for partition in self.feed.receive(response, clock.monotonic_ms(), clock.wall_ms()):
                    try:
                        await self._flush(partition)
                    except DiskError as error:  # it is offline now, and the feed will be told
                        _logger.error("%s could not be synced: %s", partition.topic_partition, error)
        finally:
            nudging.cancel()
            call.cancel()

    async def _nudge_leader(self, call: FetchCall) -> None:
        """Send a second fetch when there is news: the leader answers the first one at once."""
        while True:
            await self._nudged.wait()
            self._nudged.clear()
            if self.feed.has_news and self._unanswered == 1:
                try:
                    await self._send(call)
                except FetchFailed:
                    return  # whoever reads finds out too

    async def _send(self, call: FetchCall) -> None:
        async with self._writing:
            request = self.feed.request(
                self._broker_epoch(), self._wait_ms_max, self._bytes_max, self._world.clock.monotonic_ms()
            )
            self._unanswered += 1
            await self._before_deadline(call.write(request))

    async def _receive(self, call: FetchCall) -> FetchResponse:
        response = await self._before_deadline(call.read())
        if response is grpc.aio.EOF:
            raise FetchFailed("the leader ended the stream")
        assert isinstance(response, FetchResponse), "a stream carries its own messages"
        return response

    async def _before_deadline(self, step: Awaitable[_T]) -> _T:
        """Wait for a step of the stream. Raises FetchFailed, whatever way the stream ended."""
        try:
            async with asyncio.timeout(self._deadline_ms / 1000):
                return await step
        except grpc.aio.AioRpcError as error:
            raise FetchFailed(f"{error.code().name}: {error.details()}") from error
        except TimeoutError as error:
            raise FetchFailed(f"no answer within {self._deadline_ms} ms") from error
        except asyncio.InvalidStateError as error:
            raise FetchFailed("the stream is over") from error
        except asyncio.CancelledError as error:
            # gRPC says the same when the peer cancelled the call and when somebody cancels this task.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise FetchFailed("the call was cancelled") from error

    async def _connect(self) -> grpc.aio.Channel:
        """Return a channel to where the leader listens now. Raises FetchFailed when that is unknown."""
        endpoint = self._endpoint()
        if endpoint is None:
            raise FetchFailed("it is not registered")
        if self._channel is None or endpoint != self._connected_to:
            await self._disconnect()
            self._channel = self._world.channel(self._leader, endpoint.host, endpoint.port)
            self._connected_to = endpoint
        return self._channel

    async def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
