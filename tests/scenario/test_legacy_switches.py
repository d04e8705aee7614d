"""Every mistake that can be switched on is seen by a check, and the same schedule without it holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.base.configs import DEFINITIONS
from cluster.scenario import ScenarioError, make_plan, read_document
from cluster.scenario.legacy import SWITCHES, legacy_properties

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios" / "legacy"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_mistake_does_harm_and_its_remedy_mends_it(path: Path) -> None:
    command = [sys.executable, "-c", "from cluster.cli import main; main()"]
    run = subprocess.run(
        [*command, "run", str(path), "--all-variants", "--json", "--no-report"],
        capture_output=True,
        text=True,
        check=False,
        cwd=SCENARIOS.parents[1],
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with_mistake, without = (
        [check["outcome"] for check in json.loads(row)["checks"]] for row in run.stdout.splitlines()
    )
    assert with_mistake.count("violated") > without.count("violated")


def test_each_switch_sets_a_config_to_what_is_not_its_default() -> None:
    for name, switch in SWITCHES.items():
        assert legacy_properties({name: switch.word}) == {switch.config: switch.value}
        definition = DEFINITIONS[switch.config]
        definition.check(switch.config, switch.value)
        assert definition.default != switch.value


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"truncaton": "high-watermark"}, "no such switch; did you mean truncation"),
        ({"clocks": "none"}, "no such switch; there is truncation, "),
        ({"truncation": "epoch"}, "write high-watermark, as before KIP-101"),
    ],
)
def test_what_is_no_switch_is_told(block: dict[str, str], complaint: str) -> None:
    document = read_document("{lab: v1, name: x}")
    document["cluster"] = {"legacy": block}
    with pytest.raises(ScenarioError, match=complaint):
        make_plan(document)
