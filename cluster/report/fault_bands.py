"""When what was broken: the steps of a run as stretches of time.

Here: a fold over the trace. Times are seconds since the faults began. Not here: how they are drawn (`page`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cluster.base.trace import StepEnded, StepFired, Traced
from cluster.report.run_clock import RunClock

_MARKS = (
    "when", "note", "heal", "start", "restart", "resume",
    "elect", "reassign", "config", "add-broker", "remove-broker", "produce",
)  # fmt: skip
"""Actions after which nothing is broken: moments rather than stretches."""


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
