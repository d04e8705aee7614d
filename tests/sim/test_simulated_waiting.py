"""`asyncio.wait` in a simulation answers what asyncio's own answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.runtime.sim import Simulation, run_simulation
from cluster.runtime.sim.waiting import wait

ASYNCIOS_OWN = asyncio.wait


async def _answers(waits: Any) -> list[object]:
    """Wait in every way that clients do; what was found done, by name, and when."""
    loop = asyncio.get_running_loop()
    slow, quick, never = (loop.create_future() for _ in range(3))
    names = {slow: "slow", quick: "quick", never: "never"}
    begun = loop.time()
    loop.call_at(begun + 1.0, quick.set_result, None)
    loop.call_at(begun + 2.0, slow.set_exception, ValueError("slow"))
    answers: list[object] = []
    for futures, options in (
        ({slow, quick}, {"return_when": asyncio.FIRST_COMPLETED}),
        ({slow, quick}, {"return_when": asyncio.FIRST_COMPLETED}),  # one is done already
        ([slow, never], {"return_when": asyncio.FIRST_COMPLETED, "timeout": 0.25}),
        ([slow], {"timeout": 0.5}),
        ([slow], {"timeout": 5.0}),
        ([slow, quick], {}),
        ([slow, never], {"return_when": asyncio.FIRST_EXCEPTION}),
    ):
        done, pending = await waits(futures, **options)
        found = sorted(names[one] for one in done), sorted(names[one] for one in pending)
        answers.append((*found, round(loop.time() - begun, 3)))
    return answers


def test_waiting_answers_as_asyncio_does() -> None:
    async def main(simulation: Simulation) -> tuple[list[object], list[object], bool]:
        return await _answers(wait), await _answers(ASYNCIOS_OWN), asyncio.wait is wait

    ours, theirs, is_in_place = run_simulation(main, seed=1).value
    assert ours == theirs
    assert ours[0] == (["quick"], ["slow"], 1.0)
    assert is_in_place
    assert asyncio.wait is ASYNCIOS_OWN, "put back at the end"


def test_who_gives_up_waiting_leaves_no_callback_behind() -> None:
    async def main(simulation: Simulation) -> object:
        future = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait([future]))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return future._callbacks

    assert not run_simulation(main, seed=1).value
