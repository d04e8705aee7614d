"""Groups of the clients that people use, on three brokers as processes: librdkafka, kcat, aiokafka, kafka-python.

Members come, leave and crash, and the broker that coordinates them is killed: the group reads on, and nothing that
was committed is read again.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError as AioKafkaError
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer

from cluster.broker.coordinator import key_hash

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SOON_S = 20.0
BROKERS = 3
PARTITIONS = 3
NUMBERS = count(1)


class Brokers:
    """Three brokers, started and broken with the commands that a user types."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "FENCEPOST_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.run("up", "-d", "--combined", "--port", "0", "--profile", "fast", "--config", "min.insync.replicas=2",
                 "--config", "default.replication.factor=3", "--config", f"num.partitions={PARTITIONS}")  # fmt: skip
        self.bootstrap: str = json.loads(self.run("ps", "--json"))["bootstrap"]
        self.admin = self.new_admin()
        self._producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 0})

    def new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(
            [*COMMAND, *arguments], env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def write(self, topic: str, values: Sequence[str]) -> None:
        """Write to the partitions in turn; return when everything is acknowledged."""
        failures: list[Any] = []
        for number, value in enumerate(values):
            self._producer.produce(
                topic,
                value.encode(),
                partition=number % PARTITIONS,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        assert self._producer.flush(SOON_S) == 0
        assert failures == []

    def coordinator(self, group: str) -> str:
        """Return who leads the partition that holds the group."""
        partitions = self.new_admin().list_topics(timeout=SOON_S).topics["__consumer_offsets"].partitions
        return f"b{partitions[key_hash(group) % len(partitions)].leader}"

    def committed(self, group: str, topic: str) -> list[int]:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, n) for n in range(PARTITIONS)])
        admin = self.new_admin()  # must live until the answer is here
        found = admin.list_consumer_group_offsets([asked])[group].result(SOON_S)
        return [each.offset for each in found.topic_partitions]


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    brokers = Brokers(tmp_path_factory.mktemp("fencepost"))
    yield brokers
    brokers.run("down", "--purge")


@pytest.fixture
def topic(brokers: Brokers) -> str:
    """A topic of the test's own, on three brokers that are all back from what the test before did to them."""
    name = f"orders-{next(NUMBERS)}"
    # A client of long standing fails what it asks of a broker that it believes gone: the topic takes a new one.
    eventually(lambda: len(brokers.new_admin().list_topics(timeout=SOON_S).brokers) == BROKERS)
    admin = brokers.new_admin()
    admin.create_topics([NewTopic(name, PARTITIONS, BROKERS)])[name].result(SOON_S)
    return name


def eventually(claim: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not claim():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(0.01)


def texts(prefix: str, number: int) -> list[str]:
    return [f"{prefix}-{index}" for index in range(number)]


def is_shared(shares: Sequence[Sequence[int]]) -> bool:
    """Whether every partition has one owner, and every member something to do."""
    return all(shares) and sorted(chain.from_iterable(shares)) == list(range(PARTITIONS))


class Members:
    """librdkafka's consumers in one group, polled in turn; what they read is committed as they go."""

    def __init__(self, brokers: Brokers, topic: str, group: str, **options: Any) -> None:
        self.read: list[str] = []
        self._topic = topic
        self._options = {
            "bootstrap.servers": brokers.bootstrap,
            "group.id": group,
            "session.timeout.ms": 2000,
            "heartbeat.interval.ms": 200,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **options,
        }
        self.consumers: dict[str, Consumer] = {}

    def add(self, name: str, **options: Any) -> None:
        consumer = Consumer({**self._options, "client.id": name, **options})
        consumer.subscribe([self._topic])
        self.consumers[name] = consumer

    def remove(self, name: str) -> None:
        self.consumers.pop(name).close()

    def close(self) -> None:
        for name in tuple(self.consumers):
            self.remove(name)

    def poll(self) -> None:
        for consumer in self.consumers.values():
            message = consumer.poll(0.02)
            if message is not None and message.error() is None:
                self.read.append((message.value() or b"").decode())
                consumer.commit(message, asynchronous=True)

    def until(self, claim: Callable[[], bool]) -> None:
        def polled() -> bool:
            self.poll()
            return claim()

        eventually(polled)

    def share(self, name: str) -> list[int]:
        return sorted(partition.partition for partition in self.consumers[name].assignment())

    def is_shared(self) -> bool:
        return is_shared([self.share(name) for name in self.consumers])


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
        async with consumer:
            while not all_is_committed.is_set():
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    read.extend((record.value or b"").decode() for record in records)
                shares[name] = sorted(partition.partition for partition in consumer.assignment())
                with suppress(AioKafkaError):  # in a rebalance: whoever is given the partition reads it again
                    await consumer.commit()

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
        await asyncio.to_thread(brokers.write, topic, values[30:])
        await asyncio.to_thread(eventually, is_committed)
        all_is_committed.set()
        await asyncio.gather(*tasks)
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
