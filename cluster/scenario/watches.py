"""A check on a condition while a run goes on: whether its scope is open, and when it was true or false.

Here: noting. Not here: the verdict (`verdicts`).
"""

from __future__ import annotations

from typing import Protocol

from cluster.scenario.expressions import RATE_WINDOW_US, Expression, Scope
from cluster.scenario.plan import Moment, PlannedCheck


class MomentTimes(Protocol):
    """When steps fired and ended."""

    def time_us(self, moment: Moment) -> int | None:
        """When a moment was; None when it has not come."""


class Watch:
    """What one check has seen. Times are microseconds of the trace, None when it never was."""

    def __init__(self, check: PlannedCheck) -> None:
        assert check.expression is not None
        self.check = check
        self.expression: Expression = check.expression
        self.first_true_us: int | None = None
        self.first_false_us: int | None = None
        self.true_count = 0
        self.evaluations = 0

    def evaluate(self, scope: Scope, moments: MomentTimes) -> None:
        """Look at the condition, if the scope is open now."""
        start_us, end_us = scope_of(self.check, moments)
        if self.check.moments and start_us is None:
            return
        now_us = scope.now_us
        if start_us is not None and self.expression.is_sampled:
            # A rate is judged on a window that lies inside the scope.
            start_us += RATE_WINDOW_US
        if (start_us is not None and now_us < start_us) or (end_us is not None and now_us > end_us):
            return
        self.evaluations += 1
        if self.expression.is_true(scope):
            self.true_count += 1
            if self.first_true_us is None:
                self.first_true_us = now_us
        elif self.first_false_us is None:
            self.first_false_us = now_us


def scope_of(check: PlannedCheck, moments: MomentTimes) -> tuple[int | None, int | None]:
    """When a check's scope opened and when it closes; None for what has not come or does not exist."""
    if check.between is not None:
        return moments.time_us(check.between[0]), moments.time_us(check.between[1])
    if check.of is not None:
        start_us = moments.time_us(check.of)
        assert check.within_us is not None
        return start_us, None if start_us is None else start_us + check.within_us
    return None, None
