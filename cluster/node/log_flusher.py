"""Making logs durable: on demand before anything is committed or acknowledged, and now and then in the background.

Here: awaiting the disk for the logs, which only say what is to be synced. Not here: when a topic asks for it
(`flush.messages`, `flush.ms` in `cluster.storage`), retention.
"""

from __future__ import annotations

import asyncio
import logging
from errno import EIO

from cluster.base.ids import TopicId
from cluster.base.ports import DiskError
from cluster.node.world import World
from cluster.replication import Partition, Replicas

INTERVAL_MS_MAX = 1000
INTERVAL_MS_MIN = 20

_logger = logging.getLogger(__name__)


class LogFlusher:
    """Syncs the logs of one broker; those who wait for the same log share a sync."""

    def __init__(self, world: World, replicas: Replicas) -> None:
        self._world = world
        self._replicas = replicas
        self._running: dict[tuple[TopicId, int], asyncio.Task[None]] = {}

    async def flush(self, partition: Partition) -> None:
        """Return when everything that is in the log now survives a loss of power.

        Raises DiskError when the disk refuses, and when the partition is offline already, for whatever reason: nobody
        will sync it then.
        """
        target = partition.log_end_offset
        while partition.log.recovery_point < min(target, partition.log_end_offset):
            if not partition.is_online:
                raise DiskError(EIO, "the partition went offline before its log was synced", partition.log.directory)
            await asyncio.shield(self._sync_once(partition))

    def _sync_once(self, partition: Partition) -> asyncio.Task[None]:
        """Return the sync under way, which may be too old for whoever asks, or begin one."""
        key = (partition.topic_id, partition.topic_partition.partition)
        running = self._running.get(key)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._sync(partition))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return running

    async def _sync(self, partition: Partition) -> None:
        losses = partition.log.cleaning.losses
        try:
            flush = partition.log.begin_flush()
            for path in flush.paths:
                await self._world.disk.sync(path)
            partition.log.finish_flush(flush, self._world.clock.wall_ms())
            partition.flushed(self._world.clock.monotonic_ms(), self._world.clock.wall_ms())
        except DiskError as error:
            # A log that was deleted under the sync, or a part of it, has nothing to be synced there any more.
            if partition.is_online and losses == partition.log.cleaning.losses:
                partition.disk_failed(error)
                raise

    async def run(self) -> None:
        """Sync closed segments and what is older than `flush.ms`, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_ms() / 1000)
            now_ms = self._world.clock.wall_ms()
            for partition in self._replicas:
                if partition.is_online and (partition.log.flush_due(now_ms) or partition.log.has_closed_unflushed):
                    await self._flush_or_log(partition)

    async def flush_all(self) -> None:
        """Sync every log: the broker is about to stop in good order."""
        for partition in self._replicas:
            if partition.is_online:
                await self._flush_or_log(partition)

    async def _flush_or_log(self, partition: Partition) -> None:
        try:
            await self.flush(partition)
        except DiskError as error:
            _logger.error("%s could not be synced: %s", partition.topic_partition, error)

    def _interval_ms(self) -> int:
        shortest = min((partition.log.settings.flush_ms for partition in self._replicas), default=INTERVAL_MS_MAX)
        return max(INTERVAL_MS_MIN, min(shortest // 2, INTERVAL_MS_MAX))
