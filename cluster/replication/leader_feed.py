"""A follower's side of one stream: what this broker fetches from one leader, partition by partition.

Here: which positions the next request names, and what a response does to the local logs (Kafka:
`AbstractFetcherThread`). Not here: the stream (the shell), appending and cutting (`replica`).

A response says which position it answers: whatever moved in between (another epoch, another leader, a deleted topic,
the same records in the response before) makes it void for that partition.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import NodeId
from cluster.replication.outcomes import PartitionKey
from cluster.replication.partition import Partition
from cluster.replication.roles import PartitionRole
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse, PartitionData
from cluster.storage import EpochEndOffset

FIRST_BACKOFF_MS = 50
"""The pause after a first refusal: leader and follower often learn of an election within milliseconds."""


class _Place(NamedTuple):
    """A replica's position, as a request names it."""

    leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int
    high_watermark: int


class _Delay(NamedTuple):
    """A partition that was refused: how long the pause is, and when it ends."""

    pause_ms: int
    until_ms: int


def place_of(partition: Partition) -> _Place:
    """Return where a replica stands now."""
    log = partition.log
    return _Place(
        partition.leader_epoch,
        log.log_end_offset,
        partition.epoch_to_compare,
        log.log_start_offset,
        partition.high_watermark,
    )


class LeaderFeed:
    """What is fetched from one leader. One request is outstanding at a time, but for a nudge."""

    def __init__(self, node_id: NodeId, backoff_max_ms: int) -> None:
        self._node_id = node_id
        self._backoff_max_ms = max(backoff_max_ms, FIRST_BACKOFF_MS)
        self._followed: dict[PartitionKey, Partition] = {}
        self._named: dict[PartitionKey, _Place] = {}  # what the leader believes about this stream
        self._moved: dict[PartitionKey, Partition] = {}  # what the next request names
        self._forgotten: dict[PartitionKey, None] = {}
        self._delayed: dict[PartitionKey, _Delay] = {}

    def __len__(self) -> int:
        return len(self._followed)

    @property
    def has_news(self) -> bool:
        """Whether the leader should hear of something now, although it still holds a fetch."""
        return bool(self._moved) or bool(self._forgotten)

    def follow(self, partition: Partition) -> None:
        """Fetch a partition, or fetch it under its new epoch."""
        key = _key_of(partition)
        self._followed[key] = partition
        self._delayed.pop(key, None)
        self._forgotten.pop(key, None)
        self._moved[key] = partition

    def unfollow(self, partition: Partition) -> None:
        """Fetch it no more; nothing happens when it is not followed."""
        key = _key_of(partition)
        if self._followed.pop(key, None) is not None:
            self._delayed.pop(key, None)
            self._moved.pop(key, None)
            self._forget(key)

    def _forget(self, key: PartitionKey) -> None:
        if self._named.pop(key, None) is not None:
            self._forgotten[key] = None

    def restart(self) -> None:
        """Begin a new stream, whose leader knows of nothing yet."""
        self._named.clear()
        self._forgotten.clear()
        self._moved = {key: partition for key, partition in self._followed.items() if key not in self._delayed}

    def unsynced(self) -> list[Partition]:
        """Return the partitions that the next request names only when they are synced before."""
        return [partition for partition in self._moved.values() if _must_sync(partition)]

    def request(self, broker_epoch: int, max_wait_ms: int, max_bytes: int, now_ms: int) -> FetchRequest:
        """Return the next request, which acknowledges everything below the positions that it names.

        The leader holds it no longer than until a pause of some partition ends.
        """
        for key, delay in tuple(self._delayed.items()) if self._delayed else ():
            if delay.until_ms <= now_ms and key not in self._named and key not in self._moved:
                self._moved[key] = self._followed[key]
            elif delay.until_ms > now_ms:
                max_wait_ms = min(max_wait_ms, delay.until_ms - now_ms)
        request = FetchRequest(
            replica_id=self._node_id, broker_epoch=broker_epoch, max_wait_ms=max_wait_ms, max_bytes=max_bytes
        )
        if self._forgotten:
            for topic_id, number in self._forgotten:
                request.forgotten.add(topic_id=topic_id, partition=number)
            self._forgotten.clear()
        moved, self._moved = self._moved, {}
        for key, partition in moved.items():
            if partition.role is not PartitionRole.FOLLOWER:
                continue  # its role just changed, and this feed will be told
            if _must_sync(partition):
                self._moved[key] = partition
                continue
            place = place_of(partition)
            if self._named.get(key) == place:
                continue
            self._named[key] = place
            request.partitions.add(
                topic_id=key[0],
                partition=key[1],
                current_leader_epoch=place.leader_epoch,
                fetch_offset=place.fetch_offset,
                last_fetched_epoch=place.last_fetched_epoch,
                log_start_offset=place.log_start_offset,
                high_watermark=place.high_watermark,
            )
        return request

    def receive(self, response: FetchResponse, now_ms: int, wall_ms: int) -> None:
        """Apply a response."""
        for data in response.partitions:
            key = (data.topic_id, data.partition)
            partition = self._followed.get(key)
            if partition is None or key not in self._named or not _still_stands(partition, data):
                continue
            error = self._apply(partition, data, wall_ms)
            if error is NO_ERROR:
                self._delayed.pop(key, None)
                self._moved[key] = partition
            elif partition.is_online:
                self._pause(key, now_ms)

    def _apply(self, partition: Partition, data: PartitionData, wall_ms: int) -> ErrorCode:
        """Do what the leader says for one partition; return why it must pause, or NONE."""
        if data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
            before = place_of(partition)
            partition.start_from_leaders_range(data.log_start_offset, data.log_end_offset)
            moved = partition.is_online and place_of(partition) != before
            return NO_ERROR if moved else ErrorCode.OFFSET_OUT_OF_RANGE
        if data.error_code != NO_ERROR:
            return ErrorCode(data.error_code)
        if data.diverging:
            before = place_of(partition)
            partition.truncate_by_divergence(EpochEndOffset(data.diverging_epoch, data.diverging_end_offset))
            moved = partition.is_online and place_of(partition) != before
            return NO_ERROR if moved else ErrorCode.UNKNOWN_SERVER_ERROR
        return partition.append_fetched(data.records, data.high_watermark, data.log_start_offset, wall_ms)

    def _pause(self, key: PartitionKey, now_ms: int) -> None:
        """Leave a refused partition alone for a while, longer each time."""
        last = self._delayed.get(key)
        pause_ms = FIRST_BACKOFF_MS if last is None else min(2 * last.pause_ms, self._backoff_max_ms)
        self._delayed[key] = _Delay(pause_ms, now_ms + pause_ms)
        self._moved.pop(key, None)
        self._forget(key)


def _must_sync(partition: Partition) -> bool:
    return partition.flush_needed()


def _still_stands(partition: Partition, data: PartitionData) -> bool:
    return (
        partition.role is PartitionRole.FOLLOWER
        and partition.leader_epoch == data.current_leader_epoch
        and partition.log.log_end_offset == data.fetch_offset
    )


def _key_of(partition: Partition) -> PartitionKey:
    return partition.topic_id.bytes, partition.topic_partition.partition
