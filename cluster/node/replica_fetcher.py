"""The follower's end of one replication stream: fetches from one leader for as long as it is followed.

Here: the stream's life: connect, fetch, apply, fetch again; back off and begin anew when it fails. Not here: what is
asked and what an answer does (`cluster.replication.leader_feed`).

The next fetch is the acknowledgement of what the log holds, so it goes out at once; only a topic that asks for a flush
is synced before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import NodeId
from cluster.base.ports import DiskError
from cluster.metadata import Endpoint
from cluster.node.world import World
from cluster.replication import FIRST_BACKOFF_MS, LeaderFeed, Partition
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse
from cluster.rpc.replication_pb2_grpc import ReplicationStub

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
                    # A leader that is down is asked ten times a second: once is enough for the log.
                    level = logging.INFO if self._backoff_ms == FIRST_BACKOFF_MS else logging.DEBUG
                    _logger.log(level, "fetching from broker %d begins anew: %s", self._leader, failure)
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
        watch = _SilenceWatch(call, self._deadline_ms)
        try:
            while True:
                response = await self._exchange(call, watch)
                if response.error_code != NO_ERROR:
                    raise FetchFailed(ErrorCode(response.error_code).name)
                self._take(response)
                watch.heard()
        finally:
            watch.close()
            nudging.cancel()
            call.cancel()

    async def _exchange(self, call: FetchCall, watch: _SilenceWatch) -> FetchResponse:
        """Send the next fetch and wait for a response. Raises FetchFailed, whatever way the stream ended."""
        try:
            # After a nudge one fetch is outstanding already; what moved is acknowledged all the same.
            if self._unanswered == 0 or self.feed.has_news:
                unsynced = self.feed.unsynced()
                if unsynced:
                    watch.pause()
                    await self._sync(unsynced)
                    watch.heard()
                await self._send(call)
            response = await call.read()
        except grpc.aio.AioRpcError as error:
            raise FetchFailed(f"{error.code().name}: {error.details()}") from error
        except asyncio.InvalidStateError as error:
            raise FetchFailed("the stream is over") from error
        except asyncio.CancelledError as error:
            # gRPC says the same when the call was cancelled and when somebody cancels this task.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise FetchFailed(watch.verdict) from error
        if response is grpc.aio.EOF:
            raise FetchFailed("the leader ended the stream")
        assert isinstance(response, FetchResponse), "a stream carries its own messages"
        self._unanswered -= 1
        return response

    def _take(self, response: FetchResponse) -> None:
        self._backoff_ms = FIRST_BACKOFF_MS
        self.feed.receive(response, self._world.clock.monotonic_ms(), self._world.clock.wall_ms())

    async def _sync(self, unsynced: Sequence[Partition]) -> None:
        """Make durable what the next fetch could not acknowledge otherwise."""
        for partition in unsynced:
            try:
                await self._flush(partition)
            except DiskError as error:  # it is offline now, and the feed will be told
                _logger.error("%s could not be synced: %s", partition.topic_partition, error)

    async def _nudge_leader(self, call: FetchCall) -> None:
        """Send a second fetch when there is news: the leader answers the first one at once."""
        while True:
            await self._nudged.wait()
            self._nudged.clear()
            await self._sync(self.feed.unsynced())
            if self.feed.has_news and self._unanswered == 1:
                try:
                    await self._send(call)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # whoever reads finds out too

    async def _send(self, call: FetchCall) -> None:
        async with self._writing:
            request = self.feed.request(
                self._broker_epoch(), self._wait_ms_max, self._bytes_max, self._world.clock.monotonic_ms()
            )
            self._unanswered += 1
            await call.write(request)

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


class _SilenceWatch:
    """Cancels a call whose peer has said nothing for too long.

    One timer for a whole stream: it only looks whether anything was heard since it was set.
    """

    def __init__(self, call: FetchCall, limit_ms: int) -> None:
        self.verdict = "the call was cancelled"
        self._call = call
        self._limit_ms = limit_ms
        self._loop = asyncio.get_running_loop()
        self._is_paused = False
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(limit_ms / 1000, self._look)

    def pause(self) -> None:
        """It is not the peer that takes its time now."""
        self._is_paused = True

    def heard(self) -> None:
        """From now on the peer has to say something."""
        self._is_paused = False
        self._heard_s = self._loop.time()

    def _look(self) -> None:
        if self._is_paused:
            self._heard_s = self._loop.time()
        due_s = self._heard_s + self._limit_ms / 1000
        if due_s > self._loop.time():
            self._timer = self._loop.call_at(due_s, self._look)
        else:
            self.verdict = f"no answer within {self._limit_ms} ms"
            self._call.cancel()

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
