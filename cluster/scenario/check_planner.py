"""Making planned checks of written ones: which invariant or condition is meant, and in which scope.

Here: checks, of a scenario and of the Python face. Not here: judging (`verdicts`), noting (`watches`).
"""

from __future__ import annotations

from cluster.checks import ORACLES
from cluster.lab.selectors import SelectorError, did_you_mean
from cluster.scenario.expressions import Expression
from cluster.scenario.keys import VerdictWord
from cluster.scenario.plan import PlannedCheck
from cluster.scenario.schema import Check
from cluster.scenario.step_planner import StepPlanner


def plan_check(check: Check, steps: StepPlanner, expected: VerdictWord | None = None) -> PlannedCheck:
    """Plan one check; `expected` overrides its own verdict. Raises ValueError for what it names and there is not."""
    kind = check.kinds[0]
    statement = check.statement(kind)
    assert statement is not None
    is_oracle = statement in ORACLES
    if is_oracle and kind not in ("always", "finally"):
        raise ValueError(f"{statement} is an invariant: say always or finally, not {kind}")
    expression = None if is_oracle else _condition(statement, steps)
    if expression is not None and expression.at_end_only and kind != "finally":
        raise ValueError(f"{statement!r} is known at the end only: say finally")
    return PlannedCheck(
        id=check.id,
        kind=kind,
        statement=statement,
        oracle=statement if is_oracle else None,
        expression=expression,
        within_us=check.within,
        of=None if check.of is None else steps.moment(check.of),
        between=None if check.between is None else (steps.moment(check.between[0]), steps.moment(check.between[1])),
        expected=expected or check.verdict,
    )


def _condition(text: str, steps: StepPlanner) -> Expression:
    try:
        return steps.expression(text)
    except SelectorError as error:
        if " " not in text and "(" not in text and (hint := did_you_mean(text, ORACLES)).startswith("; did"):
            raise SelectorError(f"unknown invariant {text!r}{hint}") from None
        raise SelectorError(str(error)) from None
