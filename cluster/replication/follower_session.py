"""A leader's side of one stream: what a follower fetches from this broker, partition by partition.

Here: the fetch session (the idea of KIP-227, with the stream as its identity): the last position of every partition,
which of them have news, and the responses. Not here: the stream itself and how long a fetch is held (the shell),
what a fetch means for a partition (`partition`).

A request names only partitions whose position moved, and a response only those with something to say, so that a
thousand idle partitions cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import NodeId
from cluster.replication.follower_progress import FetchPulse
from cluster.replication.outcomes import FOLLOWER_IS_FINE, FollowerFetch, FollowerVerdict, PartitionKey
from cluster.replication.partition import Partition
from cluster.replication.replica import StreamNotice
from cluster.replication.replicas import Replicas
from cluster.rpc.replication_pb2 import FetchPartition, FetchRequest, FetchResponse


class _Position:
    """Where the follower is in one partition, and what the leader thinks of it."""

    __slots__ = ("fetch", "high_watermark", "key", "log_start_offset", "notice", "partition", "verdict")

    def __init__(self, key: PartitionKey, partition: Partition | None, notice: StreamNotice) -> None:
        self.key = key
        self.partition = partition
        self.notice = notice
        self.fetch: FollowerFetch | None = None
        self.high_watermark = -1
        self.log_start_offset = -1  # what the follower has or was told
        self.verdict = FOLLOWER_IS_FINE

    def is_refused(self) -> bool:
        return self.verdict.error is not NO_ERROR or self.verdict.diverging is not None


class FollowerSession:
    """One stream of one follower. `wake` is called when there is something to say; it may be called often."""

    def __init__(self, replicas: Replicas, partition_bytes_max: int, wake: Callable[[], None]) -> None:
        self._replicas = replicas
        self._partition_bytes_max = partition_bytes_max
        self._wake = wake
        self._pulse = FetchPulse()
        self._positions: dict[PartitionKey, _Position] = {}
        self._news: dict[PartitionKey, _Position] = {}  # in the order in which they are served
        self._said: dict[PartitionKey, _Position] = {}  # in the last response, and not named again since
        self.is_urgent = False
        """Whether the next response would say more than that a high watermark moved: records, or a refusal."""
        self.is_behind = False
        """Whether the log had grown already when the last request came: producers do not wait for this follower."""
        self.gathered_bytes = 0
        """Bytes that were appended since the last response."""
        self._follower = NodeId(-1)
        self._broker_epoch = -1
        self._bytes_max = 0
        self._error = NO_ERROR

    @property
    def has_news(self) -> bool:
        """Whether the next response would say anything, if only that a high watermark moved."""
        return bool(self._news) or self._error is not NO_ERROR

    def accept(self, request: FetchRequest, now_ms: int) -> None:
        """Take a request: positions that moved, partitions that are forgotten. High watermarks may move by it."""
        self._follower = NodeId(request.replica_id)
        self._broker_epoch = request.broker_epoch
        self._bytes_max = request.max_bytes
        stale = self._replicas.is_stale_broker(self._follower, self._broker_epoch)
        self._error = ErrorCode.STALE_BROKER_EPOCH if stale else NO_ERROR
        if stale:
            self.is_urgent = True
            return
        self._pulse.last_fetch_ms = now_ms
        for name in request.forgotten:
            self._forget((name.topic_id, name.partition))
        for row in request.partitions:
            self._take(row, now_ms)
        said, self._said = self._said, {}
        for position in said.values():  # not named again: it still stands where it stood
            self._judge(position)

    def _take(self, row: FetchPartition, now_ms: int) -> None:
        key = (row.topic_id, row.partition)
        self._said.pop(key, None)
        self._news.pop(key, None)
        position = self._positions.get(key)
        partition = None if position is None else position.partition
        if partition is None or not partition.is_online:
            partition = self._replicas.by_id(UUID(bytes=row.topic_id), row.partition)
        if position is None or position.partition is not partition:
            self._forget(key)
            position = self._attach(key, partition)
        position.fetch = FollowerFetch(
            self._follower,
            self._broker_epoch,
            row.current_leader_epoch,
            row.fetch_offset,
            row.last_fetched_epoch,
            row.log_start_offset,
        )
        position.high_watermark = row.high_watermark
        position.log_start_offset = max(position.log_start_offset, row.log_start_offset)
        if partition is None:
            position.verdict = FollowerVerdict(ErrorCode.UNKNOWN_TOPIC_ID)
        else:
            position.verdict = partition.follower_fetched(position.fetch, self._pulse, now_ms)
        self._judge(position)

    def _attach(self, key: PartitionKey, partition: Partition | None) -> _Position:
        position = _Position(key, partition, partial(self._hear, key))
        self._positions[key] = position
        if partition is not None:
            partition.attach_stream(self._follower, position.notice)
        return position

    def _forget(self, key: PartitionKey) -> None:
        position = self._positions.pop(key, None)
        self._news.pop(key, None)
        self._said.pop(key, None)
        if position is not None and position.partition is not None:
            position.partition.detach_stream(self._follower, position.notice)

    def _hear(self, key: PartitionKey, is_urgent: bool, appended_bytes: int) -> None:
        """Something moved on a partition."""
        self.gathered_bytes += appended_bytes
        if key in self._said:
            return  # the follower has yet to answer what it was told
        if key in self._news and not is_urgent:
            return  # that there is something to say is known
        self._news[key] = self._positions[key]
        self.is_urgent = self.is_urgent or is_urgent
        self._wake()

    def _judge(self, position: _Position) -> None:
        """Put a position among the news when there is something to say about it."""
        fetch, partition = position.fetch, position.partition
        assert fetch is not None, "a position has a fetch"
        if position.is_refused() or partition is None or not partition.is_leader:
            has_data = True
        else:
            has_data = fetch.fetch_offset < partition.log_end_offset
            self.is_behind = self.is_behind or has_data
            if not has_data and partition.high_watermark <= position.high_watermark:
                return
        self._news[position.key] = position
        self.is_urgent = self.is_urgent or has_data

    def respond(self) -> FetchResponse:
        """Say what there is to say, as far as `max_bytes` reaches; at least one batch. It may be nothing."""
        response = FetchResponse(error_code=self._error)
        self.is_urgent = self.is_behind = False
        self.gathered_bytes = 0
        if self._error is not NO_ERROR:
            self._error = NO_ERROR
            return response
        news, self._news = self._news, {}
        bytes_left = self._bytes_max
        for key, position in news.items():
            if bytes_left <= 0:
                self._news[key] = position  # first in the next response
                self.is_urgent = True
                continue
            said_bytes = self._say(position, response, bytes_left, at_least_one=bytes_left == self._bytes_max)
            if said_bytes is not None:
                bytes_left -= said_bytes
                self._said[key] = position
        return response

    def _say(self, position: _Position, response: FetchResponse, bytes_left: int, *, at_least_one: bool) -> int | None:
        """Add one partition to a response and return its bytes of records; None when there is nothing to say."""
        fetch, partition = position.fetch, position.partition
        assert fetch is not None, "a position has a fetch"
        error = position.verdict.error
        if error is NO_ERROR and partition is not None:
            error = partition.check_leader(fetch.current_leader_epoch)  # it may have changed while this fetch waited
        records = b""
        if error is NO_ERROR and position.verdict.diverging is None and partition is not None:
            if fetch.fetch_offset < partition.log_end_offset:
                size_max = min(bytes_left, self._partition_bytes_max)
                error, records = partition.read_log(
                    fetch.fetch_offset, size_max, partition.log_end_offset, at_least_one
                )
                if not records and error is NO_ERROR:
                    self._news[position.key] = position  # no batch fits into what is left
                    self.is_urgent = True
                    return None
            elif (
                partition.high_watermark <= position.high_watermark
                and partition.log.log_start_offset <= position.log_start_offset
            ):
                return None
        topic_id, number = position.key
        data = response.partitions.add(
            topic_id=topic_id,
            partition=number,
            error_code=error,
            records=records,
            fetch_offset=fetch.fetch_offset,
            current_leader_epoch=fetch.current_leader_epoch,
        )
        if partition is not None and partition.is_online:
            data.high_watermark = partition.high_watermark
            data.last_stable_offset = partition.last_stable_offset
            data.log_start_offset = position.log_start_offset = partition.log.log_start_offset
            data.log_end_offset = partition.log_end_offset
        if position.verdict.diverging is not None:
            data.diverging = True
            data.diverging_epoch, data.diverging_end_offset = position.verdict.diverging
        return len(records)

    def close(self) -> None:
        """The stream ended."""
        for key in tuple(self._positions):
            self._forget(key)
