"""A program that runs one simulation and prints its hash: started by tests in several environments.

Arguments: what to run (`toy` or `cluster`) and the seed. It restarts itself with pinned hashes when it must.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

import aiokafka
from toy_machines import ECHO_PORT, echo, start_services

from cluster.base.ids import NodeId
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.rpc import replication_pb2, replication_pb2_grpc
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Process, Simulation, ensure_reproducible, run_simulation


async def toy(simulation: Simulation) -> Any:
    """Streams, RPCs, a task group that is cancelled, sets of strings, a lossy link and a kill."""
    simulation.run_process("a", echo)
    services = start_services(simulation, "b")
    await asyncio.sleep(0.1)
    simulation.network.set_rules("lossy", [LinkRule("p", "a", drop_rate=0.2, jitter_ms=5)])
    seen: list[str] = []

    async def talk(name: str) -> None:
        reader, writer = await asyncio.open_connection("a", ECHO_PORT)
        while True:
            writer.write(f"{name}\n".encode())
            seen.append((await reader.readline()).decode())

    async def client(process: Process) -> None:
        channel = simulation.world(process).channel(NodeId(1), "b", 9093)
        fetches = replication_pb2_grpc.ReplicationStub(channel).Fetch()
        async with asyncio.TaskGroup() as group:
            for name in {"x", "y", "z", "w"} | {str(number) for number in range(9)}:
                group.create_task(talk(name))
            for number in range(200):
                await fetches.write(replication_pb2.FetchRequest(replica_id=number))
                await fetches.read()
            raise ValueError("enough")

    simulation.run_process("p", client, is_critical=False)
    await asyncio.sleep(3)
    simulation.machine("b").kill()
    await asyncio.sleep(1)
    return len(seen), len(services.events)


async def cluster(simulation: Simulation) -> Any:
    """A cluster of three under load, whose leader is killed."""
    spec = replace(numbered_cluster(3, 3), topics=(TopicSpec("orders", 2, 3),))
    target = SimTarget(simulation, spec)
    await target.start()
    counts = {"sent": 0, "read": 0}

    async def produce() -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=target.bootstrap, client_id="p1", acks="all")
        await producer.start()
        while True:
            await producer.send("orders", b"%d" % counts["sent"])
            counts["sent"] += 1
            await asyncio.sleep(0.05)

    async def consume() -> None:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=target.bootstrap, client_id="c9")
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition("orders", number) for number in (0, 1)])
        async for _ in consumer:
            counts["read"] += 1

    target.spawn_client("p1", produce)
    target.spawn_client("c9", consume)
    await asyncio.sleep(2)
    await target.kill("b1")
    await asyncio.sleep(12)
    await target.start_node("b1")
    await asyncio.sleep(2)
    await target.close()
    return counts


if __name__ == "__main__":
    ensure_reproducible()
    result = run_simulation({"toy": toy, "cluster": cluster}[sys.argv[1]], int(sys.argv[2]))
    print(result.trace_hash, result.steps, result.value, hash(tuple(map(str, result.trace))))
