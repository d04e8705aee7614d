"""Kafka's share consumer and its tool for share groups, in Java, while the broker that they read from is killed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from confluent_kafka import Producer
from java_tools import JavaTools
from three_brokers import SOON_S, ThreeBrokers

from cluster.base.ids import TopicPartition

pytestmark = [pytest.mark.live, pytest.mark.java]


class SharingTools:
    """Kafka 4.2, the first with share groups that are not a preview, against three brokers."""

    def __init__(self, cluster: ThreeBrokers) -> None:
        self.cluster = cluster
        self.topic = cluster.new_topic()
        self.group = cluster.new_name()
        self._tools = JavaTools("4.2.0")
        self._pool = ThreadPoolExecutor(1)
        reset = ("--alter", "--add-config", "share.auto.offset.reset=earliest")
        self("configs", *reset, "--entity-type", "groups", "--entity-name", self.group)

    def __call__(self, tool: str, *words: str, exit_code: int = 0) -> str:
        return self._tools.run(tool, "--bootstrap-server", self.cluster.bootstrap, *words, exit_code=exit_code)

    def groups(self, *words: str, exit_code: int = 0) -> list[list[str]]:
        """Return the words of each line that kafka-share-groups prints."""
        printed = self("share-groups", *words, exit_code=exit_code).splitlines()
        return [line.split() for line in printed if line]

    def write(self, first: int, after: int) -> None:
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap, "enable.idempotence": True})
        for number in range(first, after):
            producer.produce(self.topic, str(number), partition=0)
        assert producer.flush(SOON_S) == 0

    def read(self, *words: str) -> list[str]:
        """Return what kafka-console-share-consumer reads."""
        named = ("--topic", self.topic, "--group", self.group)
        printed = self("console-share-consumer", *named, *words).splitlines()
        return [line for line in printed if "Processed a total" not in line and "TimeoutException" not in line]

    def reading(self, *words: str) -> Future[list[str]]:
        """Read in the background."""
        return self._pool.submit(self.read, *words)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def kafka(cluster: ThreeBrokers) -> Iterator[SharingTools]:
    tools = SharingTools(cluster)
    yield tools
    tools.close()


def test_the_share_consumer_goes_on_when_the_leader_is_killed_and_reads_nothing_twice(kafka: SharingTools) -> None:
    partition, group = TopicPartition(kafka.topic, 0), ("--group", kafka.group)
    kafka.write(0, 100)
    reading = kafka.reading("--max-messages", "200", "--timeout-ms", "60000")
    kept = [kafka.group, kafka.topic, "0", "100", "-"]
    for _ in range(20):
        if kept in kafka.groups("--describe", *group):
            break
    (header, (name, _, host, client, count, shown)) = kafka.groups("--describe", *group, "--members")
    assert header == ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT"]
    assert (name, host, count, shown) == (kafka.group, "/127.0.0.1", "1", f"{kafka.topic}:0") and client
    old = kafka.cluster.leader(partition)
    kafka.cluster.kill(old)
    kafka.cluster.new_leader(partition, old)
    kafka.write(100, 200)
    assert sorted(map(int, reading.result())) == list(range(200))
    kafka.cluster.mend()
    assert kafka.read("--timeout-ms", "3000") == []


def test_the_tool_for_share_groups_lists_describes_moves_and_deletes(kafka: SharingTools) -> None:
    group, topic = ("--group", kafka.group), ("--topic", kafka.topic)
    kafka.write(0, 10)
    assert kafka.read("--max-messages", "10") == [str(number) for number in range(10)]
    assert [kafka.group] in kafka.groups("--list")
    assert [kafka.group, "Empty"] in kafka.groups("--list", "--state", "empty")
    row = kafka.groups("--describe", *group, "--state", "--verbose")[-1]
    assert row[0] == kafka.group and row[-4] == "Empty" and row[-1] == "0"
    moved = ["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], [kafka.group, kafka.topic, "0", "0"]
    move = ("--reset-offsets", *group, *topic, "--to-earliest")
    assert kafka.groups(*move, "--dry-run") == [*moved]
    assert kafka.groups("--describe", *group)[-1][3] == "10"
    assert kafka.groups(*move, "--execute") == [*moved]
    assert kafka.groups("--describe", *group)[-1][3] == "0"
    assert kafka.read("--max-messages", "10") == [str(number) for number in range(10)], "the group has gone back"
    assert kafka.groups("--delete-offsets", *group, *topic)[-1] == [kafka.topic, "Successful"]
    assert [kafka.topic] not in [row[1:2] for row in kafka.groups("--describe", *group)]
    assert "was successful" in kafka("share-groups", "--delete", *group)
    assert [kafka.group] not in kafka.groups("--list")
    assert "not found" in kafka("share-groups", "--describe", *group)


def test_released_records_come_again_and_rejected_ones_do_not(kafka: SharingTools) -> None:
    kafka.write(0, 5)
    counted = ("--formatter-property", "print.delivery=true")
    assert kafka.read("--release", "--max-messages", "5", *counted) == [f"Delivery:1\t{n}" for n in range(5)]
    assert kafka.read("--reject", "--max-messages", "5", *counted) == [f"Delivery:2\t{n}" for n in range(5)]
    assert kafka.read("--timeout-ms", "3000") == []
