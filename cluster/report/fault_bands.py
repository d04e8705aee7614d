"""When what was broken: the steps of a run as stretches of time, and the stretches in which a partition had no leader.

Here: a fold over the trace. Times are seconds since the faults began. Not here: how they are drawn (`page`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import (
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PhaseBegan,
    StepEnded,
    StepFired,
    Traced,
)

_US_PER_SECOND = 1_000_000
_MARKS = (
    "when", "note", "heal", "start", "restart", "resume",
    "elect", "reassign", "config", "add-broker", "remove-broker", "produce",
)  # fmt: skip
"""Actions after which nothing is broken: moments rather than stretches."""

_DOWN = ("killed", "stopped", "powered-off")


@dataclass(frozen=True, slots=True)
class FaultBand:
    """One step that fired. `end_s` equals `begin_s` for a moment such as a `when` that came true."""

    step: str
    action: str
    targets: tuple[str, ...]
    begin_s: float
    end_s: float
    note: str = ""

    @property
    def is_moment(self) -> bool:
        """Whether the step broke nothing."""
        return self.action in _MARKS


@dataclass(frozen=True, slots=True)
class LeaderGap:
    """A stretch in which a partition had no running leader, by the newest committed metadata."""

    partition: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class RunClock:
    """The frame of a run in the trace's microseconds: when its faults began, when they were healed, when it ended."""

    start_us: int
    heal_us: int
    end_us: int

    @classmethod
    def of(cls, trace: Sequence[Traced]) -> RunClock:
        """Read the phases of a run. A run that was cut short ends with its last event."""
        phases = {event.phase: traced.time_us for traced in trace if isinstance(event := traced.event, PhaseBegan)}
        last_us = trace[-1].time_us if trace else 0
        start_us = phases.get("faults", trace[0].time_us if trace else 0)
        return cls(start_us, phases.get("heal", last_us), phases.get("end", last_us))

    def seconds(self, time_us: int) -> float:
        """Seconds since the faults began."""
        return (time_us - self.start_us) / _US_PER_SECOND

    @property
    def end_s(self) -> float:
        """The run's length after the faults began; never zero, so that it can be a scale."""
        return max(self.seconds(self.end_us), 0.001)


def fault_bands(trace: Iterable[Traced], clock: RunClock, notes: Mapping[str, str]) -> tuple[FaultBand, ...]:
    """Return every step that fired, in that order. `notes` are the scenario's words about its steps."""
    bands: dict[str, FaultBand] = {}
    for traced in trace:
        event = traced.event
        if isinstance(event, StepFired):
            begin_s = clock.seconds(traced.time_us)
            is_moment = event.action in _MARKS
            end_s = begin_s if is_moment else clock.seconds(clock.heal_us)
            note = notes.get(event.step.partition("/")[0], "")  # the second blow of a repeated step is crash/2
            bands[event.step] = FaultBand(event.step, event.action, tuple(event.targets), begin_s, end_s, note)
        elif isinstance(event, StepEnded) and event.step in bands:
            bands[event.step] = replace(bands[event.step], end_s=clock.seconds(traced.time_us))
    return tuple(bands.values())


def leader_gaps(trace: Iterable[Traced], clock: RunClock, topics: Sequence[str]) -> tuple[LeaderGap, ...]:
    """Return the stretches without a leader of every partition of some topics, between the faults and the heal."""
    fold = _LeaderFold(clock, topics)
    for traced in trace:
        if clock.heal_us < traced.time_us:
            break
        fold.on_event(traced)
    fold.close()
    return tuple(fold.gaps)


class _LeaderFold:
    def __init__(self, clock: RunClock, topics: Sequence[str]) -> None:
        self.gaps: list[LeaderGap] = []
        self._clock = clock
        self._topics = topics
        self._names: dict[int, str] = {}
        self._down: dict[str, bool] = {}
        self._newest: dict[TopicPartition, PartitionMetadataApplied] = {}
        self._since: dict[TopicPartition, float] = {}

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, NodeStarted):
            self._names[event.node_id] = traced.node
            self._down[traced.node] = False
        elif isinstance(event, NodeFaulted):
            self._down[event.target] = event.state in _DOWN
        elif isinstance(event, PartitionMetadataApplied) and event.topic in self._topics:
            partition = TopicPartition(event.topic, event.partition)
            known = self._newest.get(partition)
            if known is None or known.metadata_offset < event.metadata_offset:
                self._newest[partition] = event
        else:
            return
        self._look(self._clock.seconds(traced.time_us))

    def close(self) -> None:
        for partition, begin_s in self._since.items():
            self.gaps.append(LeaderGap(str(partition), begin_s, self._clock.seconds(self._clock.heal_us)))

    def _look(self, now_s: float) -> None:
        if now_s < 0:
            return
        for partition, event in self._newest.items():
            name = self._names.get(event.leader, "")
            if event.leader == NO_NODE or self._down.get(name, False):
                self._since.setdefault(partition, now_s)
            elif partition in self._since:
                begin_s = self._since.pop(partition)
                if now_s > begin_s:
                    self.gaps.append(LeaderGap(str(partition), begin_s, now_s))
