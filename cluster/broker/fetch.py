"""Fetch (API 1), versions 4 to 18: whole record batches below the high watermark, with a long poll.

Behaviour
- Answered at once when there are `min_bytes`, when a partition has an error or a diverging log, when nothing is asked
  for or `max_wait_ms` is 0. Otherwise held until something moves on one of the partitions, without polling.
- `max_bytes` and each partition's maximum are honoured with whole batches, except that the first batch is returned
  whatever its size, so that a consumer is never stuck (KIP-74).
- A consumer sees nothing above the high watermark (read_uncommitted) or the last stable offset (read_committed). The
  latter is told which transactions were aborted, and passes over their records by itself (KIP-98).
- With a session (KIP-227, version 7) only partitions with news are told; see `fetch_sessions`.
- A consumer that names its rack (version 11) may be sent to a follower there by the leader, and is served by followers:
  below their own high watermark, and OFFSET_NOT_AVAILABLE beyond their log's end; see `closest_replica` (KIP-392).
- NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH name the current leader: from version 12 on, and its endpoint from 16
  on (KIP-951).

Departures: replicas fetch over gRPC, so whoever calls itself a replica here is treated as a consumer. A follower sends
consumers that name no rack to the leader: of those, some never say which leader they believe in, and would not notice.
"""

from __future__ import annotations

import asyncio

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import NO_NODE, NodeId, TopicPartition
from cluster.broker.closest_replica import preferred_replica, selects_by_rack
from cluster.broker.context import BrokerContext
from cluster.broker.deadlines import Deadline
from cluster.broker.fetch_sessions import INITIAL_EPOCH, NO_SESSION, Asked, FetchSession
from cluster.broker.partitions import MOVED, current_leader, endpoints_of, find_partition
from cluster.broker.quotas import FETCH, Meter
from cluster.broker.request import Request, Slot
from cluster.replication import Partition, PartitionRole, Watch
from cluster.wire import (
    FetchPartition,
    FetchRequest,
    FetchResult,
    TopicKey,
    decode_fetch_request,
    encode_fetch_response,
)

LEADER_HINTS_FROM = 12
TOPIC_IDS_FROM = 13


def serve(context: BrokerContext, request: Request, slot: Slot) -> None:
    """Answer with what there is, or wait for more."""
    message = decode_fetch_request(request.version, request.body)
    now_ms = context.clock.monotonic_ms()
    session = context.fetch_sessions.find(message, request.version >= TOPIC_IDS_FROM, now_ms)
    if isinstance(session, ErrorCode):
        slot.answer(encode_fetch_response(request.version, session, NO_SESSION, []))
        return
    meter = context.quotas.meter(FETCH, request.client_id) if context.quotas.is_enforced else None
    if meter is not None:
        message = message._replace(max_bytes=min(message.max_bytes, meter.burst_bytes))
    _PendingFetch(context, request.version, message, slot, meter=meter, session=session).begin()


