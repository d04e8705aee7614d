"""Where a plan can run: in the simulation, or on processes of this machine. One code path over both.

Here: building the target and measuring the wall clock around a run. Not here: the run (`runner`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import Literal, get_args

from cluster.lab.local_target import LocalTarget
from cluster.lab.quantities import US_PER_SECOND
from cluster.lab.sim_target import SimTarget, latency_of
from cluster.runtime.sim import Simulation, run_simulation
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.experiment import Lab
from cluster.scenario.plan import Plan
from cluster.scenario.planner import make_plan
from cluster.scenario.runner import Run, run_plan

World = Literal["sim", "local"]

AFTER_FAULTS_S_MAX = 1_200.0
"""Virtual seconds that starting, recovery and reading back may take together; beyond, the simulation gives up."""


def run_in(world: World, plan: Plan, seed: int, replay: str) -> Run:
    """Run a plan to its verdict. Raises ScenarioError when the scenario is not for that world, and LabError."""
    if world not in get_args(World):
        raise ScenarioError([f"there is no world {world!r}: a run is on {' or '.join(get_args(World))}"])
    only = plan.scenario.only
    if only and world not in only:
        raise ScenarioError([f"{plan.scenario.name} is for {' and '.join(only)} only, not for {world}"])
    return run_in_simulation(plan, seed, replay) if world == "sim" else run_on_processes(plan, seed, replay)


def run_story(document: Document, story: Callable[[Lab], Awaitable[None]], *, on: World = "sim", seed: int = 1) -> Run:
    """Run a program in place of a scenario's steps, on the cluster and with the clients that a document describes.

    The faults end when the program does; all else is as with a scenario: everything is healed, read back, judged.
    Raises ScenarioError for a mistake in the document, and what the program raises. What clients and nodes log about
    lost connections is told only to a program that has set its logging up.
    """
    for name in ("aiokafka", "cluster"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    return run_in(on, replace(make_plan(document), script=story), seed, f"seed {seed}")


def run_in_simulation(plan: Plan, seed: int, replay: str) -> Run:
    """Run in virtual time. Raises what the simulation raises: a node that died of a bug, a deadlock, a livelock."""

    async def main(simulation: Simulation) -> Run:
        return await run_plan(plan, SimTarget(simulation, plan.cluster), seed, replay)

    import_module("cluster.node.node")  # a run loads it when it needs it; the clock below is not about loading
    began_s = time.perf_counter()
    simulated = run_simulation(
        main,
        seed,
        virtual_time_limit_s=plan.scenario.duration / US_PER_SECOND + AFTER_FAULTS_S_MAX,
        latency=latency_of(plan.cluster),
        writeback_ms=plan.cluster.storage_writeback_ms,
    )
    result = replace(
        simulated.value.result,
        trace_hash=simulated.trace_hash,
        virtual_s=round(simulated.virtual_s, 3),
        wall_s=round(time.perf_counter() - began_s, 3),
    )
    return replace(simulated.value, result=result)


def run_on_processes(plan: Plan, seed: int, replay: str) -> Run:
    """Run on processes of this machine, in real time; nothing is left behind."""

    async def main() -> Run:
        return await run_plan(plan, LocalTarget(plan.cluster), seed, replay)

    began_s = time.perf_counter()
    run = asyncio.run(main())
    wall_s = round(time.perf_counter() - began_s, 3)
    return replace(run, result=replace(run.result, virtual_s=wall_s, wall_s=wall_s))
