"""Single requests may arrive twice or be overtaken when rules say so; streams keep their order and number."""

from __future__ import annotations

import asyncio
from typing import Any

from toy_machines import RPC_PORT, as_machine, simulate, start_services

from cluster.base.ids import NodeId
from cluster.rpc import controller_pb2, controller_pb2_grpc, replication_pb2, replication_pb2_grpc
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Process, Simulation

NUMBERS = range(10, 20)


def begun(rule: LinkRule) -> list[str]:
    """In which order the handlers of ten requests began, sent one after the other."""

    async def main(simulation: Simulation) -> list[str]:
        services = start_services(simulation, "a")
        simulation.network.set_rules("loose", [rule])

        async def ask(process: Process) -> None:
            stub = controller_pb2_grpc.ControllerStub(simulation.world(process).channel(NodeId(1), "a", RPC_PORT))
            calls: list[Any] = []
            for number in NUMBERS:
                calls.append(stub.AllocateProducerIds(controller_pb2.AllocateProducerIdsRequest(broker_id=number)))
                await asyncio.sleep(0.01)
            replies = [await call for call in calls]
            assert [reply.producer_id_start for reply in replies] == list(NUMBERS)

        await as_machine(simulation, "b", ask)
        return [event for event in services.events if event.startswith("begin")]

    return simulate(main)


def test_a_doubled_request_is_carried_out_twice_and_answered_once() -> None:
    once = [f"begin {number}" for number in NUMBERS]
    assert begun(LinkRule("b", "a", duplicate_rate=1.0)) == [event for event in once for _ in range(2)]
    assert begun(LinkRule("b", "a", latency_ms=1.0)) == once


def test_requests_overtake_one_another() -> None:
    told = begun(LinkRule("b", "a", reorder_rate=0.5))
    assert sorted(told) == [f"begin {number}" for number in NUMBERS]
    assert told != sorted(told)


def test_a_stream_keeps_order_and_number_whatever_the_rules_say() -> None:
    async def main(simulation: Simulation) -> list[int]:
        start_services(simulation, "a")
        simulation.network.set_rules("loose", [LinkRule("b", "a", duplicate_rate=1.0, reorder_rate=1.0)])

        async def ask(process: Process) -> list[int]:
            stub = replication_pb2_grpc.ReplicationStub(simulation.world(process).channel(NodeId(1), "a", RPC_PORT))
            call = stub.Fetch()
            for number in NUMBERS:
                await call.write(replication_pb2.FetchRequest(replica_id=number))
            await call.done_writing()
            return [response.error_code async for response in call]

        return await as_machine(simulation, "b", ask)

    assert simulate(main) == list(NUMBERS)
