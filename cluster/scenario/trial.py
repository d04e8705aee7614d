"""One try of a document in the simulation, and how it failed, in a form that can be compared with another failure.

Here: running, with everything that a run may raise as a finding like any other. Not here: which documents are tried
(`explore`, `shrink`), or in how many processes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.lab import LabError
from cluster.report import RunResult, terminal_text
from cluster.runtime.sim import SimulationError
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.planner import make_plan
from cluster.scenario.worlds import run_in_simulation


@dataclass(frozen=True, slots=True)
class Failure:
    """How a run failed: by which checks, or by which error when it had no end. All empty: it did not fail."""

    checks: tuple[str, ...] = ()
    error: str = ""

    def is_like(self, other: Failure) -> bool:
        """Whether both would be looked into together: the same error, or a check in common."""
        if self.error or other.error:
            return self.error == other.error
        return any(check in other.checks for check in self.checks)

    def __str__(self) -> str:
        return self.error or ", ".join(self.checks)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one try gave. `verdict` is a run's verdict or `crashed`; `failure` is None when all was as expected."""

    seed: int
    verdict: str
    failure: Failure | None
    text: str
    virtual_s: float
    wall_s: float
    trace_hash: str | None


def try_document(document: Document, seed: int, replay: str) -> Trial:
    """Run a document under a seed. Raises ScenarioError when it is no scenario, and nothing else."""
    plan = make_plan(document)
    began_s = time.perf_counter()
    try:
        result = run_in_simulation(plan, seed, replay).result
    except (SimulationError, AssertionError, LabError) as error:
        wall_s = time.perf_counter() - began_s
        text = f"CRASHED  seed {seed}  {type(error).__name__}: {error}\n  replay: {replay}"
        return Trial(seed, "crashed", Failure(error=type(error).__name__), text, 0.0, wall_s, None)
    return Trial(
        seed,
        result.verdict,
        _failure_of(result),
        terminal_text(result),
        result.virtual_s,
        result.wall_s,
        result.trace_hash,
    )


def fails_alike(document: Document, seed: int, failure: Failure) -> bool:
    """Whether a document fails in the same way. One that is no scenario does not."""
    try:
        trial = try_document(document, seed, "")
    except ScenarioError:
        return False
    return trial.failure is not None and trial.failure.is_like(failure)


def _failure_of(result: RunResult) -> Failure | None:
    if result.verdict == "as-expected":
        return None
    return Failure(checks=tuple(check.id for check in result.checks if not check.is_as_expected))
