"""The records of one partition on their way to the members of one share group (Kafka: `SharePartition`).

Here: which offsets are delivered to whom, and what became of them: acquisition locks, acknowledgements, the limit on
deliveries, and the start offset, below which everything is done. Not here: reading the log, keeping the state
(`cluster.broker.share_partitions`), and members' sessions.

Every offset from the start to the end is tracked for itself; there are never more than `locks_max`. Times are
milliseconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from cluster.base.errors import ErrorCode
from cluster.sharing.state import ShareState, StateBatch
from cluster.sharing.states import ENDED, RecordEvent, RecordState, next_record_state

GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)
"""Kafka's `AcknowledgeType`; a gap is an offset at which the member found no record."""

_EVENTS = {GAP: RecordEvent.REJECT, ACCEPT: RecordEvent.ACCEPT, REJECT: RecordEvent.REJECT}


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """What a group goes by; the names are Kafka's (`group.share.*`)."""

    lock_duration_ms: int = 30_000
    delivery_count_max: int = 5
    locks_max: int = 2000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One offset. `member` and `lock_until_ms` mean something while it is acquired."""

    state: RecordState = RecordState.AVAILABLE
    count: int = 0
    member: str = ""
    lock_until_ms: int = 0


class Acquired(NamedTuple):
    """Consecutive offsets, both ends included, that a member was given, for the `delivery_count`-th time."""

    first_offset: int
    last_offset: int
    delivery_count: int


class Acknowledgement(NamedTuple):
    """What a member says of consecutive offsets: one type for all, or one for each."""

    first_offset: int
    last_offset: int
    types: Sequence[int]


class SharePartition:
    """One partition as one group shares it. Whoever changes it has its `state` kept before anybody is told."""

    def __init__(self, state: ShareState, limits: ShareLimits) -> None:
        assert state.start_offset >= 0, "where a group starts is decided before anything is delivered"
        self.limits = limits
        self._kept = state
        self._start = state.start_offset
        self._deliveries: dict[int, Delivery] = {}
        for batch in state.batches:
            for offset in range(max(batch.first_offset, self._start), batch.last_offset + 1):
                self._deliveries[offset] = Delivery(batch.state, batch.delivery_count)
        self._end = max(self._deliveries, default=self._start - 1) + 1
        for offset in range(self._start, self._end):
            self._deliveries.setdefault(offset, Delivery())
        self._advance()

    # --- questions --------------------------------------------------------------------------------

    @property
    def start_offset(self) -> int:
        """Everything below is done."""
        return self._start

    @property
    def next_fetch_offset(self) -> int:
        """Where to read: the first offset that somebody may have."""
        free = (offset for offset in range(self._start, self._end) if self._is_free(offset))
        return next(free, self._end)

    @property
    def is_full(self) -> bool:
        """Whether nothing can be given before something is done or released."""
        return self.next_fetch_offset == self._end and self._end - self._start >= self.limits.locks_max

    @property
    def state(self) -> ShareState:
        """What is to be kept. What is acquired counts as available: its lock ends with this leader."""
        return replace(self._kept, start_offset=self._start, batches=tuple(self._batches()))

    def _batches(self) -> Iterator[StateBatch]:
        batch: StateBatch | None = None
        for offset in range(self._start, self._end):
            delivery = self._deliveries[offset]
            is_held = delivery.state is RecordState.ACQUIRED
            state = RecordState.AVAILABLE if is_held else delivery.state
            if batch is not None and (batch.state, batch.delivery_count) == (state, delivery.count):
                batch = batch._replace(last_offset=offset)
                continue
            if batch is not None:
                yield batch
            batch = StateBatch(offset, offset, state, delivery.count)
        if batch is not None:
            yield batch

    def next_deadline_ms(self) -> int | None:
        """Return when the next acquisition lock ends."""
        return min((each.lock_until_ms for each in self._acquired().values()), default=None)

    # --- delivering -------------------------------------------------------------------------------

    def found_only(self, first: int, ranges: Sequence[tuple[int, int]], end: int) -> None:
        """Between `first`, which was read at, and `end` the log has these ranges of records: nobody gets the rest.

        What was free may have been taken by compaction, and what follows may be markers of transactions.
        """
        position = first
        for low, high in (*ranges, (end, end)):
            for offset in range(max(position, self._start), min(low, self._end)):
                if self._is_free(offset):
                    self._deliveries[offset] = replace(self._deliveries[offset], state=RecordState.ARCHIVED)
            position = high + 1
        self._advance()
        self._pass_over(next((low for low, high in ranges if high >= self._end), end))

    def acquire(self, member: str, ranges: Iterable[tuple[int, int]], records_max: int, now_ms: int) -> list[Acquired]:
        """Give a member what is free in batches that were read, given by their first and last offsets.

        Batches are given whole, so that the first may bring more than `records_max`.
        """
        given: list[Acquired] = []
        total = 0
        for first, last in ranges:
            if total >= records_max:
                break
            for offset in range(max(first, self._start), last + 1):
                if not self._make_room(offset) or not self._is_free(offset):
                    continue
                delivery = self._deliveries[offset]
                state = next_record_state(delivery.state, RecordEvent.ACQUIRE)
                until_ms = now_ms + self.limits.lock_duration_ms
                self._deliveries[offset] = after = Delivery(state, delivery.count + 1, member, until_ms)
                total += 1
                if given and given[-1].last_offset == offset - 1 and given[-1].delivery_count == after.count:
                    given[-1] = given[-1]._replace(last_offset=offset)
                else:
                    given.append(Acquired(offset, offset, after.count))
        return given

    def _make_room(self, offset: int) -> bool:
        """Track an offset, and those before it, which the log does not have; false when there is no room."""
        self._pass_over(offset)
        if offset >= self._start + self.limits.locks_max:
            return False
        if offset >= self._end:
            self._deliveries[offset] = Delivery()
            self._end = offset + 1
        return True

    def _pass_over(self, end: int) -> None:
        """Count what is not tracked below `end` as done, as far as there is room for it."""
        if self._start == self._end:
            self._start = self._end = max(self._end, end)
            return
        end = min(end, self._start + self.limits.locks_max)
        for missing in range(self._end, end):
            self._deliveries[missing] = Delivery(RecordState.ARCHIVED)
        self._end = max(self._end, end)

    def acknowledge(self, member: str, acknowledgements: Sequence[Acknowledgement], now_ms: int) -> ErrorCode:
        """Take in what a member says of what it was given: all of it, or with an error nothing.

        INVALID_RECORD_STATE for offsets that are not the member's, or no longer; INVALID_REQUEST for what makes no
        sense. What is below the start by now is passed over.
        """
        said: dict[int, int] = {}
        for first, last, types in acknowledgements:
            if (
                first > last
                or len(types) not in (1, last - first + 1)
                or any(not GAP <= each <= RENEW for each in types)
            ):
                return ErrorCode.INVALID_REQUEST
            if last >= self._end:
                return ErrorCode.INVALID_RECORD_STATE
            for offset in range(max(first, self._start), last + 1):
                said[offset] = types[0] if len(types) == 1 else types[offset - first]
        held = self._acquired()
        if any(offset not in held or held[offset].member != member for offset in said):
            return ErrorCode.INVALID_RECORD_STATE
        for offset, kind in said.items():
            delivery = self._deliveries[offset]
            if kind == RENEW:
                until_ms = now_ms + self.limits.lock_duration_ms
                self._deliveries[offset] = replace(delivery, lock_until_ms=until_ms)
            elif kind == RELEASE:
                self._release(offset)
            else:
                self._deliveries[offset] = replace(delivery, state=next_record_state(delivery.state, _EVENTS[kind]))
        self._advance()
        return ErrorCode.NONE

    def release_all_of(self, member: str) -> bool:
        """A member is gone: others may have what it was given. Returns whether there was something."""
        return self._release_those(offset for offset, each in self._acquired().items() if each.member == member)

    def time_passed(self, now_ms: int) -> bool:
        """Release what was not acknowledged in time; returns whether there was something."""
        late = (offset for offset, each in self._acquired().items() if each.lock_until_ms <= now_ms)
        return self._release_those(late)

    def log_starts_at(self, offset: int) -> None:
        """Retention has deleted what lies below an offset: nobody will have it."""
        if offset > self._start:
            for gone in range(self._start, min(offset, self._end)):
                del self._deliveries[gone]
            self._start = offset
            self._end = max(self._end, offset)

    def log_ends_at(self, offset: int) -> None:
        """Records were lost with the log of an earlier leader: what takes their place is new to everybody."""
        if offset < self._end:
            for lost in range(max(offset, self._start), self._end):
                del self._deliveries[lost]
            self._start, self._end = min(self._start, offset), offset

    # --- inside -----------------------------------------------------------------------------------

    def _acquired(self) -> dict[int, Delivery]:
        return {offset: each for offset, each in self._deliveries.items() if each.state is RecordState.ACQUIRED}

    def _is_free(self, offset: int) -> bool:
        return self._deliveries[offset].state is RecordState.AVAILABLE

    def _release_those(self, offsets: Iterable[int]) -> bool:
        found = list(offsets)
        for offset in found:
            self._release(offset)
        self._advance()
        return bool(found)

    def _release(self, offset: int) -> None:
        delivery = self._deliveries[offset]
        is_enough = delivery.count >= self.limits.delivery_count_max
        event = RecordEvent.GIVE_UP if is_enough else RecordEvent.RELEASE
        self._deliveries[offset] = Delivery(next_record_state(delivery.state, event), delivery.count)

    def _advance(self) -> None:
        """Forget what is done at the start."""
        while self._start < self._end and self._deliveries[self._start].state in ENDED:
            del self._deliveries[self._start]
            self._start += 1
