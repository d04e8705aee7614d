"""Byte streams over simulated links: order, cuts, heals, resets, silence, back-pressure."""

from __future__ import annotations

import asyncio

import pytest
from toy_machines import ECHO_PORT, as_machine, cut, echo, simulate

from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Process, Simulation

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(simulation: Simulation) -> Streams:
    """Start the echo on `a` and connect to it from `p`, which stays alive."""
    simulation.run_process("a", echo)
    ready: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

    async def client(_: Process) -> None:
        ready.set_result(await asyncio.open_connection("a", ECHO_PORT))
        await asyncio.sleep(1e9)

    await asyncio.sleep(0.1)
    simulation.run_process("p", client)
    return await ready


async def answer(streams: Streams, line: bytes, patience_s: float = 5.0) -> bytes | None:
    """Send a line and return the echo; None when none comes in time."""
    reader, writer = streams
    writer.write(line)
    return await wait_line(reader, patience_s)


async def wait_line(reader: asyncio.StreamReader, patience_s: float = 5.0) -> bytes | None:
    """Return the next line; None when none comes in time."""
    try:
        async with asyncio.timeout(patience_s):
            return await reader.readline()
    except TimeoutError:
        return None


def test_lines_come_back_in_order_however_they_are_split() -> None:
    async def main(simulation: Simulation) -> bytes:
        reader, writer = await connected(simulation)
        for number in range(500):
            writer.write(b"line %d\n" % number)
        return b"".join([await reader.readline() for _ in range(500)])

    assert simulate(main) == b"".join(b"LINE %d\n" % number for number in range(500))


@pytest.mark.parametrize(("source", "target"), [("p", "a"), ("a", "p")])
def test_a_cut_of_either_direction_stops_the_conversation_and_a_heal_delivers_it(source: str, target: str) -> None:
    async def main(simulation: Simulation) -> tuple[bytes | None, ...]:
        streams = await connected(simulation)
        first = await answer(streams, b"one\n")
        simulation.network.set_rules("cut", [cut(source, target)])
        second = await answer(streams, b"two\n", 60)
        third = await answer(streams, b"three\n", 1)
        simulation.network.clear_rules("cut")
        healed = await wait_line(streams[0], 1), await wait_line(streams[0], 1)
        return first, second, third, *healed

    assert simulate(main) == (b"ONE\n", None, None, b"TWO\n", b"THREE\n")


def test_a_cut_of_one_direction_lets_the_other_pass() -> None:
    async def main(simulation: Simulation) -> tuple[list[bytes], list[bytes]]:
        got: dict[str, list[bytes]] = {"a": [], "b": []}

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
            async def listen() -> None:
                while line := await reader.readline():
                    got[name].append(line)

            listener = asyncio.create_task(listen())
            for number in range(5):
                writer.write(b"%d\n" % number)
                await asyncio.sleep(1)
            await listener

        async def server(_: Process) -> None:
            await asyncio.start_server(lambda reader, writer: talk(reader, writer, "a"), "a", 1)
            await asyncio.sleep(1e9)

        async def client(_: Process) -> None:
            await talk(*await asyncio.open_connection("a", 1), "b")

        simulation.run_process("a", server)
        await asyncio.sleep(0.1)
        simulation.run_process("b", client)
        await asyncio.sleep(1.5)
        simulation.network.set_rules("cut", [cut("a", "b")])
        await asyncio.sleep(10)
        return got["a"], got["b"]

    at_a, at_b = simulate(main)
    assert (len(at_a), len(at_b)) == (5, 2)


def test_a_rule_for_an_rpc_method_leaves_byte_streams_alone() -> None:
    async def main(simulation: Simulation) -> bytes | None:
        streams = await connected(simulation)
        simulation.network.set_rules("cut", [cut("p", "a", "Fetch")])
        return await answer(streams, b"x\n")

    assert simulate(main) == b"X\n"


def test_latency_and_loss_make_answers_late_but_lose_none() -> None:
    async def main(simulation: Simulation) -> tuple[float, float, int]:
        streams = await connected(simulation)
        loop = asyncio.get_running_loop()
        simulation.network.set_rules("slow", [LinkRule("p", "a", latency_ms=300)])
        begin = loop.time()
        await answer(streams, b"x\n")
        slow_s = loop.time() - begin
        simulation.network.set_rules("slow", [LinkRule("p", "a", drop_rate=0.5)])
        begin = loop.time()
        answers = [await answer(streams, b"x\n", 60) for _ in range(50)]
        return slow_s, loop.time() - begin, answers.count(b"X\n")

    slow_s, lossy_s, answered = simulate(main)
    assert 0.3 < slow_s < 0.31
    assert answered == 50
    assert lossy_s > 2.0  # 50 messages, half of them lost at least once: 0.2 s each


