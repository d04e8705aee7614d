"""One shard of a coordinator on the broker that leads its partition: loaded from the log, then asked.

Here: the life of a shard, and how a decision becomes true. Records are appended to the partition with acks=all; the
shard takes the decision in at once, so that decisions pipeline; answers leave when the high watermark has passed what
they rest upon. When leadership is lost the shard is thrown away with everything it believed, and whoever waits is
told to look for the new coordinator. A decision whose records are refused leaves no trace.
Not here: which shards there are (`runtime`), what they decide (`cluster.groups`, `cluster.transactions`,
`cluster.sharing`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

from cluster.base.answers import Answer, LogRecord
from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.moments import Moment
from cluster.base.ports import Clock, Tracer
from cluster.base.trace import CoordinatorLoaded, CoordinatorUnloaded
from cluster.broker.coordinator.failures import coordinator_error
from cluster.broker.deadlines import Deadline, Deadlines
from cluster.records import BatchHeader, EndMarker, build_batch, iterate_headers, read_batch_records, read_marker
from cluster.replication import ACKS_ALL, AppendOutcome, Partition, Waiter
from cluster.wire import MalformedMessage

log = logging.getLogger(__name__)

LOAD_BYTES = 1024 * 1024
"""Read at once while loading; other work goes on in between (Kafka: `offsets.load.buffer.size`, five times that)."""

RETRY_MS = 500
"""After so long it is tried again to write what the passing of time demands."""


class ShardState(Enum):
    """Where a shard is in its life; it only goes down this list."""

    LOADING = "loading"
    ACTIVE = "active"
    FAILED = "failed"
    """The log could not be read; somebody else may lead it better."""
    CLOSED = "closed"


class Decided(Protocol):
    """What the coordinator has to know of a decision: see `cluster.groups.Decision`."""

    @property
    def records(self) -> Sequence[LogRecord]: ...
    @property
    def answers(self) -> Sequence[Answer]: ...
    @property
    def waits_for_commit(self) -> bool: ...

    def pieces(self, batch_bytes_max: int) -> Sequence[Self]:
        """Return what to carry out one after the other until one fails, for whatever need not be written together."""


D = TypeVar("D", bound=Decided)


class Shard(Protocol[D]):
    """State that is made of the records of one partition: groups, transactions."""

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record in while loading. Raises MalformedMessage."""

    def loaded(self, now_ms: int) -> None:
        """The whole log was replayed."""

    def accept(self, decision: D) -> None:
        """Take a decision in whose records are in the log now."""

    def next_deadline_ms(self) -> int | None:
        """Return when time should be told at the latest."""

    def time_passed(self, now: Moment) -> D | None:
        """Decide one thing that is due; None when nothing is."""

    def retry_at(self, decision: D, at_ms: int) -> None:
        """What was due could not be written: it is due again at `at_ms`."""


