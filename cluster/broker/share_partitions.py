"""The share partitions of a broker: those partitions that it leads, for each share group that reads them.

Here: loading what is kept of them, delivering records, keeping what became of these, ending acquisition locks (Kafka:
`SharePartitionManager`). Not here: what may happen to a record (`cluster.sharing`), whose turn it is
(`share_sessions`), and the requests.

What changes is kept before anybody is told. When that fails the share partition is dropped, and begins again with what
was kept: what was delivered is delivered again. While the share coordinator is not there acknowledgements wait for
another one, and who fetches gets nothing yet: clients take an error there for the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.broker.deadlines import Deadline
from cluster.broker.share_states import ShareHost, read_state, write_state
from cluster.records import iterate_headers
from cluster.replication import READ_COMMITTED, Partition, ReadOutcome
from cluster.sharing import (
    Acknowledgement,
    Acquired,
    ShareLimits,
    SharePartition,
    SharePartitionKey,
)

log = logging.getLogger(__name__)

EARLIEST = "earliest"


class Delivered(NamedTuple):
    """Whole record batches, and which of their offsets the member was given."""

    records: bytes
    acquired: Sequence[Acquired]


NOTHING = Delivered(b"", ())


class LedShare:
    """One share partition while its partition is led here."""

    def __init__(self, context: ShareHost, key: SharePartitionKey, partition: Partition) -> None:
        self.key = key
        self.partition = partition
        self.leader_epoch = partition.leader_epoch
        self.is_over = False
        self.failure = ErrorCode.NONE
        """Why it cannot be loaded."""

        self._is_looking = False
        self._context = context
        self._share: SharePartition | None = None
        self._state_epoch = 0
        self._saving = asyncio.Lock()
        self._timer: Deadline | None = None
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def is_current(self) -> bool:
        """Whether the partition is led here under the epoch in which this was loaded."""
        return not self.is_over and self.partition.is_leader and self.partition.leader_epoch == self.leader_epoch

    # --- life -------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Find out where the group is, unless that is known. Raises KafkaError."""
        async with self._saving:
            if self._share is not None:
                return
            state = await read_state(self._context, self.key, self.leader_epoch, self._first_offset())
            self._state_epoch = state.state_epoch
            self._share = SharePartition(
                replace(state, leader_epoch=self.leader_epoch), share_limits(self._context, self.key.group_id)
            )

    @property
    def is_ready(self) -> bool:
        """Whether it is known where the group is."""
        return self._share is not None and not self._is_looking

    def look(self) -> None:
        """Find out beside the requests where the group is, also when an admin has moved or deleted it meanwhile.

        Who waits is woken then.
        """
        if not self._is_looking:
            self._is_looking = True
            self._context.spawn(self._look())

    async def _look(self) -> None:
        try:
            if self._share is None:
                await self.load()
            else:
                state = await read_state(self._context, self.key, self.leader_epoch)
                if state.state_epoch != self._state_epoch or state.start_offset < 0:
                    self.drop()
        except KafkaError as error:
            if error.code is not ErrorCode.COORDINATOR_NOT_AVAILABLE:
                self.failure = _told(error.code)
        finally:
            self._is_looking = False
        self._wake()

    def drop(self) -> None:
        """Forget everything; whoever waits looks again."""
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def _first_offset(self) -> int:
        own = self._context.image().group_configs(self.key.group_id)
        reset = own.get("share.auto.offset.reset", self._context.configs.text("group.share.auto.offset.reset"))
        return self.partition.log.log_start_offset if reset == EARLIEST else self.partition.high_watermark

    def _isolation_level(self) -> int:
        configs = self._context.configs.for_group(self._context.image().group_configs(self.key.group_id))
        return READ_COMMITTED if configs.text("group.share.isolation.level") == "read_committed" else 0

    # --- delivering -------------------------------------------------------------------------------

    def deliver(self, member: str, max_bytes: int, records_max: int) -> Delivered | ErrorCode:
        """Give a member what is free, as far as the log has it."""
        share = self._share
        assert share is not None, "the caller has loaded it"
        share.limits = share_limits(self._context, self.key.group_id)
        share.log_starts_at(self.partition.log.log_start_offset)
        share.log_ends_at(self.partition.log_end_offset)
        read_at = -1
        while read_at < share.next_fetch_offset and not share.is_full:  # nothing may be there that can be given
            read_at = share.next_fetch_offset
            outcome = self.partition.read(
                offset=read_at, max_bytes=max_bytes, isolation_level=self._isolation_level(), at_least_one=True
            )
            if outcome.error is not ErrorCode.NONE:
                return outcome.error
            delivered = self._give(share, member, read_at, outcome, records_max)
            if delivered.acquired or not outcome.records:
                return delivered
        return NOTHING

    def _give(self, share: SharePartition, member: str, read_at: int, read: ReadOutcome, records_max: int) -> Delivered:
        """Give a member what is free of some batches that were read, and no more batches than that."""
        data, end = memoryview(read.records), read_at
        ranges, ends = list(readable_ranges(data, read.aborted or ())), []
        for position, header in iterate_headers(data):
            end = header.next_offset
            ends.append((end - 1, position + header.size_bytes))
        share.found_only(read_at, ranges, end)
        acquired = share.acquire(member, ranges, records_max, self._context.clock.monotonic_ms())
        if not acquired:
            return NOTHING
        self._arm()
        last = acquired[-1].last_offset
        size = next(end for last_offset, end in ends if last_offset >= last)
        return Delivered(bytes(data[:size]), acquired)

    async def acknowledge(self, member: str, acknowledgements: Sequence[Acknowledgement]) -> ErrorCode:
        """Take in what a member says, and answer when that is kept."""
        share = self._share
        assert share is not None, "the caller has loaded it"
        error = share.acknowledge(member, acknowledgements, self._context.clock.monotonic_ms())
        if error is not ErrorCode.NONE:
            return error
        return await self._changed()

    async def release_all_of(self, member: str) -> None:
        """A member has closed its session: others may have what it was given."""
        if self._share is not None and self._share.release_all_of(member):
            await self._changed()

    def when_released(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when something that was delivered is free again; the answer ends that."""
        self._waiting[wake] = None
        return lambda: self._forget_waiting(wake)

    def _forget_waiting(self, wake: Callable[[], None]) -> None:
        self._waiting.pop(wake, None)

    async def _changed(self) -> ErrorCode:
        self._arm()
        error = await self._save()
        self._wake()
        return error

    async def _save(self) -> ErrorCode:
        """Have what is true now kept. One after the other: a later state must not be overtaken by an earlier one."""
        async with self._saving:
            if not self.is_current or self._share is None:
                return ErrorCode.NOT_LEADER_OR_FOLLOWER
            try:
                await write_state(self._context, self.key, self._share.state)
            except KafkaError as error:
                log.warning("%s: what was acknowledged is not kept: %s", self.key.text, error)
                self.drop()
                return _told(error.code)
        return ErrorCode.NONE

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()

    # --- time -------------------------------------------------------------------------------------

    def _arm(self) -> None:
        due_ms = None if self._share is None else self._share.next_deadline_ms()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None:
            self._timer = self._context.deadlines.set(due_ms - self._context.clock.monotonic_ms(), self._locks_end)

    def _locks_end(self) -> None:
        self._timer = None
        if not self.is_current or self._share is None:
            return
        if self._share.time_passed(self._context.clock.monotonic_ms()):
            self._context.spawn(self._save_released())
        self._arm()

    async def _save_released(self) -> None:
        await self._changed()


def share_limits(context: ShareHost, group_id: str) -> ShareLimits:
    """Return what bounds a group's deliveries, by its own configs where it has any."""
    configs = context.configs.for_group(context.image().group_configs(group_id))
    least = configs.integer("group.share.min.record.lock.duration.ms")
    most = configs.integer("group.share.max.record.lock.duration.ms")
    return ShareLimits(
        max(least, min(configs.integer("group.share.record.lock.duration.ms"), most)),
        configs.integer("group.share.delivery.count.limit"),
        configs.integer("group.share.partition.max.record.locks"),
    )


def readable_ranges(data: memoryview, aborted: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the first and last offsets of batches that members may have: neither markers, nor of aborted transactions.

    `aborted` has the producer id and the first offset of each of these.
    """
    to_come = sorted(aborted, key=lambda each: each[1], reverse=True)
    open_: dict[int, None] = {}
    for _, header in iterate_headers(data):
        while to_come and to_come[-1][1] < header.next_offset:
            open_[to_come.pop()[0]] = None
        if header.is_control:
            open_.pop(header.producer_id, None)
        elif not header.is_transactional or header.producer_id not in open_:
            yield header.base_offset, header.next_offset - 1


class SharePartitions:
    """All share partitions that this broker leads, by group and partition."""

    def __init__(self, context: ShareHost) -> None:
        self._context = context
        self._led: dict[SharePartitionKey, LedShare] = {}

    def image_changed(self) -> None:
        """Let go of what is led elsewhere now; whoever waits for records hears of it."""
        for key in [key for key, led in self._led.items() if not led.is_current]:
            self._led.pop(key).drop()

    def forget_group(self, group_id: str) -> None:
        """Let go of a group of which nobody reads here any more; whoever comes begins with what was kept."""
        for key in [key for key in self._led if key.group_id == group_id]:
            self._led.pop(key).drop()

    def __len__(self) -> int:
        return len(self._led)

    def led_here(self, key: SharePartitionKey) -> LedShare | ErrorCode:
        """Return a share partition, loaded or not, or why it cannot be served here."""
        topic = self._context.image().topic_by_id(key.topic_id)
        if topic is None:
            return ErrorCode.UNKNOWN_TOPIC_ID
        if not 0 <= key.partition < len(topic.partitions):
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        partition = self._context.replicas.get(TopicPartition(topic.name, key.partition))
        if partition is None or not partition.is_leader:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        led = self._led.get(key)
        if led is None or not led.is_current or led.partition is not partition:
            if led is not None:
                led.drop()
            self._led[key] = led = LedShare(self._context, key, partition)
        if led.failure is not ErrorCode.NONE:
            self._forget(led)
            return led.failure
        return led

    async def find(self, key: SharePartitionKey) -> LedShare | ErrorCode:
        """Return a share partition when it is loaded, or why it cannot be served here."""
        led = self.led_here(key)
        if isinstance(led, ErrorCode):
            return led
        try:
            await led.load()
        except KafkaError as error:
            self._forget(led)
            return _told(error.code)
        return led if led.is_current else ErrorCode.NOT_LEADER_OR_FOLLOWER

    def _forget(self, led: LedShare) -> None:
        if self._led.get(led.key) is led:  # another one may have taken its place meanwhile
            del self._led[led.key]
        led.drop()


def _told(error: ErrorCode) -> ErrorCode:
    """Return what clients are told: that another broker leads by now, if the coordinator has heard from it."""
    return ErrorCode.NOT_LEADER_OR_FOLLOWER if error is ErrorCode.FENCED_LEADER_EPOCH else error
