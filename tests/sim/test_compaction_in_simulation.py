"""A compacted topic on simulated brokers that die: the last value of every key survives, on every replica.

The brokers compact all the time, with small segments, while their leader is killed and loses power.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import aiokafka
import pytest
from toy_machines import simulate

from cluster.base.ids import TopicPartition
from cluster.base.trace import LogCompacted, PartitionMetadataApplied
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.records import read_records
from cluster.runtime.sim import Simulation

PRICES = TopicPartition("prices", 0)
CONFIGS = {
    "cleanup.policy": "compact",
    "segment.bytes": "2048",
    "min.insync.replicas": "2",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "2000",
}
SPEC = replace(
    numbered_cluster(3, 3, combined=True),
    profile="fast",
    topics=(TopicSpec("prices", 1, 3, CONFIGS),),
    properties={"log.cleaner.backoff.ms": "300"},
)
KEYS = 12
Value = bytes | None


class Ledger:
    """Which values every key may have: its last acknowledged one, or one that was sent after it."""

    def __init__(self) -> None:
        self.possible: dict[bytes, list[Value]] = {}
        self.acknowledged = 0

    def sent(self, key: bytes, value: Value) -> None:
        self.possible.setdefault(key, [None]).append(value)

    def stored(self, key: bytes, value: Value) -> None:
        self.acknowledged += 1
        sent = self.possible[key]
        del sent[: len(sent) - 1 - sent[::-1].index(value)]

    def wrong(self, found: Mapping[bytes, Value]) -> list[str]:
        """Return what contradicts the ledger in the last values that somebody found."""
        return [
            f"{key.decode()} is {found.get(key)!r}, not one of {values}"
            for key, values in sorted(self.possible.items())
            if found.get(key) not in values
        ]


async def write(target: SimTarget, ledger: Ledger, seed: int) -> None:
    rng = Random(seed)
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=target.bootstrap, client_id="p1", acks="all", request_timeout_ms=3000, enable_idempotence=True
    )
    await producer.start()
    number = 0
    while True:
        number += 1
        key = b"key-%d" % rng.randrange(KEYS)
        value = None if rng.random() < 0.1 else b"%d" % number
        ledger.sent(key, value)
        try:
            await producer.send_and_wait("prices", value, key=key)
        except aiokafka.errors.KafkaError:
            await asyncio.sleep(0.1)
            continue
        ledger.stored(key, value)
        await asyncio.sleep(0.02)


async def read(target: SimTarget, found: dict[bytes, Value], offsets: list[int]) -> None:
    """Read the topic from its beginning: the last values, and the offsets in the order in which they came."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=target.bootstrap, client_id="reader")
    await consumer.start()
    partition = aiokafka.TopicPartition("prices", 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    while await consumer.position(partition) < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found.update({record.key: record.value for record in records})
            offsets += [record.offset for record in records]
    await consumer.stop()


def last_values(simulation: Simulation, name: str) -> dict[bytes, Value]:
    """The last value of every key on a node's disk, read without asking the node."""
    disk = simulation.machine(name).disk
    found: dict[bytes, Value] = {}
    for file in [file for file in disk.list(str(PRICES)) if file.endswith(".log")]:
        path = f"{PRICES}/{file}"
        for record in read_records(disk.read(path, 0, disk.size(path))):
            assert record.key is not None
            found[record.key] = record.value
    return found


def leader(simulation: Simulation) -> str:
    events = [traced.event for traced in simulation.trace.events]
    states = [event for event in events if isinstance(event, PartitionMetadataApplied) and event.topic == "prices"]
    return f"b{max(states, key=lambda state: state.metadata_offset).leader}"


async def story(
    simulation: Simulation, faults: Sequence[str], seed: int
) -> tuple[list[str], dict[str, list[LogCompacted]]]:
    """Write under faults, heal, and return what is wrong and which compactions each broker made, in their order."""
    target = SimTarget(simulation, SPEC)
    await target.start()
    ledger = Ledger()
    client = target.spawn_client("p1", lambda: write(target, ledger, seed))
    await asyncio.sleep(5)
    for fault in faults:
        victim = leader(simulation)
        await getattr(target, fault)(victim)
        await asyncio.sleep(4)
        await target.start_node(victim)
        await asyncio.sleep(6)
    await client.stop()
    await asyncio.sleep(5)
    found: dict[bytes, Value] = {}
    offsets: list[int] = []
    await target.spawn_client("reader", lambda: read(target, found, offsets)).wait()
    wrong = ledger.wrong(found)
    if any(before >= after for before, after in pairwise(offsets)):
        wrong.append(f"offsets go back: {offsets}")
    for name in target.node_names:
        wrong += [f"on {name}: {text}" for text in ledger.wrong(last_values(simulation, name))]
    assert ledger.acknowledged > 200, "there was enough to compact"
    compactions: dict[str, list[LogCompacted]] = {name: [] for name in target.node_names}
    for traced in simulation.trace.events:
        if isinstance(traced.event, LogCompacted):
            compactions[traced.node].append(traced.event)
    await target.close()
    return wrong, compactions


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_last_value_of_every_key_survives_kills_and_losses_of_power(seed: int) -> None:
    wrong, compactions = simulate(lambda simulation: story(simulation, ["kill", "power_off", "kill"], seed), seed=seed)
    assert wrong == []
    events = [event for made in compactions.values() for event in made]
    assert len(events) > 20
    assert sum(event.before_bytes - event.after_bytes for event in events) > 10_000, "they were worth it"
    assert all(event.first_dirty_offset < event.end_offset for event in events)
    steps = [
        (one.end_offset, other.first_dirty_offset) for made in compactions.values() for one, other in pairwise(made)
    ]
    assert all(goes_on <= ended for ended, goes_on in steps), "what is clean is not looked at again, unless it was cut"
    assert sum(goes_on == ended for ended, goes_on in steps) > 10


def test_a_compaction_that_drops_last_values_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cluster.storage.compaction._KeyOffsets.is_superseded", lambda self, key, offset: offset % 2 == 0
    )
    wrong, _ = simulate(lambda simulation: story(simulation, ["kill"], 1), seed=1)
    assert wrong
