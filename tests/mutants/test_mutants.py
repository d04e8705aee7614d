"""Every planted mutant is caught within a few seeds, by the checker that is named for it, and only because of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mutant_catalogue import MUTANTS
from mutant_hunt import SCHEDULES, Mutant, alarms_without_mutant, hunt

from cluster.checks import ORACLES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught_and_its_schedule_passes_without_it(
    mutant: Mutant, record_property: Callable[[str, object], None]
) -> None:
    catch = hunt(mutant)
    assert catch is not None, "nothing notices it: a hole in the checkers"
    record_property("seeds", catch.seed)
    record_property("caught_by", ", ".join(catch.checkers))
    without = [alarms_without_mutant(mutant.schedule, seed) for seed in range(1, catch.seed + 1)]
    assert without == [()] * catch.seed


def test_the_page_tells_of_every_mutant() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| (.+) \| ([a-z-]+) \| `(.+?)`.* \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    told = [(name, meaning, schedule, caught_by) for name, meaning, schedule, caught_by, _ in rows]
    assert told == [(mutant.name, mutant.meaning, mutant.schedule, mutant.caught_by) for mutant in MUTANTS]


def test_no_schedule_is_left_over() -> None:
    assert sorted({mutant.schedule for mutant in MUTANTS}) == sorted(path.stem for path in SCHEDULES.glob("*.yaml"))


def test_whoever_catches_is_an_oracle_unless_the_schedule_itself_asks() -> None:
    others = {mutant.caught_by for mutant in MUTANTS} - set(ORACLES)
    assert others == {"leader-undisturbed"}
