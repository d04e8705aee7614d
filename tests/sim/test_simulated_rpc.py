"""Generated stubs and servicers over simulated links: four kinds of call, deadlines, cancellation, lost machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
from toy_machines import RPC_PORT, ToyServices, cut, run_simulation, simulate, start_services

from cluster.base.ids import NodeId
from cluster.rpc import (
    controller_pb2,
    controller_pb2_grpc,
    raft_pb2,
    raft_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
)
from cluster.runtime.sim import Process, Simulation

_T = TypeVar("_T")
Code = grpc.StatusCode


def with_channel(
    main: Callable[[Simulation, ToyServices, Any], Awaitable[_T]],
) -> Callable[[Simulation], Awaitable[_T]]:
    """Wrap a scenario: services on `a`, a channel to them from `p`, whose machine stays alive."""

    async def run(simulation: Simulation) -> _T:
        services = start_services(simulation, "a")
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def client(process: Process) -> None:
            opened.set_result(simulation.world(process).channel(NodeId(1), "a", RPC_PORT))
            await asyncio.sleep(1e9)

        await asyncio.sleep(0.1)
        simulation.run_process("p", client)
        return await main(simulation, services, await opened)

    return run


def ask(channel: Any, number: int, timeout: float | None = None) -> Any:
    """Call the unary method."""
    stub = controller_pb2_grpc.ControllerStub(channel)
    return stub.AllocateProducerIds(controller_pb2.AllocateProducerIdsRequest(broker_id=number), timeout=timeout)


async def code_of(call: Any) -> grpc.StatusCode:
    """Wait for a call that fails, and return its code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


def test_all_four_kinds_of_call_work_with_generated_code() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> None:
        assert (await ask(channel, 7)).producer_id_start == 7
        updates = controller_pb2_grpc.ControllerStub(channel).FollowMetadata(controller_pb2.FollowMetadataRequest())
        assert [update.high_watermark async for update in updates] == [0, 1, 2]
        delivery = raft_pb2_grpc.RaftStub(channel).Deliver()
        for _ in range(3):
            await delivery.write(raft_pb2.RaftMessage())
        await delivery.done_writing()
        assert await delivery == raft_pb2.DeliverReply()
        assert services.requests_taken == 3
        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch()
        for number in range(3):
            await fetches.write(replication_pb2.FetchRequest(replica_id=number))
            assert (await fetches.read()).error_code == number
        await fetches.done_writing()
        assert await fetches.read() is grpc.aio.EOF
        assert await fetches.code() is Code.OK

    simulate(with_channel(main))


def test_requests_may_come_from_an_iterator() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> list[int]:
        async def requests() -> Any:
            for number in (4, 5):
                yield replication_pb2.FetchRequest(replica_id=number)

        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch(requests())
        return [response.error_code async for response in fetches]

    assert simulate(with_channel(main)) == [4, 5]


def test_an_abort_and_a_bug_reach_the_client_as_statuses() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, object]:
        return await code_of(ask(channel, 1)), await code_of(ask(channel, 2))

    result = run_simulation(with_channel(main), 1)
    assert result.value == (Code.FAILED_PRECONDITION, Code.UNKNOWN)
    assert ["a bug" in error for error in result.errors] == [True], "a handler's bug is told at the end of the run"


def test_a_deadline_ends_the_call_on_both_sides() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, float, list[str]]:
        begin = asyncio.get_running_loop().time()
        code = await code_of(ask(channel, 0, timeout=3))
        passed = asyncio.get_running_loop().time() - begin
        await asyncio.sleep(1)
        return code, passed, list(services.events)

    code, passed, events = simulate(with_channel(main))
    assert code is Code.DEADLINE_EXCEEDED
    assert passed == pytest.approx(3, abs=0.001)
    assert events == ["begin 0", "end 0"]


def test_cancelling_the_waiter_cancels_the_handler() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[list[str], list[str]]:
        async def wait() -> None:
            await ask(channel, 0)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        before = list(services.events)
        task.cancel()
        await asyncio.sleep(1)
        assert task.cancelled()
        return before, list(services.events)

    assert simulate(with_channel(main)) == (["begin 0"], ["begin 0", "end 0"])


@pytest.mark.parametrize("way", ["cancel", "kill the client", "close the channel"])
def test_the_end_of_a_stream_at_the_client_ends_its_handler(way: str) -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> list[str]:
        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch()
        await fetches.write(replication_pb2.FetchRequest(replica_id=1))
        await fetches.read()
        assert services.events == ["fetch began"]
        if way == "cancel":
            fetches.cancel()
        elif way == "close the channel":
            await channel.close()
        else:
            simulation.machine("p").kill()
        await asyncio.sleep(1)
        return list(services.events)

    assert simulate(with_channel(main)) == ["fetch began", "fetch ended"]


