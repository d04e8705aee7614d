"""A Lamport diagram of one second: what each node did in which order, and which message carried it to whom.

Here: choosing the events around a violation and joining them by what they tell of each other. Nobody traces messages:
an append under an offset, a follower's copy of it and the leader's knowledge of that copy are three events whose order
the protocol forces, and the arrows are that order (Lamport, "Time, Clocks, and the Ordering of Events in a Distributed
System", 1978). Traffic that is not about the record in question is counted, not drawn.
Not here: where the rows and arrows go (`lamport_page`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    BrokerStateChanged,
    FollowerProgressed,
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    LogTruncated,
    NodeFaulted,
    NodeReady,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    PhaseBegan,
    RaftCommitted,
    RaftRoleChanged,
    RaftVoted,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    StepEnded,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.report.lamport_words import words_of
from cluster.report.run_clock import RunClock

ROWS_MAX = 56
LATER_ROWS_MAX = 14
HALF_US = 500_000
"""Half of the second that is shown."""

_Traffic = (
    RecordSent
    | RecordAcknowledged
    | RecordFailed
    | RecordUnknown
    | RecordConsumed
    | BatchAppended
    | FollowerProgressed
    | HighWatermarkAdvanced
)
_KNOWLEDGE = (FollowerProgressed, HighWatermarkAdvanced)
"""What nodes learn of each other; after the second it is about later records."""

_HIDDEN = (RaftCommitted, NodeReady, PhaseBegan)
_LAB = (StepFired, StepEnded)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a diagram is about: a moment, and a record's place when the violation names one."""

    time_us: int
    partition: TopicPartition | None = None
    offset: int = -1
    value: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One event. `lane` is empty for what happened to no node; `elided` counts records that are not drawn."""

    at_s: float
    lane: str
    title: str
    detail: str
    tone: str = ""
    elided: int = 0
    gap_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message from the event in one row to the event in a later row."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """Rows from early to late, the lanes that have any, and the messages between them."""

    lanes: tuple[str, ...]
    rows: tuple[Row, ...]
    arrows: tuple[Arrow, ...]


def draw_second(
    trace: Sequence[Traced], clock: RunClock, subject: Subject, clients: Sequence[str], names: Mapping[int, str]
) -> Diagram:
    """Return the diagram of the second around a moment, and of what became of its record later."""
    chosen = _Chooser(subject, names)
    first = bisect_left(trace, subject.time_us - HALF_US, key=lambda traced: traced.time_us)
    for traced in trace[first:]:
        if not chosen.take(traced, is_later=traced.time_us > subject.time_us + HALF_US):
            break
    events = chosen.events
    arrows = _Joiner(events, names).arrows()
    return _laid_out(events, arrows, clock, clients, names)


@dataclass(slots=True)
class _Chosen:
    traced: Traced
    elided_before: int = 0


class _Chooser:
    """Takes what a reader needs: control events, and of the traffic only what concerns the record."""

    def __init__(self, subject: Subject, names: Mapping[int, str]) -> None:
        self.events: list[_Chosen] = []
        self._subject = subject
        self._names = names
        self._elided = 0
        self._later = 0
        self._applied: list[int] = []
        self._known: list[tuple[str, str]] = []

    def take(self, traced: Traced, *, is_later: bool) -> bool:
        """Take an event or pass it over; False when the diagram is full."""
        event = traced.event
        if isinstance(event, _Traffic):
            wanted = self._concerns(traced, event) and not (is_later and isinstance(event, _KNOWLEDGE))
            if not wanted and isinstance(event, RecordSent) and not is_later:
                self._elided += 1
        elif is_later:
            wanted = self._is_fate(event)
        else:
            wanted = self._is_news(traced, event)
        if wanted:
            self.events.append(_Chosen(traced, self._elided))
            self._elided = 0
            self._later += is_later
        return len(self.events) < ROWS_MAX and self._later < LATER_ROWS_MAX

    def _concerns(self, traced: Traced, event: _Traffic) -> bool:
        subject = self._subject
        partition = TopicPartition(event.topic, event.partition)
        if subject.partition is None or partition != subject.partition or subject.offset < 0:
            return False
        if isinstance(event, RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown):
            return event.value == subject.value
        if isinstance(event, RecordConsumed):
            return event.offset == subject.offset
        if isinstance(event, BatchAppended):
            return event.base_offset <= subject.offset <= event.last_offset
        if isinstance(event, FollowerProgressed):
            return event.log_end_offset > subject.offset and self._first(f"{traced.node}/{event.follower}", "leo")
        return event.high_watermark > subject.offset and self._first(traced.node, "hw")

    def _is_fate(self, event: TraceEvent) -> bool:
        """Whether an event after the second still decides what becomes of the record."""
        partition = self._subject.partition
        if partition is None or self._subject.offset < 0:
            return False
        if isinstance(event, NodeFaulted):
            return True
        if not isinstance(event, LogTruncated | PartitionRoleChanged):
            return False
        if (event.topic, event.partition) != partition:
            return False
        if isinstance(event, PartitionRoleChanged):
            return event.role == "leader"
        return event.to_offset <= self._subject.offset

    def _is_news(self, traced: Traced, event: TraceEvent) -> bool:
        if isinstance(event, _HIDDEN):
            return False
        if isinstance(event, PartitionMetadataApplied):
            partition = self._subject.partition
            if partition is not None and (event.topic, event.partition) != partition:
                return False
            is_first = event.metadata_offset not in self._applied
            self._applied.append(event.metadata_offset)
            is_replica = traced.node in [self._names.get(number) for number in event.replicas]
            return is_first or is_replica
        if isinstance(event, BrokerStateChanged):
            return self._first(str(event.metadata_offset), "broker")
        if isinstance(event, StepFired):
            return event.action not in ("when", "note")
        return True

    def _first(self, key: str, what: str) -> bool:
        if (key, what) in self._known:
            return False
        self._known.append((key, what))
        return True


class _Joiner:
    """Finds, for each event, the earlier event on another node that it cannot have happened without."""

    def __init__(self, events: Sequence[_Chosen], names: Mapping[int, str]) -> None:
        self._events = [chosen.traced for chosen in events]
        self._names = names

    def arrows(self) -> tuple[Arrow, ...]:
        found = [
            Arrow(source, target)
            for target, traced in enumerate(self._events)
            for source in self._sources(target, traced)
            if self._events[source].node != traced.node
        ]
        return tuple(dict.fromkeys(found))

    def _sources(self, target: int, traced: Traced) -> Iterable[int]:
        event = traced.event
        if isinstance(event, BatchAppended):
            if event.role != "leader":
                return self._last(target, BatchAppended, _is_leaders)
            # Under a later epoch another record may be given the offset: that one was not sent in this diagram.
            is_first = not self._last(target, BatchAppended, _is_leaders)
            return self._last(target, RecordSent) if is_first else ()
        if isinstance(event, FollowerProgressed):
            follower = self._names.get(event.follower, "")
            return self._last(target, BatchAppended, node=follower)
        if isinstance(event, HighWatermarkAdvanced):
            if event.role == "leader":
                return ()
            return self._last(target, HighWatermarkAdvanced, _is_leaders)
        if isinstance(event, RecordAcknowledged | RecordConsumed):
            committed = self._last(target, HighWatermarkAdvanced, _is_leaders)
            return committed or self._last(target, BatchAppended, _is_leaders)
        if isinstance(event, RaftRoleChanged) and event.role == "leader":
            return self._votes(target, event.term, traced.node)
        if isinstance(event, PartitionMetadataApplied):
            return self._first_applier(target, event.metadata_offset) or self._last(target, IsrChangeRequested)
        if isinstance(event, IsrChangeAnswered):
            return self._last(target, PartitionMetadataApplied, other_than=traced.node)
        return ()

    def _votes(self, target: int, term: int, candidate: str) -> tuple[int, ...]:
        return tuple(
            index
            for index, traced in enumerate(self._events[:target])
            if isinstance(traced.event, RaftVoted)
            and traced.event.term == term
            and self._names.get(traced.event.candidate) == candidate
        )

    def _last(
        self,
        before: int,
        kind: type[TraceEvent],
        fits: Callable[[TraceEvent], bool] = lambda _: True,
        *,
        node: str = "",
        other_than: str = "",
    ) -> tuple[int, ...]:
        """The last event of a kind before another, as a tuple of at most one; on one node, or not on one."""
        for index in range(before - 1, -1, -1):
            traced = self._events[index]
            is_there = (not node or traced.node == node) and traced.node != other_than
            if is_there and isinstance(traced.event, kind) and fits(traced.event):
                return (index,)
        return ()

    def _first_applier(self, before: int, metadata_offset: int) -> tuple[int, ...]:
        """The node that first knew a metadata record: the active controller, or close to it."""
        for index, traced in enumerate(self._events[:before]):
            event = traced.event
            if isinstance(event, PartitionMetadataApplied) and event.metadata_offset == metadata_offset:
                return (index,)
        return ()


def _is_leaders(event: TraceEvent) -> bool:
    return getattr(event, "role", "") == "leader"


def _laid_out(
    events: Sequence[_Chosen],
    arrows: tuple[Arrow, ...],
    clock: RunClock,
    clients: Sequence[str],
    names: Mapping[int, str],
) -> Diagram:
    rows: list[Row] = []
    before_us = events[0].traced.time_us if events else 0
    for chosen in events:
        traced = chosen.traced
        words = words_of(traced, names)
        lane = "" if isinstance(traced.event, _LAB) else _lane_of(traced)
        gap_s = (traced.time_us - before_us) / 1e6
        at_s = clock.seconds(traced.time_us)
        rows.append(Row(at_s, lane, words.title, words.detail, words.tone, chosen.elided_before, gap_s))
        before_us = traced.time_us
    present = [row.lane for row in rows if row.lane]
    order = (*clients, *(names[number] for number in sorted(names)))
    lanes = tuple(name for name in dict.fromkeys((*order, *present)) if name in present)
    return Diagram(lanes, tuple(rows), arrows)


def _lane_of(traced: Traced) -> str:
    return traced.event.target if isinstance(traced.event, NodeFaulted) else traced.node
