"""The Python face of the lab: what the README shows works, in both worlds, and mistakes are named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fault_stories import tell

from cluster.base.trace import StepEnded, StepFired
from cluster.scenario import Lab, Run, ScenarioError, make_plan, read_document, run_story

ROOT = Path(__file__).resolve().parents[2]


def readme_example() -> str:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return str(example)


def play_readme(world: str) -> Run:
    names: dict[str, Any] = {}
    exec(readme_example().replace('on="sim"', f'on="{world}"'), names)
    run = names["run"]
    assert isinstance(run, Run)
    return run


def test_the_example_of_the_readme_runs_in_the_simulation() -> None:
    run = play_readme("sim")
    assert [check.id for check in run.result.checks][:2] == ["durable", "one-leader"]
    fired = [traced.event.action for traced in run.trace if isinstance(traced.event, StepFired)]
    assert fired == ["kill", "when", "slow"] * 2
    assert play_readme("sim").result.trace_hash == run.result.trace_hash, "the same seed, the same run"


@pytest.mark.live
def test_the_example_of_the_readme_runs_on_processes() -> None:
    assert play_readme("local").result.target == "local"


def test_a_scenarios_steps_and_the_same_calls_do_the_same() -> None:
    head = """
lab: v1
name: both
duration: 10s
cluster: {controllers: 1, profile: fast, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders, rate: 20/s}}
"""
    steps = """
steps:
  - {id: crash, at: 1s, kill: leader(orders-0), as: victim}
  - {id: elected, after: crash, when: leader(orders-0) != $victim}
  - {id: lag, after: elected, slow: "followers(orders-0) -> leader(orders-0)", latency: 100ms, for: 2s}
"""

    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        await lab.kill("leader(orders-0)", id="crash", as_="victim")
        await lab.wait("leader(orders-0) != $victim", id="elected")
        async with lab.fault("slow", "followers(orders-0) -> leader(orders-0)", id="lag", latency="100ms"):
            await lab.sleep("2s")

    from cluster.scenario import run_in  # noqa: PLC0415

    written = run_in("sim", make_plan(read_document(head + steps)), 1, "")
    called = run_story(read_document(head), story)
    kinds = (StepFired, StepEnded)
    told = [
        [(traced.time_us // 20_000, traced.event) for traced in run.trace if isinstance(traced.event, kinds)][:4]
        for run in (written, called)
    ]
    assert told[0] == told[1]


def test_mistakes_are_named_as_in_a_scenario() -> None:
    async def story(lab: Lab) -> None:
        with pytest.raises(ScenarioError, match="did you mean leader"):
            await lab.kill("leeder(orders-0)")
        with pytest.raises(ScenarioError, match=r"\$victim is bound by no step"):
            await lab.start("$victim")
        with pytest.raises(ScenarioError, match="unknown key 'kil'"):
            await lab.do("kil", "b1")
        with pytest.raises(ScenarioError, match="slow needs latency or jitter"):
            await lab.do("slow", "b1 -> b2")
        with pytest.raises(ScenarioError, match="did you mean no-lost-acks"):
            lab.check("durable", finally_="no-lost-ack")
        with pytest.raises(ScenarioError, match="there is no step 'crash'"):
            lab.check("soon", eventually="isr-full", within="5s", of="crash")
        with pytest.raises(ScenarioError, match="must be in lower case, with dashes"):
            lab.check("A b", finally_="no-lost-acks")
        with pytest.raises(ScenarioError, match="there is no step 'crsh'"):
            await lab.heal("crsh")
        lab.check("durable", finally_="no-lost-acks")
        with pytest.raises(ScenarioError, match="'durable' is there twice"):
            lab.check("durable", finally_="no-duplicates")

    assert tell(story).result.verdict == "as-expected"


def test_what_a_story_leaves_broken_is_healed_and_what_it_raises_is_raised() -> None:
    async def careless(lab: Lab) -> None:
        await lab.kill("one(brokers)")
        await lab.pause("active-controller")
        await lab.do("disk-full", "one(brokers)")
        await lab.sleep("1s")

    assert tell(careless).result.verdict == "as-expected"

    async def broken(lab: Lab) -> None:
        await lab.kill("one(brokers)")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        tell(broken)


def test_a_wait_that_runs_out_of_time_makes_checks_that_hang_on_it_unknown() -> None:
    async def story(lab: Lab) -> None:
        assert not await lab.wait("isr(orders-0).size == 7", timeout="1s", id="never")
        lab.check("scoped", eventually="isr-full", within="5s", of="never")

    run = tell(story)
    assert run.result.verdict == "inconclusive"
    outcomes = {check.id: check.outcome for check in run.result.checks}
    assert (outcomes["scoped"], outcomes["recovered"]) == ("unknown", "holds")


def test_a_condition_is_looked_at_when_a_program_asks_for_it_and_not_only_when_it_changes() -> None:
    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        lab.check("led", sometimes="leader(orders-0) != none")
        lab.check("never-so", sometimes="isr(orders-0).size == 7")

    outcomes = {check.id: check.outcome for check in tell(story).result.checks}
    assert (outcomes["led"], outcomes["never-so"]) == ("holds", "violated")


def test_a_world_that_there_is_not_is_no_other_world() -> None:
    async def story(lab: Lab) -> None:
        await lab.sleep("1s")

    with pytest.raises(ScenarioError, match="no world 'docker': a run is on sim or local"):
        run_story(read_document("lab: v1\nname: nowhere\n"), story, on="docker")  # type: ignore[arg-type]


def test_lost_connections_are_no_news_to_a_program_that_set_no_logging_up() -> None:
    program = (
        "from cluster.scenario import read_document, run_story\n"
        "async def story(lab):\n"
        "    await lab.kill('b1')\n"
        "    await lab.sleep('2s')\n"
        "run_story(read_document('lab: v1\\nname: quiet\\ncluster: {profile: fast, topics: {orders: {partitions: 3}}}"
        "\\nclients: {p1: {produce: orders}}'), story)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
