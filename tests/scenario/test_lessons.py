"""Every lesson teaches what it says: its verdicts hold on every seed, and some variant turns one of them round.

A few seeds run here; `make lessons` runs fifty (LESSON_SEEDS sets how many).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from cluster.scenario import Plan, Scenario, check_schema, make_all_plans, read_document, run_in_simulation

LESSONS = sorted((Path(__file__).resolve().parents[2] / "scenarios" / "lessons").glob("*.yaml"))
SEEDS = range(1, 1 + int(os.environ.get("LESSON_SEEDS", "2")))


@cache
def plans_of(path: Path) -> tuple[Plan, ...]:
    return make_all_plans(read_document(path.read_text()))


def scenario_of(path: Path) -> Scenario:
    return check_schema(read_document(path.read_text()))


def every_variant() -> list[object]:
    return [
        pytest.param(path, number, id=f"{path.stem}-{plan.variant or 'as-written'}")
        for path in LESSONS
        for number, plan in enumerate(plans_of(path))
    ]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("path", "number"), every_variant())
def test_a_lesson_keeps_its_word(path: Path, number: int, seed: int) -> None:
    plan = plans_of(path)[number]
    result = run_in_simulation(plan, seed, f"fencepost run {path} --seed {seed}").result
    wrong = [
        f"{check.id} {check.outcome}, expected {check.expected}: {check.detail}"
        for check in result.checks
        if not check.is_as_expected
    ]
    assert result.verdict == "as-expected", f"{path.stem} [{plan.variant}] seed {seed}: {wrong}"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_a_variant_with_an_opposite_verdict(path: Path) -> None:
    base, *variants = plans_of(path)
    stated = {check.id: check.expected for check in base.checks}
    turned = [
        (plan.variant, check.id)
        for plan in variants
        for check in plan.checks
        if {check.expected, stated[check.id]} == {"holds", "violated"}
    ]
    assert turned, "nothing to learn from the comparison"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_all_its_parts(path: Path) -> None:
    scenario = scenario_of(path)
    lesson = scenario.lesson
    assert lesson is not None
    assert path.stem.partition("-")[2] == scenario.name, "the file is called as the scenario"
    assert lesson.predict.endswith("?") and len(lesson.choices) >= 3 and lesson.answer in lesson.choices
    assert len(lesson.observe) == 3
    assert lesson.teaches and lesson.explains and lesson.in_production.metric and lesson.in_production.config
    assert all(plan.checks for plan in plans_of(path))


def test_the_right_answer_is_not_always_in_the_same_place() -> None:
    places = {lesson.choices.index(lesson.answer) for path in LESSONS if (lesson := scenario_of(path).lesson)}
    assert len(places) >= 3
