"""A broker follows the metadata log: one stream from the active controller, opened again elsewhere when it breaks.

Here: the broker's image, in memory only, and those who wait for it. A restarted broker fetches everything again.
Not here: what a change of metadata does to replicas; a listener hears each delta, in order and on the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_NODE, NodeId
from cluster.metadata import MetadataDelta, MetadataImage, apply_batch, delta_between, read_snapshot, trace_delta
from cluster.node.config import NodeConfig
from cluster.node.controller_client import ControllerClient
from cluster.node.world import World
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

_BACKOFF_MS_MIN = 10
_BACKOFF_MS_MAX = 100


class MetadataFollower:
    """This broker's view of the cluster, which may be old but never goes back."""

    def __init__(
        self,
        config: NodeConfig,
        world: World,
        configs: Configs,
        client: ControllerClient,
        on_delta: Callable[[MetadataDelta], None] | None = None,
    ) -> None:
        self.image = MetadataImage.empty(config.cluster_id)
        self.active_controller = NO_NODE
        self._node_id = config.node_id
        self._world = world
        self._client = client
        self._listeners: list[Callable[[MetadataDelta], None]] = [] if on_delta is None else [on_delta]
        self._progress = asyncio.Event()
        # The controller speaks twice in this time, so whoever is silent for longer is gone or cut off.
        self._silence_ms_max = configs.integer("controller.quorum.fetch.timeout.ms")

    def listen(self, on_delta: Callable[[MetadataDelta], None]) -> None:
        """Have every later delta told, in order, as soon as the image has it."""
        self._listeners.append(on_delta)

    async def when(self, holds: Callable[[MetadataImage], bool], timeout_ms: int | None = None) -> bool:
        """Return True as soon as the image satisfies a predicate, False when it does not within `timeout_ms`."""
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                while not holds(self.image):
                    await self._progress.wait()
        except TimeoutError:
            return holds(self.image)
        return True

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff_ms = _BACKOFF_MS_MIN
        while True:
            asked = self._client.believed
            if await self._follow(asked):
                backoff_ms = _BACKOFF_MS_MIN
            self.active_controller = NO_NODE
            await asyncio.sleep(backoff_ms / 1000)
            backoff_ms = min(2 * backoff_ms, _BACKOFF_MS_MAX)

    async def _follow(self, asked: NodeId) -> bool:
        """Follow one voter until it is active no more or silent; return whether it ever was active."""
        request = rpc.FollowMetadataRequest(broker_id=self._node_id, next_offset=self.image.offset + 1)
        call = self._client.stub(asked).FollowMetadata(request)
        was_active = False
        try:
            while True:
                async with asyncio.timeout(self._silence_ms_max / 1000):
                    update = await call.read()
                if not isinstance(update, rpc.MetadataUpdate):  # grpc.aio.EOF
                    self._client.distrust(asked)
                    return was_active
                if update.status.error_code == ErrorCode.NOT_CONTROLLER:
                    self._client.learn(asked, update.status)
                    return was_active
                was_active = True
                self.active_controller = asked
                self._client.confirm(asked)
                self._apply(update)
        except (TimeoutError, grpc.aio.AioRpcError):
            self._client.distrust(asked)
            return was_active
        finally:
            call.cancel()

    def _apply(self, update: rpc.MetadataUpdate) -> None:
        if update.snapshot and update.snapshot_offset > self.image.offset:
            image = read_snapshot(update.snapshot, update.snapshot_offset, update.snapshot_epoch)
            self._publish(delta_between(self.image, image))
        for entry in update.entries:
            if entry.offset > self.image.offset:
                assert entry.offset == self.image.offset + 1, f"entry {entry.offset} follows {self.image.offset}"
                records = pb.MetadataBatch.FromString(entry.batch).records
                _, delta = apply_batch(self.image, records, entry.offset, entry.epoch)
                self._publish(delta)

    def _publish(self, delta: MetadataDelta) -> None:
        self.image = delta.image_after
        trace_delta(self._world.tracer, delta)
        for listener in self._listeners:
            listener(delta)
        self._progress.set()
        self._progress = asyncio.Event()
