"""Steps fire when they should, mean whom they should, and are undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from scripted_target import ScriptedTarget

from cluster.base.trace import PhaseBegan, StepEnded, StepFired, Traced
from cluster.checks import Panel, Setting
from cluster.lab import LAB
from cluster.lab.fault_table import FaultTable
from cluster.report import ClusterView
from cluster.runtime.sim import Simulation, run_simulation
from cluster.scenario import make_plan, read_document
from cluster.scenario.experiment import Lab
from cluster.scenario.expressions import Scope, Vocabulary
from cluster.scenario.observation import Observer
from cluster.scenario.schedule import Schedule
from cluster.scenario.step_planner import StepPlanner

HEAD = """
lab: v1
name: scripted
cluster: {brokers: 3, controllers: 1, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders}}
"""

Script = Callable[[ScriptedTarget, Simulation], Awaitable[None]]


class Played:
    """What a schedule did, by the trace, with times in milliseconds after its beginning."""

    def __init__(self, target: ScriptedTarget, observer: Observer, bindings: dict[str, tuple[str, ...]]) -> None:
        self.target = target
        self.trace: list[Traced] = observer.trace
        self.bindings = bindings

    def fired(self) -> list[tuple[str, int, tuple[str, ...]]]:
        return [
            (traced.event.step, traced.time_us // 1000, traced.event.targets)
            for traced in self.trace
            if isinstance(traced.event, StepFired)
        ]

    def ended(self) -> list[tuple[str, int, str]]:
        return [
            (traced.event.step, traced.time_us // 1000, traced.event.outcome)
            for traced in self.trace
            if isinstance(traced.event, StepEnded)
        ]


def play(steps: str, script: Script, *, heal: bool = False, seed: int = 1) -> Played:
    """Run steps in virtual time against a target whose events the script makes up."""

    async def main(simulation: Simulation) -> Played:
        plan = make_plan(read_document(HEAD + "steps:\n" + steps))
        began_us = simulation.now_us()
        target = ScriptedTarget(plan.cluster, lambda: simulation.now_us() - began_us)
        bindings: dict[str, tuple[str, ...]] = {}
        view = ClusterView(plan.cluster.node_ids, ["b1", "b2", "b3"], ["c1"], ["p1"])
        observer = Observer(view, Panel([], Setting()), [], Scope(view, bindings))
        target.subscribe(observer.on_event)
        target.elect(1, 0, [1, 2, 3])
        target.emit(LAB, PhaseBegan("faults"))
        faults = FaultTable(target, ["p1"], simulation.rng("damage"))
        words = Vocabulary(plan.cluster.node_names, ("p1",), {"orders": 1})
        planner = StepPlanner(words, [step.id for step in plan.steps], bindings)
        lab = Lab(
            target, observer, faults, planner, lambda _check: None, bindings=bindings, seed=seed, duration_us=60_000_000
        )
        playing = asyncio.create_task(Schedule(plan.steps, seed=1).play(lab))
        await script(target, simulation)
        playing.cancel()
        await asyncio.wait([playing])
        if heal:
            await faults.heal_all()
        return Played(target, observer, bindings)

    return run_simulation(main, 1).value


async def pass_seconds(simulation: Simulation, seconds: float) -> None:
    """Let virtual time pass."""
    future = simulation.loop.create_future()
    simulation.loop.call_later(seconds, future.set_result, None)
    await future


async def ten_seconds(target: ScriptedTarget, simulation: Simulation) -> None:
    await pass_seconds(simulation, 10)


def test_at_counts_from_the_beginning_and_after_from_another_step() -> None:
    played = play(
        """
  - {id: crash, at: 2s, kill: leader(orders-0), as: victim}
  - {id: back, after: crash + 3s, start: $victim}
""",
        ten_seconds,
    )
    assert played.target.done == [(2000, "kill", "b1"), (5000, "start_node", "b1")]
    assert played.fired() == [("crash", 2000, ("b1",)), ("back", 5000, ("b1",))]
    assert played.ended() == [("crash", 5000, "healed")], "the start took the kill back"
    assert played.bindings["victim"] == ("b1",)


def test_for_undoes_a_fault_and_end_waits_for_it() -> None:
    played = play(
        """
  - {id: frozen, at: 1s, pause: b2, for: 2s}
  - {id: then, after: frozen.end + 1s, stop: b3}
