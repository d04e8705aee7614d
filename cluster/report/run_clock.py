"""The frame of a run on the trace's clock, and times as reports tell them: seconds since the faults began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.base.trace import PhaseBegan, Traced

_US_PER_SECOND = 1_000_000


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
