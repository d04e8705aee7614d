"""Produce (API 0), versions 3 to 13: append record batches, and acknowledge them when `acks` says so.

Behaviour
- acks=0: appended, never answered; an error closes the connection, which is all that such a client can notice.
- acks=1: answered once the leader has appended.
- acks=all (-1): answered once the high watermark has passed the batches. NOT_ENOUGH_REPLICAS before the append and
  NOT_ENOUGH_REPLICAS_AFTER_APPEND after it, REQUEST_TIMED_OUT when `timeout_ms` is over, counted from the append: the
  records stay in the log.
- A sync that `flush.messages` or `flush.ms` asks for comes before the answer: acks=1 waits for it, and acks=all for the
  high watermark, which does (departure: Kafka syncs while it appends).
- Idempotent batches: a duplicate gets the offset of the first one, a gap OUT_OF_ORDER_SEQUENCE_NUMBER.
- Internal topics are refused with INVALID_TOPIC_EXCEPTION: their coordinators would not know of the records.
- Each partition gets its own error; NOT_LEADER_OR_FOLLOWER names the leader from version 10 on (KIP-951).
- Batches of a transaction wait until its coordinator has said that it is open (`transactional_produce`).

Departures: record errors (KIP-467) name no record, only the batch's message. Versions 0 to 2 (message formats before
v2) are gone, as in Kafka 4.

Records are views of the receive buffer: the append stamps them in place and writes them before this returns.
"""

from __future__ import annotations

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ports import DiskError
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import INTERNAL_TOPICS
from cluster.broker.deadlines import Deadline
from cluster.broker.partitions import current_leader, endpoints_of, find_partition
from cluster.broker.quotas import PRODUCE, Meter
from cluster.broker.request import Request, Slot
from cluster.broker.transactional_produce import Refusals, must_wait, produce_later
from cluster.replication import Partition, Waiter
from cluster.wire import (
    NodeEndpoint,
    ProduceRequest,
    ProduceResult,
    TopicKey,
    decode_produce_request,
    encode_produce_response,
)

ACKS_ALL = -1
LEADER_HINTS_FROM = 10


def serve(context: BrokerContext, request: Request, slot: Slot) -> None:
    """Append everything, then answer now or when it is committed."""
    message = decode_produce_request(request.version, request.body)
    if message.transactional_id is not None:
        producer_id = must_wait(context, message)
        if producer_id is not None:
            # The receive buffer is used again while the coordinator is asked.
            request = request._replace(body=slot.keep(request.body))
            context.spawn(
                produce_later(
                    context,
                    request.version,
                    producer_id,
                    lambda: decode_produce_request(request.version, request.body),
                    lambda message, refusals: _append(context, request, message, slot, refusals),
                    slot=slot,
                )
            )
            return
    _append(context, request, message, slot, {})


def _append(context: BrokerContext, request: Request, message: ProduceRequest, slot: Slot, refusals: Refusals) -> None:
    refusal = _refusal_of(message)
    pending = _PendingProduce(context, request.version, message.acks, slot, refusals)
    if context.quotas.is_enforced:
        pending.meter = context.quotas.meter(PRODUCE, request.client_id)
        pending.size_bytes = len(request.body)
    for key, parts in message.topics:
        results: list[ProduceResult] = []
        pending.topics.append((key, results))
        for number, records in parts:
            result = ProduceResult(number, refusal)
            results.append(result)
            if refusal is NO_ERROR:
                pending.append(key, records, result)
    pending.appended(message.timeout_ms)


def _refusal_of(message: ProduceRequest) -> ErrorCode:
    """Return why nothing of the request is appended, or NONE."""
    if message.acks not in (-1, 0, 1):
        return ErrorCode.INVALID_REQUIRED_ACKS
    return NO_ERROR


