"""How fast the simulator alone runs: 3 brokers, 3 controllers, 100 records/s produced and consumed, nobody listening.

A program of its own, because the interpreter's hash seed must be pinned before it starts. It prints virtual seconds
per second of wall time. Nothing is traced, hashed or checked; what that costs is seen beside it, in a scenario's run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cluster.lab.sim_target import SimTarget, latency_of
from cluster.runtime.sim import Simulation, ensure_reproducible, run_simulation
from cluster.scenario import make_plan, read_document

STEADY = Path(__file__).with_name("steady.yaml")
RECORDS = 6_000
RECORDS_PER_S = 100
ROUNDS = 2
"""The first round loads what is loaded late; the best counts."""


async def steady_load(simulation: Simulation) -> None:
    """Start the scenario's cluster, and send and read every record, one batch each."""
    target = SimTarget(simulation, make_plan(read_document(STEADY.read_text())).cluster)
    await target.start()
    simulation.stop_tracing()
    acknowledged: list[object] = []
    consumed: list[object] = []

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=target.bootstrap, client_id="producer", acks="all")
        await producer.start()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number in range(RECORDS):
            await asyncio.sleep(max(0.0, began_s + number / RECORDS_PER_S - loop.time()))
            (await producer.send("orders", b"%06d" % number, partition=0)).add_done_callback(acknowledged.append)
        await producer.stop()

    async def consume() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=target.bootstrap, client_id="consumer")
        await consumer.start()
        consumer.assign([TopicPartition("orders", 0)])
        await consumer.seek_to_beginning()
        while len(consumed) < RECORDS:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                consumed.extend(records)
        await consumer.stop()

    clients = [target.spawn_client("producer", produce), target.spawn_client("consumer", consume)]
    for client in clients:
        await client.wait()
    assert len(acknowledged) == len(consumed) == RECORDS, "a figure means nothing when records are missing"
    await target.close()


def main() -> None:
    """Measure and print."""
    ensure_reproducible()
    logging.disable(logging.CRITICAL)
    latency = latency_of(make_plan(read_document(STEADY.read_text())).cluster)
    speeds: list[float] = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        run = run_simulation(steady_load, 1, latency=latency, is_hashing=False)
        speeds.append(run.virtual_s / (time.perf_counter() - began_s))
    print(max(speeds))


if __name__ == "__main__":
    main()