class _PendingFetch:
    """A fetch that may be waiting (Kafka: `DelayedFetch`)."""

    __slots__ = (
        "_bytes_before",
        "_check_scheduled",
        "_context",
        "_deadline",
        "_is_over",
        "_message",
        "_meter",
        "_session",
        "_slot",
        "_topics",
        "_version",
        "_watch",
        "_watched",
    )

    def __init__(
        self,
        context: BrokerContext,
        version: int,
        message: FetchRequest,
        slot: Slot,
        *,
        meter: Meter | None,
        session: FetchSession | None,
    ) -> None:
        self._context = context
        self._meter = meter
        self._session = session
        self._version = version
        self._message = message
        self._topics = message.topics if session is None else session.topics
        self._slot = slot
        self._deadline: Deadline | None = None
        self._watch: Watch | None = None
        self._watched: list[tuple[Partition, int, PartitionRole]] = []
        self._bytes_before = 0
        self._check_scheduled = False
        self._is_over = False

    def begin(self) -> None:
        """Read once; wait when that was not enough."""
        reading = _Reading(self._context, self._version, self._message, self._topics)
        if reading.is_enough or self._message.max_wait_ms <= 0:
            self._answer(reading)
            return
        if self._message.min_bytes > 1:
            self._note_sizes(reading)
        self._slot.on_abandoned = self._stop_waiting
        self._watch = self._context.replicas.watch(reading.partitions, self._something_moved)
        self._deadline = self._context.deadlines.set(self._message.max_wait_ms, self._time_is_up)

    def _something_moved(self) -> None:
        # Once for all that moves in this turn of the loop, and not in the middle of an append.
        if not self._check_scheduled:
            self._check_scheduled = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_scheduled = False
        if self._is_over or self._cannot_be_enough():
            return
        reading = _Reading(self._context, self._version, self._message, self._topics)
        if reading.is_enough:
            self._answer(reading)

    def _note_sizes(self, reading: _Reading) -> None:
        found = [self._context.replicas.get(topic_partition) for topic_partition in reading.partitions]
        self._watched = [(partition, partition.leader_epoch, partition.role) for partition in found if partition]
        self._bytes_before = sum(partition.log.size_bytes for partition, _, _ in self._watched) - reading.bytes_read

    def _cannot_be_enough(self) -> bool:
        """Whether the logs have not grown by what is wanted, so that there is no need to read what there is.

        A consumer that wants a megabyte must not have it read anew with every record that comes.
        """
        if self._message.min_bytes <= 1:
            return False
        if any((partition.leader_epoch, partition.role) != (epoch, role) for partition, epoch, role in self._watched):
            return False
        grown = sum(partition.log.size_bytes for partition, _, _ in self._watched) - self._bytes_before
        return grown < self._message.min_bytes

    def _time_is_up(self) -> None:
        self._answer(_Reading(self._context, self._version, self._message, self._topics))

    def _answer(self, reading: _Reading) -> None:
        self._stop_waiting()
        session = self._session
        if session is not None and session.epoch != self._message.session_epoch:
            error = ErrorCode.INVALID_FETCH_SESSION_EPOCH  # the client went on without this answer
            self._slot.answer(encode_fetch_response(self._version, error, NO_SESSION, []))
            return
        session_id = NO_SESSION if session is None or len(session) == 0 else session.session_id
        throttle_ms = 0 if self._meter is None else self._throttle(self._meter, reading.bytes_read)
        if throttle_ms > 0 and self._meter is not None:
            self._slot.mute(throttle_ms)
            body = encode_fetch_response(self._version, NO_ERROR, session_id, [], throttle_ms=throttle_ms)
            self._slot.answer(body)
            return
        topics = reading.topics
        if session is not None:
            topics = session.news(topics)
        elif self._message.session_epoch == INITIAL_EPOCH:
            session = self._begin_session(reading)
            session_id = NO_SESSION if session is None else session.session_id
        if session is not None and reading.is_full:
            session.served(reading.topics)
        moved = [part.current_leader for _, parts in topics for part in parts if part.current_leader is not None]
        endpoints = endpoints_of(self._context, moved) if moved else []
        self._slot.answer(encode_fetch_response(self._version, NO_ERROR, session_id, topics, endpoints))

    def _begin_session(self, reading: _Reading) -> FetchSession | None:
        now_ms = self._context.clock.monotonic_ms()
        session = self._context.fetch_sessions.begin(self._message, self._version >= TOPIC_IDS_FROM, now_ms)
        if session is not None:
            session.news(reading.topics)  # all of it is told
        return session

    def _throttle(self, meter: Meter, size_bytes: int) -> int:
        """Count what was read; return for how long a client that is too fast gets nothing instead.

        Whoever got nothing for a while gets the batch that it asks for, however large: it would be stuck otherwise.
        """
        now_ms = self._context.clock.monotonic_ms()
        is_first = meter.is_idle(now_ms)
        throttle_ms = meter.charge(size_bytes, now_ms)
        if throttle_ms <= 0 or is_first:
            return 0
        meter.refund(size_bytes, now_ms)
        return throttle_ms

    def _stop_waiting(self) -> None:
        self._is_over = True
        if self._watch is not None:
            self._watch.cancel()
        if self._deadline is not None:
            self._deadline.cancel()


