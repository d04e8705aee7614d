"""Small programs for simulated machines: a line echo over TCP, and servicers for all four kinds of RPC.

They are to the simulation's tests what a broker is to the simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from cluster.rpc import (
    controller_pb2,
    controller_pb2_grpc,
    raft_pb2,
    raft_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
)
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Process, Simulation, run_simulation

ECHO_PORT = 9092
RPC_PORT = 9093
_T = TypeVar("_T")


def simulate(main: Callable[[Simulation], Awaitable[_T]], seed: int = 1, **options: Any) -> _T:
    """Run and return what the main coroutine returns; nothing may have failed on the way."""
    result = run_simulation(main, seed, **{"virtual_time_limit_s": 600.0, **options})
    assert result.errors == ()
    return result.value


def cut(source: str, target: str, *apis: str) -> LinkRule:
    """A rule that cuts one direction, for all traffic or for some RPC methods."""
    return LinkRule(source, target, cut=True, apis=apis)


async def echo(process: Process) -> None:
    """Send every line back in capitals."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line.upper())
        except ConnectionError:
            pass
        writer.close()

    await asyncio.start_server(serve, process.name, ECHO_PORT)
    await asyncio.sleep(1e9)


class ToyServices(
    controller_pb2_grpc.ControllerServicer, raft_pb2_grpc.RaftServicer, replication_pb2_grpc.ReplicationServicer
):
    """One method of each kind. `events` tells how handlers began and ended."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.requests_taken = 0

    async def AllocateProducerIds(self, request: Any, context: Any) -> Any:
        """Unary. Broker 0 waits for ever, broker 1 aborts, broker 2 has a bug; others get their number back."""
        self.events.append(f"begin {request.broker_id}")
        try:
            if request.broker_id == 0:
                await asyncio.sleep(1e9)
            if request.broker_id == 1:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not you")
            if request.broker_id == 2:
                raise ValueError("a bug")
            return controller_pb2.AllocateProducerIdsReply(producer_id_start=request.broker_id)
        finally:
            self.events.append(f"end {request.broker_id}")

    async def FollowMetadata(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """A stream of responses, one each second."""
        try:
            for number in range(3):
                yield controller_pb2.MetadataUpdate(high_watermark=number)
                await asyncio.sleep(1)
        finally:
            self.events.append("stream ended")

    async def Deliver(self, request_iterator: Any, context: Any) -> Any:
        """A stream of requests, taken one each second."""
        async for _ in request_iterator:
            self.requests_taken += 1
            await asyncio.sleep(1)
        return raft_pb2.DeliverReply()

    async def Fetch(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        """Both ways: answers with the number it was asked with."""
        self.events.append("fetch began")
        try:
            async for request in request_iterator:
                yield replication_pb2.FetchResponse(error_code=request.replica_id)
        finally:
            self.events.append("fetch ended")


def start_services(simulation: Simulation, name: str) -> ToyServices:
    """Serve RPCs on a machine."""
    services = ToyServices()

    def register(server: Any) -> None:
        controller_pb2_grpc.add_ControllerServicer_to_server(services, server)
        raft_pb2_grpc.add_RaftServicer_to_server(services, server)
        replication_pb2_grpc.add_ReplicationServicer_to_server(services, server)

    async def run(process: Process) -> None:
        await simulation.world(process).serve_rpc(name, RPC_PORT, register)
        await asyncio.sleep(1e9)

    simulation.run_process(name, run, is_critical=False)
    return services


async def as_machine(simulation: Simulation, name: str, main: Callable[[Process], Awaitable[_T]]) -> _T:
    """Run a coroutine on a machine of its own and return its result."""

    async def run(process: Process) -> _T:
        return await main(process)

    process = simulation.run_process(name, run, is_critical=False)
    assert process.main is not None
    result: _T = await asyncio.shield(process.main)
    return result
