"""The runner: one asynchronous path over any target, from the first node to the last verdict.

Here: the phases of a run. start, faults, heal, recover, read-back, end; safety is judged under faults, then everything
is healed, progress is demanded, and everything is read back by fresh clients. Not here: any single phase's detail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from cluster.base.trace import PhaseBegan, Traced
from cluster.checks import ORACLES, WHITE_BOX, Evidence, Panel
from cluster.lab import LAB, Target
from cluster.lab.fault_table import FaultTable
from cluster.lab.quantities import US_PER_SECOND
from cluster.report import CheckResult, ClusterView, RunResult, verdict_of
from cluster.scenario.adversities import Adversities
from cluster.scenario.contracts import (
    anomalies_of,
    check_contract,
    check_invariants,
    setting_of,
    story_of,
    weigh_trace,
)
from cluster.scenario.errors import ScenarioError
from cluster.scenario.experiment import Lab
from cluster.scenario.expressions import Scope, Vocabulary
from cluster.scenario.observation import Observer
from cluster.scenario.plan import Plan, PlannedCheck
from cluster.scenario.read_back import ReadBack
from cluster.scenario.schedule import Schedule
from cluster.scenario.step_order import unfired_steps
from cluster.scenario.step_planner import StepPlanner
from cluster.scenario.verdicts import Judge
from cluster.scenario.watches import Watch
from cluster.scenario.workloads import Workloads

SAMPLE_S = 0.1
"""How often a rate is looked at, in seconds of the target's time."""

FINISH_S = 60.0
"""How long clients may take to learn what became of their last records."""

ALWAYS_JUDGED = ("no-lost-acks", "no-duplicates")
"""Oracles that count in every run, whether or not a check asks for them."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run leaves: its result and its trace."""

    result: RunResult
    trace: Sequence[Traced]


async def run_plan(plan: Plan, target: Target, seed: int, replay: str) -> Run:
    """Run a plan on a target that is not started. The target is closed in the end, whatever happens.

    Raises LabError when the cluster cannot be started or broken as the plan wants.
    """
    runner = _Runner(plan, target, seed, replay)
    try:
        return await runner.run()
    finally:
        await target.close()