class _Reading:
    """One attempt: what all partitions have to give at this moment."""

    __slots__ = (
        "_bytes_left",
        "_context",
        "_message",
        "_rack",
        "_version",
        "bytes_read",
        "is_settled",
        "partitions",
        "topics",
    )

    def __init__(self, context: BrokerContext, version: int, message: FetchRequest, topics: Asked) -> None:
        self._context = context
        self._version = version
        self._message = message
        self._bytes_left = min(message.max_bytes, context.fetch_bytes_max)
        self._rack = message.rack_id if message.rack_id and selects_by_rack(context) else ""
        self.bytes_read = 0
        self.is_settled = not topics
        """Whether waiting would bring nothing: an error, a divergence, or nothing was asked for."""
        self.partitions: list[TopicPartition] = []
        self.topics: list[tuple[TopicKey, list[FetchResult]]] = [
            (key, [self._read(key, asked) for asked in parts]) for key, parts in topics
        ]

    @property
    def is_enough(self) -> bool:
        """Whether the client should be answered now."""
        return self.is_settled or self.bytes_read >= self._message.min_bytes

    @property
    def is_full(self) -> bool:
        """Whether there was no room for more, so that partitions at the end may have been left out."""
        return self._bytes_left == 0

    def _read(self, key: TopicKey, asked: FetchPartition) -> FetchResult:
        partition = find_partition(self._context, key, asked.partition)
        if isinstance(partition, ErrorCode):
            return self._failed(key, asked, FetchResult(asked.partition, partition))
        if self._rack and partition.is_leader:
            preferred = preferred_replica(self._context, partition, asked.fetch_offset, self._rack)
            if preferred != NO_NODE:
                return self._sent_to(preferred, partition, asked)
        outcome = partition.read(
            offset=asked.fetch_offset,
            max_bytes=min(asked.max_bytes, self._bytes_left),
            isolation_level=self._message.isolation_level,
            current_leader_epoch=asked.current_leader_epoch,
            last_fetched_epoch=asked.last_fetched_epoch,
            at_least_one=self.bytes_read == 0,
            from_follower=self._message.rack_id != "",
        )
        result = FetchResult(
            asked.partition,
            outcome.error,
            outcome.high_watermark,
            outcome.last_stable_offset,
            outcome.log_start_offset,
            outcome.records,
            aborted=outcome.aborted,
        )
        if outcome.error is not NO_ERROR:
            return self._failed(key, asked, result)
        if outcome.diverging is not None:
            self.is_settled = True
            result.diverging = (outcome.diverging.epoch, outcome.diverging.end_offset)
        self.partitions.append(partition.topic_partition)
        self.bytes_read += len(outcome.records)
        self._bytes_left = max(self._bytes_left - len(outcome.records), 0)
        return result

    def _sent_to(self, preferred: NodeId, partition: Partition, asked: FetchPartition) -> FetchResult:
        """Send the consumer to a follower, with what it may need and without records (KIP-392)."""
        self.is_settled = True
        log_start_offset, stable = partition.log.log_start_offset, partition.last_stable_offset
        result = FetchResult(asked.partition, NO_ERROR, partition.high_watermark, stable, log_start_offset)
        result.preferred_read_replica = preferred
        return result

    def _failed(self, key: TopicKey, asked: FetchPartition, result: FetchResult) -> FetchResult:
        self.is_settled = True
        if result.error in MOVED and self._version >= LEADER_HINTS_FROM:
            result.current_leader = current_leader(self._context, key, asked.partition)
        return result