""",
        ten_seconds,
    )
    assert played.target.done == [(1000, "pause", "b2"), (3000, "resume", "b2"), (4000, "stop", "b3")]


def test_when_waits_for_the_trace_to_say_so() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 4)
        target.elect(2, 1, [2, 3])
        await pass_seconds(simulation, 4)

    played = play(
        """
  - {id: crash, at: 1s, kill: leader(orders-0), as: victim}
  - {id: elected, after: crash, when: leader(orders-0) != $victim}
  - {id: again, after: elected, kill: leader(orders-0)}
""",
        script,
    )
    assert played.fired() == [("crash", 1000, ("b1",)), ("elected", 4000, ()), ("again", 4000, ("b2",))]


def test_a_when_that_runs_out_of_time_does_not_fire_and_neither_do_its_followers() -> None:
    played = play(
        """
  - {id: never, at: 1s, kill: b1}
  - {id: waits, after: never, when: isr(orders-0).size == 1, timeout: 2s}
  - {id: follows, after: waits, kill: b2}
""",
        ten_seconds,
    )
    assert [step for step, _, _ in played.fired()] == ["never"]
    assert played.ended() == [("waits", 3000, "timed-out")]
    assert played.target.done == [(1000, "kill", "b1")]


def test_a_step_that_means_nobody_waits_for_somebody() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        target.elect(-1, 1, [])
        await pass_seconds(simulation, 3)
        target.elect(3, 2, [3])
        await pass_seconds(simulation, 3)

    played = play("  - {id: crash, at: 1s, kill: leader(orders-0)}\n", script)
    assert played.target.done == [(3000, "kill", "b3")]


def test_a_partition_cuts_what_shares_no_side_and_remembers_its_sides() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 2)
        (rules,) = target.rules.values()
        pairs = {(rule.source, rule.target) for rule in rules}
        assert all(rule.cut for rule in rules)
        assert pairs == {
            (one, other)
            for one, other in [
                *(("b1", name) for name in ("b2", "b3", "c1")),
                *(("p1", name) for name in ("b2", "b3", "c1")),
            ]
        } | {
            (other, one)
            for one, other in [
                *(("b1", name) for name in ("b2", "b3", "c1")),
                *(("p1", name) for name in ("b2", "b3", "c1")),
            ]
        }
        await pass_seconds(simulation, 2)
        assert not target.rules, "for: has healed it"

    played = play(
        "  - {id: split, at: 1s, partition: {main: [rest], cut: [leader(orders-0), p1]}, as: side, for: 2s}\n", script
    )
    assert played.bindings["side.cut"] == ("b1", "p1")
    assert played.bindings["side.main"] == ("c1", "b2", "b3")
    assert played.ended() == [("split", 3000, "healed")]


def test_a_side_is_drawn_once() -> None:
    for seed in range(8):
        played = play(
            "  - {id: split, at: 1s, partition: {cut: [one(brokers)], main: [rest]}, as: side}\n",
            lambda _, simulation: pass_seconds(simulation, 2),
            seed=seed,
        )
        assert len(played.bindings["side.cut"]) == 1, "drawn again for the rest, it would be on both sides: a bridge"
        assert not set(played.bindings["side.cut"]) & set(played.bindings["side.main"])


def test_overlapping_sides_make_a_bridge() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 2)
        pairs = {(rule.source, rule.target) for rule in target.rules["split"]}
        assert pairs == {("b1", "b3"), ("b3", "b1")}, "b2 talks to both; who is on no side keeps all links"

    play("  - {id: split, at: 1s, partition: {left: [b1, b2], right: [b2, b3]}}\n", script)


def test_isolated_nodes_cannot_reach_one_another_either() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 2)
        pairs = {(rule.source, rule.target) for rule in target.rules["alone"]}
        assert {("b2", "b3"), ("b3", "b2"), ("b1", "b2"), ("p1", "b3")} <= pairs
        assert ("b1", "c1") not in pairs

    play("  - {id: alone, at: 1s, isolate: followers(orders-0)}\n", script)


def test_slow_is_about_one_direction_and_the_named_apis() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 2)
        assert [(rule.source, rule.target, rule.latency_ms, rule.apis) for rule in target.rules["lag"]] == [
            ("b2", "b1", 300.0, ("Fetch",)),
            ("b3", "b1", 300.0, ("Fetch",)),
        ]
        both = {(rule.source, rule.target) for rule in target.rules["lossy"]}
        assert both == {("b1", "c1"), ("c1", "b1")}

    play(
        """
  - {id: lag, at: 1s, slow: followers(orders-0) -> leader(orders-0), apis: [Fetch], latency: 300ms}
  - {id: lossy, at: 1s, drop: b1 -> c1, rate: 20%, direction: both}
