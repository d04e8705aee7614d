"""Groups of the clients that people use, on three brokers as processes: librdkafka, kcat, aiokafka, kafka-python.

Members come, leave and crash, and the broker that coordinates them is killed: the group reads on, and nothing that
was committed is read again.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError as AioKafkaError
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaException,
    TopicPartition,
)
from group_clients import (
    PARTITIONS,
    SOON_S,
    Brokers,
    Members,
    eventually,
    is_shared,
    texts,
)
from kafka import KafkaConsumer

pytestmark = pytest.mark.live


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_librdkafkas_members_come_leave_and_crash_while_the_coordinator_is_killed(
    brokers: Brokers, topic: str, strategy: str
) -> None:
    group = f"g-{topic}"
    members = Members(brokers, topic, group, **{"partition.assignment.strategy": strategy})
    members.add("m1")
    brokers.write(topic, texts("first", 30))
    members.until(lambda: len(members.read) == 30)
    members.add("m2")
    members.until(members.is_shared)
    fault = json.loads(brokers.run("break", "kill", brokers.coordinator(group), "--json"))
    brokers.write(topic, texts("second", 30))
    members.until(lambda: len({*members.read}) == 60)
    members.until(members.is_shared)
    brokers.run("heal", fault["id"])
    members.until(lambda: brokers.committed(group, topic) == [20] * PARTITIONS)
    members.add("m3")
    members.until(members.is_shared)
    members.remove("m1")
    members.until(members.is_shared)
    before = len(members.read)
    brokers.write(topic, texts("third", 30))
    members.until(lambda: len(members.read) >= before + 30)
    assert sorted(members.read[before:]) == sorted(texts("third", 30)), "what was committed is not read again"
    members.until(lambda: brokers.committed(group, topic) == [30] * PARTITIONS)
    members.close()
    (described,) = [future.result(SOON_S) for future in brokers.admin.describe_consumer_groups([group]).values()]
    assert described.state == ConsumerGroupState.EMPTY


def test_a_static_member_of_librdkafka_restarts_without_a_rebalance(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    members = Members(brokers, topic, group, **{"session.timeout.ms": 10_000})
    for name in ("m1", "m2"):
        members.add(name, **{"group.instance.id": name})
    members.until(members.is_shared)
    shares = {name: members.share(name) for name in ("m1", "m2")}
    members.remove("m2")  # a static member does not leave the group when it is closed
    members.add("m2", **{"group.instance.id": "m2"})
    members.until(members.is_shared)
    assert {name: members.share(name) for name in ("m1", "m2")} == shares
    members.close()


def test_aiokafkas_members_read_on_while_their_coordinator_is_killed(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    values = texts("v", 60)
    read: list[str] = []
    shares: dict[str, list[int]] = {}

    async def member(name: str) -> None:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=brokers.bootstrap,
            group_id=group,
            client_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=2_000,
            heartbeat_interval_ms=200,
        )
        await consumer.start()
        while not all_is_committed.is_set():
            for records in (await consumer.getmany(timeout_ms=100)).values():
                read.extend((record.value or b"").decode() for record in records)
            shares[name] = sorted(partition.partition for partition in consumer.assignment())
            with suppress(AioKafkaError):  # in a rebalance: whoever is given the partition reads it again
                await consumer.commit()
        # aiokafka 0.14 lets out that it cancelled a fetch of its own, when that waits to try a dead broker again.
        with suppress(asyncio.CancelledError):
            await consumer.stop()

    def is_committed() -> bool:
        try:
            return brokers.committed(group, topic) == [20] * PARTITIONS
        except KafkaException:  # the coordinator has just been killed
            return False

    async def run() -> None:
        tasks = [asyncio.create_task(member(f"m{number}")) for number in range(3)]
        await asyncio.to_thread(eventually, lambda: is_shared([*shares.values()]))
        await asyncio.to_thread(brokers.write, topic, values[:30])
        fault = json.loads(await asyncio.to_thread(brokers.run, "break", "kill", brokers.coordinator(group), "--json"))
        try:
            await asyncio.to_thread(brokers.write, topic, values[30:])
            await asyncio.to_thread(eventually, is_committed)
            all_is_committed.set()
            await asyncio.gather(*tasks)
        finally:
            await asyncio.to_thread(brokers.run, "heal", fault["id"])

    all_is_committed = asyncio.Event()
    asyncio.run(asyncio.wait_for(run(), 2 * SOON_S))
    assert {*read} == {*values}


def test_kafka_pythons_member_resumes_where_it_committed(brokers: Brokers, topic: str) -> None:
    brokers.write(topic, texts("first", 30))
    found = []
    for expected in (texts("first", 30), texts("second", 30)):
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=brokers.bootstrap,
            group_id=f"g-{topic}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            consumer_timeout_ms=int(SOON_S * 1000),
        )
        found = sorted(next(consumer).value.decode() for _ in range(30))
        consumer.commit()
        consumer.close()
        assert found == sorted(expected)
        brokers.write(topic, texts("second", 30))


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcats_member_reads_as_a_group_does(brokers: Brokers, topic: str) -> None:
    brokers.write(topic, texts("v", 30))
    kcat = ["kcat", "-b", brokers.bootstrap, "-q", "-u", "-c", "15", "-X", "auto.offset.reset=earliest", "-G", "kcat"]
    lines = [
        subprocess.run([*kcat, topic], capture_output=True, text=True, check=True, timeout=30).stdout.split()
        for _ in range(2)
    ]
    assert sorted(lines[0] + lines[1]) == sorted(texts("v", 30)), "the second one begins where the first one ended"


def test_groups_are_listed_and_deleted_with_their_offsets(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    consumer = Consumer({"bootstrap.servers": brokers.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, n, 5) for n in range(PARTITIONS)], asynchronous=False)
    assert brokers.committed(group, topic) == [5] * PARTITIONS
    listed = {each.group_id: each.state for each in brokers.admin.list_consumer_groups().result(SOON_S).valid}
    assert listed[group] == ConsumerGroupState.EMPTY
    brokers.admin.delete_consumer_groups([group])[group].result(SOON_S)
    assert brokers.committed(group, topic) == [-1001] * PARTITIONS, "librdkafka's word for none"
    consumer.close()
