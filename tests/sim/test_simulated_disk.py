"""Disks: what a kill keeps, what a loss of power takes, and how they fail."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest
from toy_machines import simulate

from cluster.base.ports import Disk, DiskError
from cluster.runtime.sim import Machine, Process, Simulation

SIZE_BYTES = 1000


async def run_on(simulation: Simulation, main: Callable[[Disk], Awaitable[None]]) -> Machine:
    """Run a coroutine on machine `b1` to its end, leaving a process behind that can be killed."""
    done = asyncio.get_running_loop().create_future()

    async def run(process: Process) -> None:
        await main(process.machine.disk)
        done.set_result(None)
        await asyncio.sleep(1e9)

    simulation.run_process("b1", run)
    await done
    return simulation.machine("b1")


async def write_two_halves(disk: Disk) -> None:
    """Append SIZE_BYTES, sync, append as many again."""
    disk.append("log/0.log", [b"s" * SIZE_BYTES])
    await disk.sync("log/0.log")
    disk.append("log/0.log", [b"u" * SIZE_BYTES])


def test_a_kill_keeps_what_was_written() -> None:
    async def main(simulation: Simulation) -> int:
        machine = await run_on(simulation, write_two_halves)
        machine.kill()
        return machine.disk.size("log/0.log")

    assert simulate(main) == 2 * SIZE_BYTES


def test_a_loss_of_power_keeps_what_was_synced_and_tears_the_rest_anywhere() -> None:
    async def main(simulation: Simulation) -> bytes:
        machine = await run_on(simulation, write_two_halves)
        machine.power_off()
        return machine.disk.read("log/0.log", 0, 10 * SIZE_BYTES)

    contents = [simulate(main, seed) for seed in range(40)]
    assert all(content[:SIZE_BYTES] == b"s" * SIZE_BYTES for content in contents)
    lengths = [len(content.rstrip(b"\0")) - SIZE_BYTES for content in contents]
    assert all(0 <= length <= SIZE_BYTES for length in lengths)
    assert len(dict.fromkeys(lengths)) > 30, "the cut is at any byte"
    assert 0 < sum(content.endswith(b"\0") for content in contents) < 20, "sometimes a tail of zeros stays"


def test_old_writes_reach_the_disk_by_themselves() -> None:
    async def main(simulation: Simulation) -> int:
        async def write(disk: Disk) -> None:
            disk.append("old", [b"x" * SIZE_BYTES])
            await asyncio.sleep(40)
            disk.append("old", [b"y" * SIZE_BYTES])

        machine = await run_on(simulation, write)
        machine.power_off()
        return machine.disk.size("old")

    sizes = [simulate(main, seed) for seed in range(20)]
    assert all(SIZE_BYTES <= size <= 2 * SIZE_BYTES for size in sizes)
    assert any(size < 2 * SIZE_BYTES for size in sizes)


def test_a_sync_covers_what_was_written_before_it_began() -> None:
    async def main(simulation: Simulation) -> int:
        async def write(disk: Disk) -> None:
            disk.append("a", [b"x" * SIZE_BYTES])
            sync = asyncio.create_task(disk.sync("a"))
            await asyncio.sleep(0)
            disk.append("a", [b"y" * SIZE_BYTES])
            await sync

        machine = await run_on(simulation, write)
        machine.power_off()
        return machine.disk.size("a")

    sizes = [simulate(main, seed) for seed in range(20)]
    assert min(sizes) < SIZE_BYTES * 1.5
    assert all(size >= SIZE_BYTES for size in sizes)


def test_a_sync_does_not_make_durable_what_was_cut_and_written_again_meanwhile() -> None:
    async def main(simulation: Simulation) -> int:
        async def write(disk: Disk) -> None:
            disk.append("a", [b"x" * SIZE_BYTES])
            sync = asyncio.create_task(disk.sync("a"))
            await asyncio.sleep(0)
            disk.truncate("a", 10)
            disk.append("a", [b"y" * SIZE_BYTES])
            await sync

        machine = await run_on(simulation, write)
        machine.power_off()
        return machine.disk.size("a")

    assert min(simulate(main, seed) for seed in range(40)) < 100


def test_the_sync_of_a_dead_process_never_ends() -> None:
    async def main(simulation: Simulation) -> list[str]:
        ends: list[str] = []

        async def run(process: Process) -> None:
            process.machine.disk.append("a", [b"x"])
            try:
                await process.machine.disk.sync("a")
                ends.append("synced")
            finally:
                ends.append("ended")

        simulation.run_process("b1", run)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        simulation.machine("b1").power_off()
        await asyncio.sleep(10)
        return list(ends)

    assert simulate(main) == []


def test_a_sync_takes_up_to_two_milliseconds_and_more_on_a_slow_disk() -> None:
    async def main(simulation: Simulation) -> list[float]:
        loop = asyncio.get_running_loop()
        times = []

        async def write(disk: Disk) -> None:
            disk.append("a", [b"x"])
            for delay_ms in (0.0, 500.0):
                simulation.machine("b1").disk.sync_delay_ms = delay_ms
                begin = loop.time()
                await disk.sync("a")
                times.append((loop.time() - begin) * 1000)

        await run_on(simulation, write)
        return times

    quick, slow = simulate(main)
    assert 0.2 <= quick <= 2.01
    assert 500.2 <= slow <= 502.01


def test_replacing_a_file_is_durable_at_once() -> None:
    async def main(simulation: Simulation) -> bytes:
        async def write(disk: Disk) -> None:
            disk.replace("vote", b"term 1")
            disk.replace("vote", b"term 2")

        machine = await run_on(simulation, write)
        machine.power_off()
        return machine.disk.read("vote", 0, 100)

    assert simulate(main) == b"term 2"


def test_a_full_disk_takes_what_fits_and_says_so() -> None:
    async def main(simulation: Simulation) -> None:
        async def write(disk: Disk) -> None:
            simulation.machine("b1").disk.capacity_bytes = 1500
            disk.append("a", [bytes(1000)])
            with pytest.raises(DiskError) as caught:
                disk.append("a", [bytes(1000)])
            assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "a")
            assert disk.size("a") == 1500
            disk.truncate("a", 100)
            disk.append("a", [bytes(1000)])
            disk.delete("a")
            disk.append("b", [bytes(1500)])

        await run_on(simulation, write)

    simulate(main)


def test_names_are_files_and_directories() -> None:
    async def main(simulation: Simulation) -> None:
        async def write(disk: Disk) -> None:
            disk.append("orders-0/0.log", [b"abc", b"def"])
            disk.append("orders-0/0.index", [b"i"])
            disk.append("orders-1/0.log", [b""])
            disk.append("meta", [b"m"])
            assert disk.list("") == ["meta", "orders-0", "orders-1"]
            assert disk.list("orders-0") == ["0.index", "0.log"]
            assert disk.read("orders-0/0.log", 2, 3) == b"cde"
            assert disk.exists("orders-0")
            assert not disk.exists("orders")
            disk.rename("orders-0", "orders-0.delete")
            assert disk.list("orders-0.delete") == ["0.index", "0.log"]
            disk.delete("orders-0.delete")
            assert disk.list("") == ["meta", "orders-1"]
            assert (disk.size("missing"), disk.list("missing")) == (0, [])
            disk.delete("missing")
            for call in (lambda: disk.read("missing", 0, 1), lambda: disk.truncate("meta", 2)):
                with pytest.raises(DiskError):
                    call()

        await run_on(simulation, write)

    simulate(main)