@runtime_checkable
class TransactionalShard(Protocol):
    """A shard some of whose records are written in transactions, and count when their marker comes."""

    def replay_pending(self, producer_id: int, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of a transaction. Raises MalformedMessage."""

    def replay_marker(self, producer_id: int, is_commit: bool) -> None:
        """Take in how a transaction ended."""


class ShardHost(Protocol):
    """What a shard needs of its broker (`BrokerContext` has it)."""

    configs: Configs
    deadlines: Deadlines

    @property
    def clock(self) -> Clock: ...
    @property
    def tracer(self) -> Tracer: ...

    def flush_soon(self, partition: Partition) -> None:
        """Have what was just appended synced, when its topic asks for that: before, it is not committed."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work beside everything else."""


S = TypeVar("S", bound=Shard[Any])


class HostedShard(Generic[S]):
    """A shard from the moment its partition is led here until it is not."""

    def __init__(self, host: ShardHost, partition: Partition, shard: S) -> None:
        self.partition = partition
        self.state = ShardState.LOADING
        self._host = host
        self._shard = shard
        given: object = shard
        self._transactional = given if isinstance(given, TransactionalShard) else None
        self._leader_epoch = partition.leader_epoch
        self._written_offset = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next_token = 0
        self._timer: Deadline | None = None
        self._timer_ms = 0

    @property
    def shard(self) -> S:
        """The state, for questions that change nothing and reveal nothing that could still be lost."""
        return self._shard

    # --- life -------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Replay the log. What lies above the high watermark counts too: this leader will commit it.

        A shard that cannot be loaded has failed, and clients look for another coordinator. A bug is raised, too.
        """
        partition = self.partition
        offset, end = partition.log.log_start_offset, partition.log.log_end_offset
        try:
            while offset < end and self.state is ShardState.LOADING:
                offset = self._load_some(offset, end)
                await asyncio.sleep(0)
            if self.state is not ShardState.LOADING:
                return
            self._shard.loaded(self._host.clock.monotonic_ms())
        except KafkaError as error:
            log.error("%s cannot be loaded: %s", partition.topic_partition, error)
            self.state = ShardState.FAILED
            return
        except Exception:
            self.state = ShardState.FAILED
            raise
        self._written_offset = end
        self.state = ShardState.ACTIVE
        if self._host.tracer.enabled:
            topic, number = partition.topic_partition
            self._host.tracer.emit(CoordinatorLoaded(topic, number, self._leader_epoch, end))
        self._arm()

    def _load_some(self, offset: int, end: int) -> int:
        """Replay some batches; return the offset after them, `end` when compaction has left nothing there."""
        error, read = self.partition.read_log(offset, LOAD_BYTES, end, True)
        if error is not ErrorCode.NONE:
            raise KafkaError(error)
        data = memoryview(read)
        offset = end
        for position, header in iterate_headers(data):
            offset = header.next_offset
            if header.is_control:
                self._load_marker(data, position, header)
                continue
            for record in read_batch_records(data, position, header):
                try:
                    if header.is_transactional and self._transactional is not None:
                        self._transactional.replay_pending(header.producer_id, record.key, record.value)
                    else:
                        self._shard.replay(record.key, record.value)
                except MalformedMessage as error:  # a disk may rot; Kafka skips such records too
                    log.error("%s at offset %d: %s", self.partition.topic_partition, record.offset, error)
        return offset

    def _load_marker(self, data: memoryview, position: int, header: BatchHeader) -> None:
        marker = read_marker(data, position, header)
        if marker is not None and self._transactional is not None:
            self._transactional.replay_marker(marker.producer_id, marker.is_commit)

    def close(self) -> None:
        """Coordinate no more. Whoever waits is sent to look for the new coordinator."""
        if self.state is ShardState.CLOSED:
            return
        self.state = ShardState.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            _fail(future, ErrorCode.NOT_COORDINATOR)
        if self._host.tracer.enabled:
            topic, number = self.partition.topic_partition
            self._host.tracer.emit(CoordinatorUnloaded(topic, number, self._leader_epoch))

    # --- questions --------------------------------------------------------------------------------

    def ask(self, decide: Callable[[S, int, Moment], Decided]) -> asyncio.Future[Any]:
        """Let the shard decide on a request. The future's result is the reply, its exception a KafkaError."""
        token, self._next_token = self._next_token, self._next_token + 1
        decision = decide(self._shard, token, self._now())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        error = self._carry_out(decision)
        if error is not ErrorCode.NONE:
            self._refuse(token, error)
        return future

    def tell(self, decide: Callable[[S], Decided]) -> None:
        """Let the shard write something that nobody has asked for; what cannot be written now is left."""
        decision = decide(self._shard)
        if decision.records:
            self._carry_out(decision)

    def write_marker(self, marker: EndMarker, is_strict: bool) -> AppendOutcome:
        """End a producer's transaction in this partition; what rests upon it is told when it is committed."""
        now = self._now()
        outcome = self.partition.append_marker(marker, is_strict, now.monotonic_ms, now.wall_ms)
        if outcome.error is ErrorCode.NONE:
            self._written_offset = outcome.required_offset
            self._host.flush_soon(self.partition)
            if self._transactional is not None:
                self._transactional.replay_marker(marker.producer_id, marker.is_commit)
            self._arm()  # what counts from now on may have a time at which it ends
        return outcome

    def _now(self) -> Moment:
        clock = self._host.clock
        return Moment(clock.monotonic_ms(), clock.wall_ms())

    def _carry_out(self, decision: Decided) -> ErrorCode:
        """Carry a decision out. With an error nothing has happened, or not all of what need not happen together."""
        for piece in decision.pieces(self.partition.log.settings.batch_bytes_max):
            error = self._carry_out_piece(piece)
            if error is not ErrorCode.NONE:
                return error
        return ErrorCode.NONE

    def _carry_out_piece(self, decision: Decided) -> ErrorCode:
        """Append, take in, and see to the answers. With an error nothing has happened."""
        if decision.records:
            error = self._append(decision.records, getattr(decision, "producer", None))
            if error is not ErrorCode.NONE:
                return error
        self._shard.accept(decision)
        if decision.answers:
            if decision.waits_for_commit:
                self._answer_when_committed(decision.answers)
            else:
                self._answer(decision.answers)
        self._arm()
        return ErrorCode.NONE

    def _append(self, records: Sequence[LogRecord], producer: tuple[int, int] | None) -> ErrorCode:
        now = self._now()
        producer_id, epoch = producer or (-1, -1)
        batch = build_batch(
            [(key, value, ()) for key, value in records],
            timestamp_ms=now.wall_ms,
            producer_id=producer_id,
            producer_epoch=epoch,
            transactional=producer is not None,
        )
        outcome = self.partition.append(memoryview(batch), ACKS_ALL, now.monotonic_ms, now.wall_ms, by_coordinator=True)
        if outcome.error is ErrorCode.NONE:
            self._written_offset = outcome.required_offset
            self._host.flush_soon(self.partition)
        else:
            log.warning("%s cannot be written: %s", self.partition.topic_partition, outcome.error_message)
        return outcome.error

    # --- answers ----------------------------------------------------------------------------------

    def _answer_when_committed(self, answers: Sequence[Answer]) -> None:
        """An answer rests upon all that was written before it, not only upon its own records."""
        deadline: Deadline | None = None

        def called(error: ErrorCode) -> None:
            if deadline is not None:
                deadline.cancel()
            self._answer(answers, error)

        def timed_out() -> None:
            waiter.cancel()
            self._answer(answers, ErrorCode.REQUEST_TIMED_OUT)

        if self.partition.is_leader and self.partition.high_watermark >= self._written_offset:
            called(ErrorCode.NONE)
            return
        waiter: Waiter = self.partition.when_committed(self._written_offset, called)
        if waiter.is_waiting:
            deadline = self._host.deadlines.set(self._host.configs.integer("offsets.commit.timeout.ms"), timed_out)

    def _answer(self, answers: Sequence[Answer], error: ErrorCode = ErrorCode.NONE) -> None:
        for answer in answers:
            if error is not ErrorCode.NONE:
                self._refuse(answer.token, error)
                continue
            future = self._waiting.pop(answer.token, None)
            if future is not None and not future.done():
                future.set_result(answer.reply)

    def _refuse(self, token: int, error: ErrorCode) -> None:
        future = self._waiting.pop(token, None)
        if future is not None:
            _fail(future, coordinator_error(error))

    # --- time -------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Be called when the shard's next deadline has come; a timer that is too early does no harm."""
        due_ms = self._shard.next_deadline_ms()
        if due_ms is not None:
            self._arm_at(due_ms)

    def _arm_at(self, due_ms: int) -> None:
        if self._timer is not None and self._timer_ms <= due_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = self._host.deadlines.set(due_ms - self._host.clock.monotonic_ms(), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        try:
            self._carry_out_what_is_due()
        except Exception:
            self._arm_at(self._host.clock.monotonic_ms() + RETRY_MS)  # one failure must not stop the shard's time
            raise
        if self.state is ShardState.ACTIVE:
            self._arm()

    def _carry_out_what_is_due(self) -> None:
        while self.state is ShardState.ACTIVE:
            now = self._now()
            decision = self._shard.time_passed(now)
            if decision is None:
                break
            if self._carry_out(decision) is not ErrorCode.NONE:
                self._shard.retry_at(decision, now.monotonic_ms + RETRY_MS)


def _fail(future: asyncio.Future[Any], error: ErrorCode) -> None:
    if not future.done():
        future.set_exception(KafkaError(error))