def test_a_client_without_power_leaves_its_handler_waiting() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> list[str]:
        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch()
        await fetches.write(replication_pb2.FetchRequest(replica_id=1))
        await fetches.read()
        simulation.machine("p").power_off()
        await asyncio.sleep(100)
        return list(services.events)

    assert simulate(with_channel(main)) == ["fetch began"]


def test_a_killed_server_makes_calls_unavailable_at_once_and_a_restarted_one_serves_again() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, ...]:
        call = ask(channel, 0)
        await asyncio.sleep(1)
        simulation.machine("a").kill()
        begin = asyncio.get_running_loop().time()
        running, refused = await code_of(call), await code_of(ask(channel, 7))
        passed = asyncio.get_running_loop().time() - begin
        start_services(simulation, "a")
        await asyncio.sleep(5)
        return running, refused, passed < 0.01, (await ask(channel, 7)).producer_id_start

    assert simulate(with_channel(main)) == (Code.UNAVAILABLE, Code.UNAVAILABLE, True, 7)


def test_a_server_without_power_hangs_calls_until_their_deadline() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, object]:
        await ask(channel, 7)
        simulation.machine("a").power_off()
        known = await code_of(ask(channel, 7, timeout=50))
        other = simulation.world(simulation.machine("p").process).channel(NodeId(1), "a", RPC_PORT)  # type: ignore[arg-type]  # it is alive
        return known, await code_of(ask(other, 7, timeout=3))

    assert simulate(with_channel(main)) == (Code.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED)


def test_a_call_can_wait_until_the_server_is_there() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> int:
        simulation.machine("a").kill()
        stub = controller_pb2_grpc.ControllerStub(channel)
        call = stub.AllocateProducerIds(controller_pb2.AllocateProducerIdsRequest(broker_id=7), wait_for_ready=True)
        await asyncio.sleep(10)
        assert not call.done()
        start_services(simulation, "a")
        reply = await call
        return int(reply.producer_id_start)

    assert simulate(with_channel(main)) == 7


@pytest.mark.parametrize(("source", "target"), [("p", "a"), ("a", "p")])
def test_a_cut_hangs_a_call_and_a_heal_lets_it_end(source: str, target: str) -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, bool, int]:
        await ask(channel, 7)
        simulation.network.set_rules("cut", [cut(source, target)])
        code = await code_of(ask(channel, 7, timeout=3))
        call = ask(channel, 8)
        await asyncio.sleep(100)
        was_done = call.done()
        simulation.network.clear_rules("cut")
        async with asyncio.timeout(1):
            return code, was_done, (await call).producer_id_start

    assert simulate(with_channel(main)) == (Code.DEADLINE_EXCEEDED, False, 8)


def test_a_cut_of_one_method_leaves_the_others_alone() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[object, int]:
        simulation.network.set_rules("cut", [cut("a", "p", "Fetch")])
        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch(timeout=5)
        await fetches.write(replication_pb2.FetchRequest(replica_id=1))
        code = await code_of(fetches.read())
        return code, (await ask(channel, 7)).producer_id_start

    assert simulate(with_channel(main)) == (Code.DEADLINE_EXCEEDED, 7)


def test_a_handler_that_does_not_read_makes_the_writer_wait() -> None:
    async def main(simulation: Simulation, services: ToyServices, channel: Any) -> tuple[int, int, int]:
        delivery = raft_pb2_grpc.RaftStub(channel).Deliver()
        message = raft_pb2.RaftMessage(
            append_entries=raft_pb2.AppendEntries(entries=[raft_pb2.Entry(data=bytes(20_000))])
        )
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(20):
                await delivery.write(message)
                written += 1
            await delivery.done_writing()

        task = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        early = written
        await task
        await delivery
        return early, written, services.requests_taken

    early, written, taken = simulate(with_channel(main))
    assert early < 10
    assert (written, taken) == (20, 20)


def test_stopping_a_server_ends_its_calls_and_its_port() -> None:
    async def main(simulation: Simulation) -> tuple[object, object]:
        services = ToyServices()

        async def server(process: Process) -> None:
            def register(server: Any) -> None:
                controller_pb2_grpc.add_ControllerServicer_to_server(services, server)

            rpc = await simulation.world(process).serve_rpc("a", RPC_PORT, register)
            await asyncio.sleep(2)
            await rpc.stop(1.0)
            await asyncio.sleep(1e9)

        simulation.run_process("a", server)
        await asyncio.sleep(0.1)
        lab = simulation.machine("lab").process
        assert lab is not None
        channel = simulation.world(lab).channel(NodeId(1), "a", RPC_PORT)
        running = await code_of(ask(channel, 0))
        assert services.events == ["begin 0", "end 0"]
        return running, await code_of(ask(channel, 7))

    running, refused = simulate(main)
    assert running in (Code.CANCELLED, Code.UNAVAILABLE)
    assert refused is Code.UNAVAILABLE
