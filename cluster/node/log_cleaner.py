"""Compaction in the background: one log at a time, the dirtiest first (Kafka: `LogCleaner`, with one thread).

Here: which log is next, the pauses between the steps, and awaiting the disk. Not here: what a step does, and when a log
is dirty enough (`cluster.storage`).
"""

from __future__ import annotations

import asyncio
import logging

from cluster.base.configs import Configs
from cluster.base.errors import KafkaError
from cluster.base.ids import TopicId
from cluster.base.ports import DiskError
from cluster.base.trace import CompactionAbandoned, CompactionBegan, LogCompacted, TraceEvent
from cluster.node.world import World
from cluster.replication import Partition, Replicas
from cluster.storage import Dirt, compact, dirt_of

PAUSE_MS = 2
"""Between two steps, each of which is some milliseconds of work: clients come first."""

_logger = logging.getLogger(__name__)


class LogCleaner:
    """Compacts the logs of one broker."""

    def __init__(self, world: World, configs: Configs, replicas: Replicas) -> None:
        self._world = world
        self._replicas = replicas
        self._is_enabled = configs.flag("log.cleaner.enable")
        self._uncleanable: dict[tuple[TopicId, int], None] = {}

    async def run(self) -> None:
        """Compact what is worth it, then look again every `log.cleaner.backoff.ms`, until cancelled."""
        while self._is_enabled:
            await asyncio.sleep(self._replicas.configs.integer("log.cleaner.backoff.ms") / 1000)
            found = self._filthiest()
            while found is not None:
                await self._clean(*found)
                found = self._filthiest()

    def _filthiest(self) -> tuple[Partition, Dirt] | None:
        """Return the log that is due for compaction and has the largest part to compact."""
        now_ms = self._world.clock.wall_ms()
        best: tuple[Partition, Dirt] | None = None
        for partition in self._replicas:
            if not partition.is_compacted or _key(partition) in self._uncleanable:
                continue
            dirt = dirt_of(partition.log, partition.last_stable_offset, now_ms)
            if dirt.is_due(partition.log.settings.cleaning) and (best is None or dirt.ratio > best[1].ratio):
                best = partition, dirt
        return best

    async def _clean(self, partition: Partition, dirt: Dirt) -> None:
        log = partition.log
        topic, number = partition.topic_partition
        before_bytes = log.size_bytes
        self._tell(CompactionBegan(topic, number, dirt.first_offset, dirt.end_offset))
        if await self._compacted(partition, dirt):
            end_offset = log.cleaning.cleaned_offset or 0
            self._tell(LogCompacted(topic, number, dirt.first_offset, end_offset, before_bytes, log.size_bytes))
        else:
            self._tell(CompactionAbandoned(topic, number))

    async def _compacted(self, partition: Partition, dirt: Dirt) -> bool:
        """Drive a compaction; False when it came to no end."""
        log = partition.log
        steps = compact(log, dirt, self._world.clock.wall_ms())
        try:
            # A topic may be deleted, or a disk fail, while this waits: the log is not to be touched then.
            while partition.is_online:
                path = next(steps, _DONE)
                if path is _DONE:
                    break
                if path is not None:
                    await self._world.disk.sync(path)
                await asyncio.sleep(PAUSE_MS / 1000)
        except KafkaError as error:
            # Records that cannot be read: Kafka, too, leaves such a log alone until the broker starts again.
            _logger.error("%s cannot be compacted: %s", partition.topic_partition, error)
            self._uncleanable[_key(partition)] = None
            return False
        except DiskError as error:
            partition.disk_failed(error)  # nothing happens when it is offline already
            return False
        return partition.is_online and (log.cleaning.cleaned_offset or 0) > dirt.first_offset

    def _tell(self, event: TraceEvent) -> None:
        if self._world.tracer.enabled:
            self._world.tracer.emit(event)


_DONE = ""
"""No path: the compaction has ended."""


def _key(partition: Partition) -> tuple[TopicId, int]:
    return partition.topic_id, partition.topic_partition.partition
