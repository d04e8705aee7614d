"""Replication on one broker, assembled: streams in both directions, ISR changes, flushes, checkpoints.

Here: which tasks run, and how committed metadata reaches the replicas and the fetchers. Not here: the rules
(`cluster.replication`), who calls `on_delta` (the node).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cluster.base.configs import Configs
from cluster.base.ids import NO_NODE, NodeId, TopicId
from cluster.metadata import Endpoint, MetadataDelta, MetadataImage, delta_between
from cluster.node.config import NodeConfig
from cluster.node.controller_client import ControllerClient
from cluster.node.isr_updates import IsrUpdates
from cluster.node.log_cleaner import LogCleaner
from cluster.node.log_flusher import LogFlusher
from cluster.node.replica_fetcher import ReplicaFetcher
from cluster.node.replication_service import ReplicationService
from cluster.node.world import World
from cluster.replication import LeaderFeed, Partition, Replicas

CHECKPOINT_INTERVAL_MS = 5000
"""Kafka's default `replica.high.watermark.checkpoint.interval.ms`."""

_logger = logging.getLogger(__name__)


class ReplicationShell:
    """The moving parts around `replicas`. `servicer` is to be registered with the node's gRPC server."""

    def __init__(
        self,
        config: NodeConfig,
        world: World,
        configs: Configs,
        replicas: Replicas,
        client: ControllerClient,
        *,
        broker_epoch: Callable[[], int],
    ) -> None:
        self.servicer = ReplicationService(world, configs, replicas)
        self._node_id = config.node_id
        self._world = world
        self._configs = configs
        self._replicas = replicas
        self._broker_epoch = broker_epoch
        self._flusher = LogFlusher(world, replicas)
        self._cleaner = LogCleaner(world, configs, replicas)
        self._isr_updates = IsrUpdates(config.node_id, world, configs, replicas, client, broker_epoch=broker_epoch)
        self._fetchers: dict[NodeId, tuple[ReplicaFetcher, asyncio.Task[None]]] = {}
        self._following: dict[tuple[TopicId, int], NodeId] = {}
        self._has_begun = False
        self._failed: asyncio.Future[None] | None = None
        self._reconciling: asyncio.Handle | None = None
        replicas.on_role_change = self._reconcile_soon
        replicas.on_disk_failure = self._fail

    async def run(self) -> None:
        """Keep everything going until cancelled. A bug in any part ends all of it, with that part's exception.

        So does a disk that fails, as in Kafka when the only log directory has failed: a broker that went on would
        keep leading in everybody's eyes what it can no longer write. Raises DiskError or KafkaError then.
        """
        self._failed = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._isr_updates.run())
                tasks.create_task(self._flusher.run())
                tasks.create_task(self._cleaner.run())
                tasks.create_task(self._checkpoint())
                tasks.create_task(self._enforce_retention())
                tasks.create_task(self._await_failure(self._failed))
        finally:
            self._failed = None
            for _, task in self._fetchers.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._fetchers.values()), return_exceptions=True)
            self._fetchers.clear()
            self._following.clear()

    async def close(self) -> bool:
        """Leave everything on disk as a clean stop does, and return whether the disk let us. Call it after `run`."""
        await self._flusher.flush_all()
        return self._replicas.close()

    async def flush(self, partition: Partition) -> None:
        """Return when all that is in a partition's log survives a loss of power. Raises DiskError."""
        await self._flusher.flush(partition)

    def on_delta(self, delta: MetadataDelta) -> None:
        """Take committed metadata into force: roles first, then who is fetched from.

        A broker that starts is told the whole history, entry by entry, and must not live through it again: nothing
        happens until its own registration is part of the image, and then all of it is one change.
        """
        if not self._has_begun:
            own = delta.image_after.brokers.get(self._node_id)
            if own is None or own.broker_epoch != self._broker_epoch():
                return
            self._has_begun = True
            self._replicas.delete_strays(delta.image_after)
            delta = delta_between(MetadataImage.empty(delta.image_after.cluster_id), delta.image_after)
        clock = self._world.clock
        self._replicas.apply(delta, clock.monotonic_ms(), clock.wall_ms())
        self._reconcile()

    async def _checkpoint(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_INTERVAL_MS / 1000)
            self._replicas.checkpoint_high_watermarks()

    async def _enforce_retention(self) -> None:
        interval_ms = self._configs.integer("log.retention.check.interval.ms")
        while True:
            await asyncio.sleep(interval_ms / 1000)
            self._replicas.enforce_retention(self._world.clock.wall_ms())

    # --- fetchers ---------------------------------------------------------------------------------

    def _reconcile_soon(self) -> None:
        """A replica changed in the middle of something else, such as a response from its leader."""
        if self._reconciling is None:
            self._reconciling = asyncio.get_running_loop().call_soon(self._reconcile)

    def _reconcile(self) -> None:
        """Bring the fetchers in line with the roles: each partition is fetched from its leader or from nobody."""
        self._reconciling = None
        touched: dict[NodeId, None] = {}
        for partition in self._replicas.take_role_changes():
            key = (partition.topic_id, partition.topic_partition.partition)
            old = self._following.pop(key, NO_NODE)
            new = self._replicas.leader_of(partition)
            if old not in (NO_NODE, new):
                self._fetchers[old][0].feed.unfollow(partition)
                touched[old] = None
            if new != NO_NODE:
                self._following[key] = new
                self._fetcher(new).feed.follow(partition)
                touched[new] = None
        for leader in touched:
            self._nudge_or_stop(leader)

    def _nudge_or_stop(self, leader: NodeId) -> None:
        fetcher, task = self._fetchers[leader]
        if len(fetcher.feed) > 0:
            fetcher.nudge()
        else:
            task.cancel()
            del self._fetchers[leader]

    def _fetcher(self, leader: NodeId) -> ReplicaFetcher:
        """Return the fetcher of a leader; begin one when there is none."""
        if leader in self._fetchers:
            return self._fetchers[leader][0]
        fetcher = ReplicaFetcher(
            leader,
            LeaderFeed(self._node_id, self._configs.integer("replica.fetch.backoff.ms")),
            self._world,
            self._configs,
            endpoint=lambda: self._endpoint(leader),
            broker_epoch=self._broker_epoch,
            flush=self.flush,
        )
        task = asyncio.get_running_loop().create_task(fetcher.run(), name=f"fetch from {leader}")
        task.add_done_callback(self._fetcher_ended)
        self._fetchers[leader] = (fetcher, task)
        return fetcher

    def _endpoint(self, leader: NodeId) -> Endpoint | None:
        broker = self._replicas.image.brokers.get(leader)
        return None if broker is None else broker.rpc

    def _fetcher_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        _logger.error("%s ended by a bug", task.get_name(), exc_info=error)
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _await_failure(self, failed: asyncio.Future[None]) -> None:
        await failed
