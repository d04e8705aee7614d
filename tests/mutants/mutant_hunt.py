"""Planting a mutant and running seeds until something notices.

Here: one run and the names of all checkers that it alarmed, and the hunt over seeds. Not here: the mutants
(`mutant_catalogue`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from cluster.checks import Oracle, Panel, Setting
from cluster.lab import LabError
from cluster.runtime.sim import SimulationError
from cluster.scenario import Plan, make_plan, read_document, run_in_simulation

SCHEDULES = Path(__file__).resolve().parent / "schedules"

SEEDS_MAX = 20
"""How many seeds a mutant may survive. Most are caught by the first: their schedules are made for them."""

Plant = Callable[[pytest.MonkeyPatch], None]
"""Replaces one function of the brokers by one with a bug."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: how it is planted, the schedule under which it does harm, and who must be among those that notice."""

    plant: Plant
    schedule: str
    caught_by: str

    @property
    def name(self) -> str:
        """Its name, as in the table."""
        return self.plant.__name__.replace("_", "-")

    @property
    def meaning(self) -> str:
        """What it does, in a sentence."""
        return " ".join((self.plant.__doc__ or "").split())


@dataclass(frozen=True, slots=True)
class Catch:
    """Under which seed a mutant was noticed, and by whom."""

    seed: int
    checkers: tuple[str, ...]


def hunt(mutant: Mutant) -> Catch | None:
    """Run seeds until the mutant's checker notices it, maybe among others; None when it survives all of them."""
    for seed in range(1, SEEDS_MAX + 1):
        with pytest.MonkeyPatch.context() as patch:
            mutant.plant(patch)
            checkers = alarms(mutant.schedule, seed)
        if mutant.caught_by in checkers:
            return Catch(seed, checkers)
    return None


@cache
def alarms_without_mutant(schedule: str, seed: int) -> tuple[str, ...]:
    """Return whom a schedule alarms when nothing is planted: nobody, or the schedule proves nothing."""
    return alarms(schedule, seed)


def alarms(schedule: str, seed: int) -> tuple[str, ...]:
    """Run a schedule and name every oracle, check and assertion that objects."""
    panels: list[Panel] = []

    def watched_panel(oracles: Iterable[Oracle], setting: Setting) -> Panel:
        panels.append(Panel(oracles, setting))
        return panels[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cluster.scenario.runner.Panel", watched_panel)
        try:
            result = run_in_simulation(plan_of(schedule), seed, "").result
        except (SimulationError, AssertionError, LabError) as error:
            # The run has no verdict, but what the oracles had seen until then counts.
            seen = [name for panel in panels for name, oracle in panel.oracles.items() if oracle.count]
            return (*seen, _assertion_of(error))
    names: list[str] = []
    for check in result.checks:
        if check.is_as_expected:
            continue
        if check.id == "invariants":
            names += [violation.partition(":")[0] for violation in check.violations]
        elif check.id == "contract":
            names += [f"contract: {violation.partition(':')[0]}" for violation in check.violations]
        else:
            names.append(check.id)
    return tuple(dict.fromkeys(names))


@cache
def plan_of(schedule: str) -> Plan:
    """Read a schedule."""
    return make_plan(read_document((SCHEDULES / f"{schedule}.yaml").read_text()))


def _assertion_of(error: BaseException) -> str:
    """Name the assertion of the brokers that ended a run, by the function it stands in."""
    for cause in _causes(error):
        if isinstance(cause, AssertionError):
            frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
            return f"assertion in {frames[-1].f_code.co_qualname}"
    return f"{type(error).__name__}: {error}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)
