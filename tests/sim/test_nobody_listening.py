"""When nobody listens any more, nodes are told so: they do not even make their events."""

from __future__ import annotations

import asyncio

from cluster.base.trace import NodeReady
from cluster.runtime.sim import Simulation, run_simulation
from cluster.runtime.sim.machines import Process


def test_tracers_are_off_once_nobody_listens() -> None:
    async def main(simulation: Simulation) -> list[bool]:
        before = simulation.world(simulation.run_process("b1", idle)).tracer
        was_on = before.enabled
        before.emit(NodeReady(1))
        simulation.stop_tracing()
        after = simulation.world(simulation.run_process("b2", idle)).tracer
        before.emit(NodeReady(2))
        after.emit(NodeReady(3))
        return [was_on, before.enabled, after.enabled]

    async def idle(_: Process) -> None:
        await asyncio.sleep(1)

    run = run_simulation(main, 1)
    assert run.value == [True, False, False]
    assert [traced.event for traced in run.trace] == [NodeReady(1)]