class _PendingProduce:
    """A request whose batches were appended and that may not be acknowledged yet (Kafka: `DelayedProduce`)."""

    __slots__ = (
        "_awaited",
        "_context",
        "_deadline",
        "_has_failed",
        "_is_complete",
        "_next_number",
        "_now_ms",
        "_refusals",
        "_slot",
        "_version",
        "_wall_ms",
        "acks",
        "meter",
        "size_bytes",
        "topics",
    )

    def __init__(self, context: BrokerContext, version: int, acks: int, slot: Slot, refusals: Refusals) -> None:
        self._context = context
        self._refusals = refusals
        self._version = version
        self._slot = slot
        self._deadline: Deadline | None = None
        # Commits and flushes that are still awaited, and whether all that must be awaited is known.
        self._awaited: dict[int, tuple[ProduceResult, Waiter | None]] = {}
        self._next_number = 0
        self._is_complete = False
        self._has_failed = False
        self._now_ms = context.world.clock.monotonic_ms()
        self._wall_ms = context.world.clock.wall_ms()
        self.acks = acks
        self.meter: Meter | None = None
        self.size_bytes = 0
        self.topics: list[tuple[TopicKey, list[ProduceResult]]] = []

    def append(self, key: TopicKey, records: memoryview | None, result: ProduceResult) -> None:
        """Append one partition's batches and note what has to be awaited before they are acknowledged."""
        partition = find_partition(self._context, key, result.partition)
        if isinstance(partition, ErrorCode):
            result.error, self._has_failed = partition, True
            return
        if records is None:
            result.error, result.error_message = ErrorCode.INVALID_RECORD, "the records are null"
            return
        if partition.topic_partition.topic in INTERNAL_TOPICS:
            result.error = ErrorCode.INVALID_TOPIC_EXCEPTION
            result.error_message = "only its coordinators write to an internal topic"
            return
        if self._refusals and partition.topic_partition in self._refusals:
            result.error, result.error_message = self._refusals[partition.topic_partition]
            return
        outcome = partition.append(records, self.acks, self._now_ms, self._wall_ms)
        result.error = outcome.error
        result.error_message = outcome.error_message or None
        result.base_offset = outcome.base_offset
        result.log_append_time_ms = outcome.log_append_time_ms
        result.log_start_offset = outcome.log_start_offset
        if outcome.error is not NO_ERROR:
            self._has_failed = True
            return
        if self.acks == 1 and partition.flush_needed():
            self._wait_for_flush(partition, result)
            return
        self._context.flush_soon(partition)
        if self.acks == ACKS_ALL:
            self._wait_for_commit(partition, outcome.required_offset, result)

    def _wait_for_commit(self, partition: Partition, required_offset: int, result: ProduceResult) -> None:
        """Answer only when the partition's high watermark has come so far."""
        number = self._number()

        def called(error: ErrorCode) -> None:
            if error is not NO_ERROR:
                result.error = error
                self._has_failed = True
            self._happened(number)

        waiter = partition.when_committed(required_offset, called)
        if waiter.is_waiting:
            self._awaited[number] = (result, waiter)

    def _wait_for_flush(self, partition: Partition, result: ProduceResult) -> None:
        """Answer only when the partition's log is synced."""
        number = self._number()
        self._awaited[number] = (result, None)

        async def flush() -> None:
            try:
                await self._context.flush(partition)
            except DiskError as error:
                result.error, result.error_message = ErrorCode.KAFKA_STORAGE_ERROR, str(error)
            self._happened(number)

        self._context.spawn(flush())

    def appended(self, timeout_ms: int) -> None:
        """All partitions were tried: answer, or begin to wait."""
        self._is_complete = True
        if self.acks == 0:
            self._finish_unacknowledged()
        elif not self._awaited:
            self._finish()
        else:
            self._slot.on_abandoned = self._stop_waiting
            self._deadline = self._context.deadlines.set(timeout_ms, self._timed_out)

    def _number(self) -> int:
        self._next_number += 1
        return self._next_number

    def _happened(self, number: int) -> None:
        if self._awaited.pop(number, None) is not None and self._is_complete and not self._awaited and self.acks != 0:
            self._finish()

    def _timed_out(self) -> None:
        for result, _ in self._awaited.values():
            result.error = ErrorCode.REQUEST_TIMED_OUT
        self._stop_waiting()
        self._finish()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        awaited, self._awaited = self._awaited, {}
        for _, waiter in awaited.values():
            if waiter is not None:
                waiter.cancel()

    def _finish(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        endpoints: list[NodeEndpoint] = []
        if self._has_failed and self._version >= LEADER_HINTS_FROM:
            endpoints = self._name_leaders()
        throttle_ms = 0 if self.meter is None else self._throttle(self.meter)
        self._slot.answer([encode_produce_response(self._version, self.topics, endpoints, throttle_ms)])

    def _throttle(self, meter: Meter) -> int:
        """Count the request, and hear no more of a client that is too fast: it is told for how long."""
        throttle_ms = meter.charge(self.size_bytes, self._context.clock.monotonic_ms())
        if throttle_ms > 0:
            self._slot.mute(throttle_ms)
        return throttle_ms

    def _name_leaders(self) -> list[NodeEndpoint]:
        """Say who leads the partitions that have moved away, and where to find it."""
        moved = [
            (key, result)
            for key, results in self.topics
            for result in results
            if result.error is ErrorCode.NOT_LEADER_OR_FOLLOWER
        ]
        for key, result in moved:
            result.current_leader = current_leader(self._context, key, result.partition)
        return endpoints_of(self._context, [result.current_leader for _, result in moved]) if moved else []

    def _finish_unacknowledged(self) -> None:
        if self.meter is not None:
            self._throttle(self.meter)
        failed = [result for _, results in self.topics for result in results if result.error is not NO_ERROR]
        if failed:
            names = ", ".join(f"{result.error.name} for partition {result.partition}" for result in failed)
            self._slot.refuse(f"a produce request with acks=0 failed: {names}")
        else:
            self._slot.answer_nothing()
