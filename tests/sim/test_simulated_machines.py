"""Machines that are paused, killed and without power: who runs, and what nobody runs any more."""

from __future__ import annotations

import asyncio

import pytest
from toy_machines import simulate

from cluster.runtime.sim import Process, ProcessState, Simulation


async def tick(process: Process, ticks: list[float]) -> None:
    """Note the time each second; note the end, if the end is run."""
    try:
        while True:
            ticks.append(round(asyncio.get_running_loop().time() - 1024, 2))
            await asyncio.sleep(1)
    finally:
        ticks.append(-1.0)


@pytest.mark.parametrize("end", ["kill", "power_off"])
def test_the_dead_run_nothing_not_even_finally_blocks(end: str) -> None:
    async def main(simulation: Simulation) -> list[float]:
        ticks: list[float] = []
        simulation.run_process("b1", lambda process: tick(process, ticks))
        await asyncio.sleep(2.5)
        getattr(simulation.machine("b1"), end)()
        await asyncio.sleep(10)
        return list(ticks)

    assert simulate(main) == [0, 1, 2]


def test_the_paused_run_nothing_until_they_are_resumed() -> None:
    async def main(simulation: Simulation) -> list[float]:
        ticks: list[float] = []
        process = simulation.run_process("b1", lambda process: tick(process, ticks))
        await asyncio.sleep(1.5)
        process.pause()
        await asyncio.sleep(10)
        assert ticks == [0, 1]
        process.resume()
        await asyncio.sleep(1.2)
        return list(ticks)

    assert simulate(main) == [0, 1, 11.5, 12.5]


def test_a_paused_process_can_be_killed_and_never_wakes() -> None:
    async def main(simulation: Simulation) -> list[float]:
        ticks: list[float] = []
        process = simulation.run_process("b1", lambda process: tick(process, ticks))
        await asyncio.sleep(1.5)
        process.pause()
        await asyncio.sleep(1)
        simulation.machine("b1").kill()
        assert process.state is ProcessState.DEAD
        await asyncio.sleep(10)
        return list(ticks)

    assert simulate(main) == [0, 1]


def test_a_machine_runs_a_new_process_after_the_old_one_died() -> None:
    async def main(simulation: Simulation) -> tuple[list[float], list[float]]:
        old: list[float] = []
        new: list[float] = []
        simulation.run_process("b1", lambda process: tick(process, old))
        await asyncio.sleep(1.5)
        simulation.machine("b1").kill()
        simulation.run_process("b1", lambda process: tick(process, new))
        await asyncio.sleep(1.2)
        return list(old), list(new)

    assert simulate(main) == ([0, 1], [1.5, 2.5])


def test_a_process_that_returns_leaves_its_machine_free() -> None:
    async def brief(_: Process) -> None:
        await asyncio.sleep(1)

    async def main(simulation: Simulation) -> tuple[bool, bool]:
        simulation.run_process("b1", brief)
        before = simulation.machine("b1").is_alive
        await asyncio.sleep(2)
        return before, simulation.machine("b1").is_alive

    assert simulate(main) == (True, False)


def test_siblings_are_cancelled_in_an_order_that_repeats() -> None:
    """A task group keeps its tasks in a set, and sets go by hashes, which are addresses elsewhere."""

    async def main(simulation: Simulation) -> list[int]:
        order: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                order.append(number)

        async def fails() -> None:
            await asyncio.sleep(1)
            raise ValueError

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(30):
                    group.create_task(child(number))
                group.create_task(fails())
        return order

    ballast = [object() for _ in range(1000)]  # so that addresses differ between the runs
    first = simulate(main)
    del ballast[::3]
    assert sorted(first) == list(range(30))
    assert first == simulate(main)