class _Runner:
    def __init__(self, plan: Plan, target: Target, seed: int, replay: str) -> None:
        self._plan = plan
        self._target = target
        self._seed = seed
        self._replay = replay
        names = [check.oracle for check in plan.checks if check.oracle is not None]
        judged = dict.fromkeys((*WHITE_BOX, *names, *ALWAYS_JUDGED))
        self._panel = Panel((ORACLES[name]() for name in judged), setting_of(plan))
        self._oracles = self._panel.oracles
        self._watches = {
            check.id: Watch(check) for check in plan.checks if check.expression is not None and check.kind != "finally"
        }
        spec = plan.cluster
        view = ClusterView(
            node_ids=spec.node_ids,
            brokers=[broker.name for broker in spec.brokers],
            controllers=spec.controllers,
            clients=tuple(plan.clients),
            racks={broker.name: broker.rack for broker in spec.brokers if broker.rack},
            passing=[step.id for step in plan.steps if step.verb == "produce"],
        )
        self._bindings: dict[str, tuple[str, ...]] = {}
        self._scope = Scope(view, self._bindings)
        self._observer = Observer(view, self._panel, self._watches.values(), self._scope)
        self._faults = FaultTable(target, tuple(plan.clients), Random(f"{seed}/damage"))
        self._checks = list(plan.checks)
        self._workloads = Workloads(target, dict(plan.clients), seed)
        self._read_back = ReadBack(target, self._observer)

    async def run(self) -> Run:
        self._target.subscribe(self._observer.on_event)
        self._phase("start")
        await self._target.start()
        await self._target.settle()
        try:
            await self._break_it()
        except BaseException:
            await self._faults.let_go()
            raise
        self._phase("heal")
        self._workloads.stop_sending()
        await self._faults.heal_all()
        self._phase("recover")
        ailment = await self._read_back.recover()
        await self._workloads.finish(FINISH_S)
        if not ailment:
            # What clients had in flight came in since: wait until that is committed too.
            ailment = await self._read_back.recover() or await self._read_back.progress()
            ailment = ailment or await self._read_back.recover()  # the ISR may have shrunk for the last record's sake
        self._phase("read-back")
        is_read = not ailment and await self._read_back.read_everything()
        await self._target.settle()
        evidence = await self._gather(is_read)
        self._phase("end")
        await self._target.settle()
        return Run(self._judge(evidence, ailment), self._observer.trace)

    def _phase(self, name: str) -> None:
        self._target.emit(LAB, PhaseBegan(name))

    async def _break_it(self) -> None:
        """The phase of faults: workloads run, steps fire, conditions are sampled."""
        self._phase("faults")
        lab = self._lab()
        self._workloads.start()
        sampling = asyncio.create_task(self._sample())
        try:
            await (self._plan.script or Schedule(self._plan.steps, self._seed).play)(lab)
        finally:
            sampling.cancel()
            await lab.close()

    async def _sample(self) -> None:
        """Look at what changes with time alone, such as rates."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._observer.sample(self._target.now_us())

    def _lab(self) -> Lab:
        plan, view = self._plan, self._observer.view
        topics = {topic.name: topic.partitions for topic in plan.cluster.topics}
        racks = tuple(dict.fromkeys(view.racks.values()))
        words = Vocabulary(plan.cluster.node_names, tuple(plan.clients), topics, racks)
        return Lab(
            self._target,
            self._observer,
            self._faults,
            StepPlanner(words, [step.id for step in plan.steps], self._bindings),
            self._expect,
            bindings=self._bindings,
            seed=self._seed,
            duration_us=plan.scenario.duration,
        )

    def _expect(self, check: PlannedCheck) -> None:
        """Judge one more check. An invariant is shown what happened so far. Raises ScenarioError for an id in use."""
        if any(known.id == check.id for known in self._checks):
            raise ScenarioError([f"check {check.id}: the check id {check.id!r} is there twice"])
        self._checks.append(check)
        if check.oracle is not None and check.oracle not in self._oracles:
            self._observer.consult(ORACLES[check.oracle]())
        elif check.expression is not None and check.kind != "finally":
            watch = self._watches[check.id] = Watch(check)
            self._observer.watch(watch)

    async def _gather(self, is_read: bool) -> Evidence:
        if not is_read:
            return Evidence(self._target.now_us())
        return Evidence(
            time_us=self._target.now_us(),
            read_back=True,
            replicas=await self._read_back.replicas(),
            high_watermarks=self._read_back.high_watermarks(),
            stable_offsets=self._read_back.stable_offsets,
        )

    # --- judging -----------------------------------------------------------------------------------

    def _judge(self, evidence: Evidence, ailment: str) -> RunResult:
        self._panel.at_end(evidence)
        adversities = Adversities(self._observer.trace, self._panel.setting)
        judgements = weigh_trace(self._observer.trace, self._panel.setting, adversities)
        phases = self._observer.phases
        story = story_of(self._observer.trace, judgements, phases["faults"])
        judge = Judge(self._observer.moments, phases["faults"], phases["heal"], evidence.read_back)
        totals = {
            "lost": self._oracles["no-lost-acks"].count,
            "duplicates": self._oracles["no-duplicates"].count,
        }
        checks = tuple(self._judge_one(judge, check, totals) for check in self._checks)
        checks = (
            *checks,
            check_invariants(self._panel, adversities, phases["faults"]),
            check_contract(judgements, evidence.read_back),
            _recovery(ailment, evidence.read_back),
        )
        workloads = self._observer.view.workloads.values()
        return RunResult(
            scenario=self._plan.scenario.name,
            variant=self._plan.variant,
            target=self._target.kind,
            seed=self._seed,
            verdict=verdict_of(checks),
            checks=checks,
            sent=sum(workload.sent for workload in workloads),
            acked=sum(workload.acked for workload in workloads),
            failed=sum(workload.failed for workload in workloads),
            unknown=sum(workload.unknown for workload in workloads),
            consumed=sum(workload.consumed for workload in workloads),
            lost=totals["lost"],
            duplicates=totals["duplicates"],
            leaderless_s=round(self._observer.leader_gaps.total_us(phases["heal"]) / US_PER_SECOND, 3),
            story=story.text,
            replay=self._replay,
            virtual_s=round(self._target.now_us() / US_PER_SECOND, 3),
            anomalies=anomalies_of(judgements, story),
            unfired=unfired_steps(self._plan.steps, self._observer.moments),
        )

    def _judge_one(self, judge: Judge, check: PlannedCheck, totals: Mapping[str, int]) -> CheckResult:
        if check.oracle is not None:
            return judge.of_oracle(check, self._oracles[check.oracle])
        if check.kind == "finally":
            return judge.at_end(check, replace(self._scope), totals)
        return judge.of_watch(check, self._watches[check.id])


def _recovery(ailment: str, is_read: bool) -> CheckResult:
    """The check that no author can forget: healed, the cluster becomes whole, takes records and gives all back."""
    trouble = ailment or ("" if is_read else "not everything could be read back")
    return CheckResult(
        id="recovered",
        kind="finally",
        statement="the healed cluster is whole and can be read to its end",
        outcome="violated" if trouble else "holds",
        expected="holds",
        detail=trouble,
    )
