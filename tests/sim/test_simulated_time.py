"""Virtual time: it passes, it jumps, it repeats, and a run that hangs says where."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import pytest
from toy_machines import simulate

from cluster.runtime.sim import (
    SimDeadlock,
    SimEscape,
    SimLivelock,
    SimProcessFailed,
    SimTimeExhausted,
    Simulation,
    run_simulation,
)


def test_a_long_sleep_takes_no_real_time_and_exactly_its_virtual_time() -> None:
    async def main(simulation: Simulation) -> float:
        begin = time.monotonic()
        await asyncio.sleep(86_400)
        return time.monotonic() - begin

    assert simulate(main, virtual_time_limit_s=1e6) == 86_400


def test_a_timer_fires_later_than_it_was_set_however_small_its_delay() -> None:
    """Client code computes delays of 1e-18 s at a frozen clock, and would spin."""

    async def main(simulation: Simulation) -> list[float]:
        times = []
        for delay in (0.0, 1e-18, -1.0):
            begin = time.monotonic()
            fired = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(delay, fired.set_result, None)
            await fired
            times.append(time.monotonic() - begin)
        return times

    assert all(passed > 0 for passed in simulate(main))


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set() -> None:
    async def main(simulation: Simulation) -> list[int]:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        at = loop.time() + 1
        for number in (3, 1, 2):
            loop.call_at(at, fired.append, number)
        loop.call_at(at, fired.append, 9).cancel()
        await asyncio.sleep(2)
        return fired

    assert simulate(main) == [3, 1, 2]


def test_thousands_of_cancelled_timers_disturb_no_other() -> None:
    async def main(simulation: Simulation) -> float:
        loop = asyncio.get_running_loop()
        kept = loop.create_future()
        loop.call_later(50, kept.set_result, None)
        for _ in range(5000):
            loop.call_later(40, kept.cancel).cancel()
            await asyncio.sleep(0.001)
        await kept
        return loop.time()

    assert simulate(main) == pytest.approx(1024 + 50, abs=0.01)


def test_a_deadlock_reports_every_await_chain_by_machine() -> None:
    async def stuck_somewhere() -> None:
        await asyncio.get_running_loop().create_future()

    async def main(simulation: Simulation) -> None:
        simulation.run_process("b1", lambda _: stuck_somewhere())
        await stuck_somewhere()

    with pytest.raises(SimDeadlock) as caught:
        run_simulation(main, 1)
    report = str(caught.value)
    assert "b1 (running):" in report
    assert "lab (running):" in report
    assert report.count("stuck_somewhere > a future") == 2
    assert "test_simulated_time.py" in report


def test_a_livelock_is_noticed() -> None:
    async def main(simulation: Simulation) -> None:
        while True:  # noqa: ASYNC110  # the point of the test
            await asyncio.sleep(0)

    with pytest.raises(SimLivelock, match="lab/main"):
        run_simulation(main, 1)


@pytest.mark.parametrize("budget", [{"virtual_time_limit_s": 10.0}, {"steps_limit": 50}])
def test_an_exhausted_budget_reports_who_was_still_at_work(budget: Any) -> None:
    async def main(simulation: Simulation) -> None:
        while True:  # noqa: ASYNC110  # a service without end
            await asyncio.sleep(1)

    with pytest.raises(SimTimeExhausted, match=r"budget(.|\n)*lab/main"):
        run_simulation(main, 1, **budget)


def test_a_process_that_the_run_depends_on_may_not_fail() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("broken")

    async def main(simulation: Simulation) -> None:
        simulation.run_process("b1", lambda _: fails())
        await asyncio.sleep(100)

    with pytest.raises(SimProcessFailed, match="b1 ended with ValueError") as caught:
        run_simulation(main, 1)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("is_failed", [True, False])
def test_an_ended_run_is_cleared_up_whatever_its_processes_say(is_failed: bool) -> None:
    """What is left of a run would end in the middle of a later one, by its destructors."""
    ended: list[str] = []

    async def works(name: str) -> None:
        try:
            await asyncio.sleep(50)
            raise ValueError(name)
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            raise TypeError("unable to go") from None
        finally:
            ended.append(name)

    async def main(simulation: Simulation) -> str:
        for name in ("b1", "b2", "b3"):
            simulation.run_process(name, lambda process: works(process.name))
        await asyncio.sleep(100 if is_failed else 1)
        return "as it should"

    if is_failed:
        with pytest.raises(SimProcessFailed, match="b1 ended with ValueError"):
            run_simulation(main, 1)
    else:
        assert run_simulation(main, 1).value == "as it should"
    assert sorted(ended) == ["b1", "b2", "b3"]


def test_reaching_for_the_real_world_is_refused() -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(SimEscape):
            time.sleep(0.001)  # noqa: ASYNC251  # it must not block
        with pytest.raises(SimEscape):
            socket.create_connection(("127.0.0.1", 1))
        caught: list[BaseException] = []

        def from_outside() -> None:
            try:
                simulation.loop.call_soon_threadsafe(print)
            except SimEscape as error:
                caught.append(error)

        thread = threading.Thread(target=from_outside)
        thread.start()
        thread.join()
        assert len(caught) == 1

    simulate(main)


def test_chance_and_clocks_come_from_the_seed_and_go_back_afterwards() -> None:
    async def main(simulation: Simulation) -> tuple[object, ...]:
        return time.time(), random.random(), os.urandom(4), uuid.uuid4(), uuid.uuid1(), socket.gethostname()

    before = (time.time, time.monotonic, os.urandom, os.getpid, socket.getaddrinfo, random.getstate())
    first, again, other = simulate(main, 1), simulate(main, 1), simulate(main, 2)
    assert first == again
    assert first[1:5] != other[1:5]
    assert before == (time.time, time.monotonic, os.urandom, os.getpid, socket.getaddrinfo, random.getstate())


def test_a_pool_runs_functions_inline_after_a_while() -> None:
    async def main(simulation: Simulation) -> tuple[str, bool]:
        begin = time.monotonic()
        name = await asyncio.to_thread(lambda: threading.current_thread().name)
        return name, time.monotonic() > begin

    assert simulate(main) == (threading.current_thread().name, True)
