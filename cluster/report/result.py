"""The result of one run: what a verdict is made of, as data and as one JSON object.

Here: facts only. Not here: how they were judged (`cluster.scenario.verdicts`) or how they are told (`terminal`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["holds", "violated", "unknown"]
Verdict = Literal["as-expected", "different", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a violation can be looked up: seconds since the faults began; a record's place when it is about one."""

    at_s: float
    partition: str = ""
    offset: int = -1
    value: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: what came out and what was expected. `expected` may be `any`."""

    id: str
    kind: str
    statement: str
    outcome: Outcome
    expected: str
    detail: str = ""
    violations: tuple[str, ...] = ()
    violation_count: int = 0
    sightings: tuple[Sighting, ...] = ()

    @property
    def is_as_expected(self) -> bool:
        """Whether it came out as the scenario says; `any` accepts everything."""
        return self.expected in ("any", self.outcome)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that clients saw and should not: how often, whether the configuration permits it, and why."""

    name: str
    count: int
    permitted: bool
    sentence: str
    reason: str
    source: str
    first: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run of one variant. Times are seconds; offsets and counts are whole numbers."""

    scenario: str
    variant: str | None
    target: str
    seed: int
    verdict: Verdict
    checks: tuple[CheckResult, ...]
    sent: int
    acked: int
    failed: int
    unknown: int
    consumed: int
    lost: int
    duplicates: int
    leaderless_s: float
    story: str
    replay: str
    trace_hash: str | None = None
    virtual_s: float = 0.0
    wall_s: float = 0.0
    anomalies: tuple[Anomaly, ...] = ()
    unfired: tuple[str, ...] = ()
    """Steps that the run ended without, and why, in words."""

    @property
    def is_read_back(self) -> bool:
        """Whether the end was read back, without which nobody knows what is lost."""
        return not any(check.id == "contract" and check.outcome == "unknown" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return asdict(self)


def verdict_of(checks: tuple[CheckResult, ...]) -> Verdict:
    """Add checks up: one that differs decides; one that is unknown leaves the run inconclusive, never green."""
    if any(not check.is_as_expected and check.outcome != "unknown" for check in checks):
        return "different"
    if any(not check.is_as_expected for check in checks):
        return "inconclusive"
    return "as-expected"


EXIT_CODES: dict[Verdict, int] = {"as-expected": 0, "different": 1, "inconclusive": 3}
"""What a process ends with; 2 is a usage error, 4 a cluster that did not start, 130 an interrupt."""