""",
        script,
    )


def test_heal_names_a_step_or_all() -> None:
    async def script(target: ScriptedTarget, simulation: Simulation) -> None:
        await pass_seconds(simulation, 5)
        assert list(target.rules) == ["two"]
        await pass_seconds(simulation, 4)
        assert not target.rules

    played = play(
        """
  - {id: one, at: 1s, isolate: b1}
  - {id: two, at: 2s, isolate: b2}
  - {id: three, at: 3s, kill: b3}
  - {id: mend, at: 4s, heal: one}
  - {id: mend-all, at: 6s, heal: all}
""",
        script,
    )
    assert played.ended() == [("one", 4000, "healed"), ("two", 6000, "healed"), ("three", 6000, "healed")]
    assert played.target.done[-1] == (6000, "start_node", "b3")


def test_at_the_end_everything_is_mended_whatever_broke_it() -> None:
    played = play(
        """
  - {id: one, at: 1s, kill: b1}
  - {id: two, at: 1s, pause: b2}
  - {id: three, at: 1s, isolate: b3}
""",
        ten_seconds,
        heal=True,
    )
    assert not played.target.rules
    assert [verb for _, verb, _ in played.target.done] == ["kill", "pause", "start_node", "resume"]


def test_what_is_down_already_is_not_killed_again() -> None:
    played = play("  - {id: one, at: 1s, kill: b1}\n  - {id: two, at: 2s, kill: brokers}\n", ten_seconds)
    assert [name for _, _, name in played.target.done] == ["b1", "b2", "b3"]


def test_every_fires_again_and_again_each_time_with_an_undo_of_its_own() -> None:
    played = play(
        "  - {id: beat, after: first, every: {period: 2s, count: 3}, pause: b2, for: 500ms}\n"
        "  - {id: first, at: 1s, note: begin}\n"
        "  - {id: over, after: beat.end, kill: b3}\n",
        ten_seconds,
    )
    assert [(time_ms, verb) for time_ms, verb, name in played.target.done if name == "b2"] == [
        (1000, "pause"), (1500, "resume"), (3000, "pause"), (3500, "resume"), (5000, "pause"), (5500, "resume"),
    ]  # fmt: skip
    assert [step for step, _, _ in played.fired() if step.startswith("beat")] == ["beat", "beat/2", "beat/3"]
    assert (1500, "kill", "b3") in played.target.done, "the end of the first"


def test_every_alone_begins_after_one_period_and_jitter_moves_it() -> None:
    played = play("  - {id: beat, every: {period: 2s, jitter: 500ms}, restart: b2}\n", ten_seconds)
    times_ms = [time_ms for step, time_ms, _ in played.fired()]
    assert len(times_ms) in (4, 5)
    assert all(abs(time_ms - 2000 * number) <= 501 for number, time_ms in enumerate(times_ms, start=1))
    assert any(time_ms % 2000 for time_ms in times_ms)


def test_a_heal_of_a_repeated_step_undoes_all_its_blows() -> None:
    played = play(
        "  - {id: beat, every: {period: 1s, count: 3}, slow: b1 -> b2, latency: 5ms}\n"
        "  - {id: mend, at: 5s, heal: beat}\n",
        ten_seconds,
    )
    assert [step for step, time_ms, _ in played.ended() if time_ms == 5000] == ["beat", "beat/2", "beat/3"]
    assert not played.target.rules