def test_what_was_lost_on_a_bad_link_comes_soon_after_it_is_good_again() -> None:
    async def main(simulation: Simulation) -> tuple[float, bytes | None, bytes | None]:
        streams = await connected(simulation)
        loop = asyncio.get_running_loop()
        simulation.network.set_rules("bad", [LinkRule("p", "a", drop_rate=0.999)])
        begin = loop.time()
        first = await answer(streams, b"x\n", 5)
        streams[1].write(b"y\n")
        simulation.network.clear_rules("bad")
        second = await wait_line(streams[0], 100)
        return loop.time() - begin, second, first or await wait_line(streams[0], 1)

    late_s, first, second = simulate(main)
    assert (first, second) == (b"X\n", b"Y\n"), "and in order"
    assert late_s < 6.5, "the retransmission after the fifth second, at 6.2 s, is the first that the good link carries"


def test_nobody_listening_refuses_and_no_power_hangs() -> None:
    async def main(simulation: Simulation) -> str:
        simulation.machine("a").start()

        async def client(_: Process) -> str:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("a", ECHO_PORT)
            simulation.machine("a").power_off()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(100):
                    await asyncio.open_connection("a", ECHO_PORT)
            return "hung"

        return await as_machine(simulation, "p", client)

    assert simulate(main) == "hung"


def test_a_kill_resets_its_peers() -> None:
    async def main(simulation: Simulation) -> float:
        reader, _ = await connected(simulation)
        simulation.machine("a").kill()
        begin = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        return asyncio.get_running_loop().time() - begin

    assert simulate(main) < 0.001


def test_a_loss_of_power_is_silence_until_the_rebooted_machine_resets_what_it_does_not_know() -> None:
    async def main(simulation: Simulation) -> None:
        streams = await connected(simulation)
        simulation.machine("a").power_off()
        assert await answer(streams, b"x\n", 60) is None
        simulation.run_process("a", echo)
        with pytest.raises(ConnectionResetError):
            await wait_line(streams[0])

    simulate(main)


def test_an_idle_peer_learns_nothing_of_a_reboot_until_it_speaks() -> None:
    async def main(simulation: Simulation) -> None:
        streams = await connected(simulation)
        simulation.machine("a").power_off()
        simulation.run_process("a", echo)
        assert await wait_line(streams[0], 100) is None
        with pytest.raises(ConnectionResetError):
            await answer(streams, b"x\n")

    simulate(main)


def test_a_paused_machine_takes_bytes_and_answers_after_it_is_resumed() -> None:
    async def main(simulation: Simulation) -> tuple[bytes | None, bytes | None]:
        streams = await connected(simulation)
        process = simulation.machine("a").process
        assert process is not None
        process.pause()
        while_paused = await answer(streams, b"x\n", 30)
        process.resume()
        return while_paused, await wait_line(streams[0])

    assert simulate(main) == (None, b"X\n")


def test_a_reader_that_does_not_read_makes_the_writer_wait() -> None:
    size_bytes = 1_000_000

    async def main(simulation: Simulation) -> tuple[int, bool, int]:
        received: list[int] = []

        async def lazy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(10)
            received.append(len(await reader.readexactly(size_bytes)))

        async def server(_: Process) -> None:
            await asyncio.start_server(lazy, "a", 1)
            await asyncio.sleep(1e9)

        written = 0

        async def client(_: Process) -> None:
            nonlocal written
            _, writer = await asyncio.open_connection("a", 1)
            while written < size_bytes:
                writer.write(bytes(10_000))
                await writer.drain()
                written += 10_000
            await asyncio.sleep(1e9)

        simulation.run_process("a", server)
        await asyncio.sleep(0.1)
        simulation.run_process("p", client)
        await asyncio.sleep(5)
        early = written
        await asyncio.sleep(10)
        return early, written == size_bytes, sum(received)

    early, is_all_written, received_bytes = simulate(main)
    assert early < size_bytes / 2
    assert is_all_written
    assert received_bytes == size_bytes
