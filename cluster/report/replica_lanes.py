"""The logs of a partition's replicas at the moments that mattered: what each held, under which epoch, and what it cut.

Here: a fold over the trace that takes a snapshot when a leader begins, a tail is cut, a machine falls or comes back,
the ISR changes, and at the end. Not here: how lanes are drawn (`lane_page`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    HighWatermarkAdvanced,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    Traced,
)
from cluster.report.run_clock import RunClock

MOMENTS_MAX = 9
"""Moments that are kept of one partition; those that matter least go first."""

_MERGE_S = 0.25
"""Moments closer than this are one."""

_LEADER, _CUT, _MACHINE, _ISR, _END = 3, 4, 2, 1, 9


@dataclass(frozen=True, slots=True)
class Segment:
    """Offsets from `start` up to and without `end`, all appended under one leader epoch."""

    start: int
    end: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One replica at one moment. `cut` is what it lost since the moment before."""

    node: str
    role: str
    is_in_isr: bool
    segments: tuple[Segment, ...]
    high_watermark: int
    cut: tuple[Segment, ...] = ()

    @property
    def log_end_offset(self) -> int:
        """The offset that it would give to its next record."""
        return self.segments[-1].end if self.segments else 0


@dataclass(frozen=True, slots=True)
class LaneMoment:
    """All replicas of a partition at one moment, seconds since the faults began."""

    at_s: float
    captions: tuple[str, ...]
    weight: int
    lanes: tuple[Lane, ...]


@dataclass(slots=True)
class _Log:
    segments: list[Segment] = field(default_factory=list)
    role: str = ""
    high_watermark: int = 0
    cut: list[Segment] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.segments[-1].end if self.segments else 0

    def append(self, base: int, end: int, epoch: int) -> None:
        last = self.segments[-1] if self.segments else None
        if last is not None and last.epoch == epoch and last.end == base:
            self.segments[-1] = Segment(last.start, end, epoch)
        else:
            self.segments.append(Segment(base, end, epoch))

    def truncate(self, to_offset: int) -> None:
        kept: list[Segment] = []
        for segment in self.segments:
            if segment.end <= to_offset:
                kept.append(segment)
                continue
            if segment.start < to_offset:
                kept.append(replace(segment, end=to_offset))
            self.cut.append(replace(segment, start=max(segment.start, to_offset)))
        self.segments = kept


def lane_moments(
    trace: Iterable[Traced], clock: RunClock, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[LaneMoment, ...]]:
    """Return the moments of each partition, in order; the last is the end of the run."""
    folds = {partition: _Fold(partition, clock) for partition in partitions}
    names: dict[int, str] = {}
    for traced in trace:
        event = traced.event
        if isinstance(event, NodeFaulted):
            for fold in folds.values():
                fold.on_machine(traced.time_us, event)
        elif isinstance(
            event,
            BatchAppended | HighWatermarkAdvanced | LogTruncated | PartitionRoleChanged | PartitionMetadataApplied,
        ):
            known = folds.get(TopicPartition(event.topic, event.partition))
            if known is not None:
                known.on_event(traced, names)
        elif isinstance(event, NodeStarted):
            names[event.node_id] = traced.node
    return {partition: fold.finish() for partition, fold in folds.items()}


