"""Judging: what an oracle found, or a watch noted, becomes `holds`, `violated` or `unknown`, with a reason.

A check whose scope never opened is unknown, and so is one that needs the reading back when there was none: a run is
as expected, different or inconclusive, never vaguely green.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.checks import Oracle, Violation
from cluster.lab.quantities import US_PER_SECOND, seconds_text
from cluster.report import CheckResult, Outcome, Sighting
from cluster.scenario.expressions import RATE_WINDOW_US, Scope
from cluster.scenario.plan import Moment, PlannedCheck
from cluster.scenario.watches import MomentTimes, Watch, scope_of

VIOLATIONS_TOLD_MAX = 20
"""Violations of one check that a result describes; beyond, it only counts."""


class Judge:
    """Judges the checks of one run after it has ended."""

    def __init__(self, moments: MomentTimes, start_us: int, faults_end_us: int, read_back: bool) -> None:
        self.moments = moments
        self.start_us = start_us
        self.faults_end_us = faults_end_us
        self.read_back = read_back

    def of_oracle(self, check: PlannedCheck, oracle: Oracle) -> CheckResult:
        """Judge an invariant on what its oracle found, within the check's scope."""
        if oracle.needs_read_back and not self.read_back:
            return _result(check, "unknown", "not everything could be read back")
        violations = [violation for violation in oracle.violations if self._in_scope(check, violation)]
        count = len(violations) if check.moments else oracle.count
        messages = tuple(f"{violation.message} [{self._when(violation.time_us)}]" for violation in violations)
        if count:
            sightings = tuple(self._sighting(violation) for violation in violations)
            return _result(
                check, "violated", f"{count}: first {messages[0]}", messages, count=count, sightings=sightings
            )
        if missing := self._missing(check):
            return _result(check, "unknown", f"{missing} never came")
        return _result(check, "holds")

    def of_watch(self, check: PlannedCheck, watch: Watch) -> CheckResult:
        """Judge a condition on when it was seen true or false."""
        if check.kind in ("always", "never"):
            return self._of_always(check, watch)
        if watch.first_true_us is not None:
            if check.kind == "sometimes":
                return _result(check, "holds", f"seen {watch.true_count} times from {self._when(watch.first_true_us)}")
            return _result(check, "holds", self._how_soon(check, watch.first_true_us))
        if missing := self._missing(check):
            return _result(check, "unknown", f"{missing} never came")
        _, end_us = scope_of(check, self.moments)
        if end_us is not None and end_us > self.faults_end_us and check.within_us is not None:
            return _result(check, "unknown", "the run ended before the time was up")
        if watch.evaluations == 0:
            return _result(check, "unknown", _why_unseen(watch))
        return _result(check, "violated", "never seen")

    def at_end(self, check: PlannedCheck, scope: Scope, totals: Mapping[str, int]) -> CheckResult:
        """Judge a condition on the state in which the run ended."""
        assert check.expression is not None
        if check.expression.at_end_only and not self.read_back:
            return _result(check, "unknown", "not everything could be read back")
        scope.totals = totals
        return _result(check, "holds" if check.expression.is_true(scope) else "violated")

    def _of_always(self, check: PlannedCheck, watch: Watch) -> CheckResult:
        wrong_us = watch.first_true_us if check.kind == "never" else watch.first_false_us
        if wrong_us is not None:
            sighting = Sighting(self._seconds(wrong_us))
            return _result(check, "violated", f"first at {self._when(wrong_us)}", sightings=(sighting,))
        if missing := self._missing(check):
            return _result(check, "unknown", f"{missing} never came")
        if watch.evaluations == 0:
            return _result(check, "unknown", _why_unseen(watch))
        return _result(check, "holds")

    def _how_soon(self, check: PlannedCheck, seen_us: int) -> str:
        start_us, _ = scope_of(check, self.moments)
        if check.within_us is None or start_us is None:
            return f"at {self._when(seen_us)}"
        return f"{seconds_text(seen_us - start_us)} ≤ {seconds_text(check.within_us)}"

    def _in_scope(self, check: PlannedCheck, violation: Violation) -> bool:
        start_us, end_us = scope_of(check, self.moments)
        after = start_us is None or violation.time_us >= start_us
        return after and (end_us is None or violation.time_us <= end_us)

    def _missing(self, check: PlannedCheck) -> str:
        """The first moment of a check's scope that never came."""
        for moment in check.moments:
            if self.moments.time_us(moment) is None:
                return _moment_text(moment)
        return ""

    def _sighting(self, violation: Violation) -> Sighting:
        partition = "" if violation.partition is None else str(violation.partition)
        return Sighting(self._seconds(violation.time_us), partition, violation.offset, violation.value)

    def _seconds(self, time_us: int) -> float:
        return (time_us - self.start_us) / US_PER_SECOND

    def _when(self, time_us: int) -> str:
        return seconds_text(time_us - self.start_us)


def _why_unseen(watch: Watch) -> str:
    if watch.expression.is_sampled:
        return f"its time was shorter than the {seconds_text(RATE_WINDOW_US)} over which a rate is taken"
    return "never looked at"


def _moment_text(moment: Moment) -> str:
    return f"{moment.step}.end" if moment.is_end else moment.step


def _result(
    check: PlannedCheck,
    outcome: Outcome,
    detail: str = "",
    violations: tuple[str, ...] = (),
    *,
    count: int = 0,
    sightings: tuple[Sighting, ...] = (),
) -> CheckResult:
    told, seen = violations[:VIOLATIONS_TOLD_MAX], sightings[:VIOLATIONS_TOLD_MAX]
    return CheckResult(check.id, check.kind, check.statement, outcome, check.expected, detail, told, count, seen)
