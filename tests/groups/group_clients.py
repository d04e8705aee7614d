"""Three brokers as processes, and groups of librdkafka's consumers that read from them.

Here: what the tests of both group protocols share. The fixtures are in `conftest.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from cluster.broker.coordinator import key_hash

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SOON_S = 20.0
BROKERS = 3
PARTITIONS = 3


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
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **options,
        }
        self.consumers: dict[str, Consumer] = {}

    def add(self, name: str, **options: Any) -> None:
        """Add a member, of the classic protocol unless the options say otherwise."""
        settings = {**self._options, **options}
        if settings.get("group.protocol") != "consumer":  # else these are the coordinator's affair
            settings = {"session.timeout.ms": 2000, "heartbeat.interval.ms": 200, **settings}
        consumer = Consumer({**settings, "client.id": name})
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