class _Fold:
    def __init__(self, partition: TopicPartition, clock: RunClock) -> None:
        self._partition = partition
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._state: dict[str, str] = {}
        self._replicas: tuple[str, ...] = ()
        self._isr: tuple[str, ...] = ()
        self._metadata_offset = -1
        self._epoch_led = -1
        self._moments: list[LaneMoment] = []

    def on_machine(self, time_us: int, event: NodeFaulted) -> None:
        """A machine that holds a replica fell or came back."""
        if event.target not in self._replicas:
            return
        self._state[event.target] = "" if event.state in ("started", "resumed") else event.state
        self._moment(time_us, f"{event.target} {event.state}", _MACHINE)

    def on_event(self, traced: Traced, names: dict[int, str]) -> None:
        """Take in what a replica's own node says of it, or what metadata says of the ISR."""
        event = traced.event
        if isinstance(event, PartitionMetadataApplied):
            self._on_metadata(traced.time_us, event, names)
            return
        log = self._logs.setdefault(traced.node, _Log())
        if isinstance(event, BatchAppended):
            log.append(event.base_offset, event.last_offset + 1, event.leader_epoch)
        elif isinstance(event, HighWatermarkAdvanced):
            log.high_watermark = event.high_watermark
        elif isinstance(event, LogTruncated):
            self._on_cut(traced, log, event.to_offset, "cuts")
        elif isinstance(event, PartitionRoleChanged):
            log.role = event.role
            log.high_watermark = event.high_watermark
            if event.log_end_offset < log.end:  # what it held was never synced: the power took it
                self._on_cut(traced, log, event.log_end_offset, "came back without")
            if event.role == "leader" and event.leader_epoch > self._epoch_led:
                self._epoch_led = event.leader_epoch
                text = f"{traced.node} leads epoch {event.leader_epoch} from offset {event.log_end_offset}"
                self._moment(traced.time_us, text, _LEADER)

    def finish(self) -> tuple[LaneMoment, ...]:
        """Return the moments, at most MOMENTS_MAX, the end among them."""
        self._moment(self._clock.end_us, "the end: healed and read back", _END)
        kept = list(self._moments)
        while len(kept) > MOMENTS_MAX:
            least = min(range(len(kept)), key=lambda index: kept[index].weight)
            del kept[least]
        return tuple(kept)

    def _on_cut(self, traced: Traced, log: _Log, to_offset: int, verb: str) -> None:
        from_offset = log.end
        log.truncate(to_offset)
        if from_offset > to_offset:
            span = (
                f"offset {to_offset}" if from_offset - to_offset == 1 else f"offsets {to_offset} to {from_offset - 1}"
            )
            self._moment(traced.time_us, f"{traced.node} {verb} {span}", _CUT)

    def _on_metadata(self, time_us: int, event: PartitionMetadataApplied, names: dict[int, str]) -> None:
        if event.metadata_offset <= self._metadata_offset:
            return
        self._metadata_offset = event.metadata_offset
        self._replicas = tuple(names.get(number, str(number)) for number in event.replicas)
        isr = tuple(names.get(number, str(number)) for number in event.isr)
        if sorted(isr) != sorted(self._isr) and self._isr:
            self._isr = isr
            self._moment(time_us, f"ISR is {', '.join(isr) or 'empty'}", _ISR)
        self._isr = isr

    def _moment(self, time_us: int, caption: str, weight: int) -> None:
        at_s = self._clock.seconds(time_us)
        moment = LaneMoment(at_s, (caption,), weight, self._snapshot())
        if at_s < 0 or not moment.lanes:
            return
        last = self._moments[-1] if self._moments else None
        # What was cut is shown as it was cut, not as it was filled again a moment later.
        if last is not None and at_s - last.at_s < _MERGE_S and weight != _END and last.weight not in (_CUT, _END):
            lanes = tuple(replace(lane, cut=(*_cut_of(last.lanes, lane.node), *lane.cut)) for lane in moment.lanes)
            captions = last.captions if caption in last.captions else (*last.captions, caption)
            self._moments[-1] = LaneMoment(last.at_s, captions, max(last.weight, weight), lanes)
        else:
            self._moments.append(moment)

    def _snapshot(self) -> tuple[Lane, ...]:
        lanes: list[Lane] = []
        for name in self._replicas:
            log = self._logs.setdefault(name, _Log())
            role = self._state.get(name) or log.role or "no replica yet"
            lanes.append(Lane(name, role, name in self._isr, tuple(log.segments), log.high_watermark, tuple(log.cut)))
            log.cut.clear()
        return tuple(lanes)


def _cut_of(lanes: Iterable[Lane], node: str) -> tuple[Segment, ...]:
    return next((lane.cut for lane in lanes if lane.node == node), ())
