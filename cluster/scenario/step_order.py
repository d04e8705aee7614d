"""Steps that do not fire: a run would be green without them, and nobody would know.

Here: what is certain before a run, and what is told of it after it. Not here: waiting for a step's moment (`schedule`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.lab.quantities import seconds_text
from cluster.scenario.observation import Moments
from cluster.scenario.plan import Moment, PlannedStep


def never_fired(steps: Sequence[PlannedStep], duration_us: int) -> list[str]:
    """Return a complaint for each step whose moment comes after the end, or never."""
    by_id = {step.id: step for step in steps}
    complaints = [_complaint(step, by_id, duration_us) for step in steps]
    return [f"steps/{step.id}: {text}" for step, text in zip(steps, complaints, strict=True) if text]


def _complaint(step: PlannedStep, by_id: Mapping[str, PlannedStep], duration_us: int) -> str:
    if step.after is not None and step.after.is_end and by_id[step.after.step].action is None:
        return f"{step.after.step} has no end, because it does nothing: write after: {step.after.step}"
    waits_us, circle = _waits(step, by_id)
    if circle:
        return f"it waits in a circle: {' after '.join(circle)}"
    if waits_us >= duration_us:
        come = seconds_text(waits_us)
        return f"it cannot fire before {come}, and the run breaks things for {seconds_text(duration_us)} (duration)"
    return ""


def _waits(step: PlannedStep, by_id: Mapping[str, PlannedStep]) -> tuple[int, tuple[str, ...]]:
    """Return the earliest time at which a step can fire, and the circle in which it waits, if it does."""
    waits_us, seen = 0, [step.id]
    while step.after is not None:
        before = by_id[step.after.step]
        waits_us += step.after.plus_us + (before.lasts_us or 0 if step.after.is_end else 0)
        if before.id in seen:
            return waits_us, (*seen[seen.index(before.id) :], before.id)
        seen.append(before.id)
        step = before
    if step.at_us is not None:
        return waits_us + step.at_us, ()
    return waits_us + (0 if step.every is None else max(0, step.every.period_us - step.every.jitter_us)), ()


def unfired_steps(steps: Sequence[PlannedStep], moments: Moments) -> tuple[str, ...]:
    """Return a sentence for each step that a run ended without."""
    return tuple(
        f"step {step.id} did not fire: {_reason(step, moments)}"
        for step in steps
        if moments.time_us(Moment(step.id)) is None
    )


def _reason(step: PlannedStep, moments: Moments) -> str:
    if step.id not in moments.timed_out:
        return "its moment did not come"
    waited = f"in {seconds_text(step.timeout_us)}"
    return f"nobody was there for it {waited}" if step.when is None else f"not once {step.when.text} {waited}"
