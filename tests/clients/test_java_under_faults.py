"""Kafka's own consumer, producer and tools, in Java, while the brokers that serve them are killed and started again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer
from java_tools import JavaTools
from three_brokers import SOON_S, ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash

pytestmark = [pytest.mark.live, pytest.mark.java]

RECORDS = 100


class Tools:
    """Kafka's tools against the brokers that a test breaks, one of them in the background."""

    def __init__(self, cluster: ThreeBrokers) -> None:
        self.cluster = cluster
        self.pool = ThreadPoolExecutor(1)
        self._tools = JavaTools("4.2.0")

    def __call__(self, tool: str, *words: str) -> str:
        return self._tools.run(tool, "--bootstrap-server", self.cluster.bootstrap, *words)


@pytest.fixture
def kafka(cluster: ThreeBrokers) -> Iterator[Tools]:
    tools = Tools(cluster)
    yield tools
    tools.pool.shutdown()


def write(cluster: ThreeBrokers, topic: str, first: int) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    for number in range(first, first + RECORDS):
        producer.produce(topic, str(number), partition=0)
    assert producer.flush(SOON_S) == 0


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_consumer_of_either_protocol_reads_on_when_its_coordinator_and_its_leader_die(
    kafka: Tools, protocol: str
) -> None:
    topic, group = kafka.cluster.new_topic(), kafka.cluster.new_name()
    write(kafka.cluster, topic, 0)
    named = ("--topic", topic, "--group", group, "--from-beginning", "--max-messages", str(3 * RECORDS))
    options = ("--command-property", f"group.protocol={protocol}", "--timeout-ms", "60000")
    reading = kafka.pool.submit(kafka, "console-consumer", *named, *options)
    offsets = TopicPartition("__consumer_offsets", key_hash(group) % 50)
    kafka.cluster.until("the group has a coordinator", lambda now: offsets.topic in now.topics())
    for turn, partition in enumerate((offsets, TopicPartition(topic, 0)), start=1):
        old = kafka.cluster.leader(partition)
        kafka.cluster.kill(old)
        kafka.cluster.new_leader(partition, old)
        write(kafka.cluster, topic, turn * RECORDS)
        kafka.cluster.mend()
    read = [int(line) for line in reading.result().splitlines() if line.isdigit()]
    assert read == list(range(3 * RECORDS)), "each record once, in its order"
    row = kafka("consumer-groups", "--describe", "--group", group).split()
    assert row[row.index(topic) :][:5] == [topic, "0", str(3 * RECORDS), str(3 * RECORDS), "0"]


def test_quotas_and_configs_that_are_set_while_a_broker_is_down_are_told_by_it_when_it_is_back(kafka: Tools) -> None:
    topic, client = kafka.cluster.new_topic(), ("--entity-type", "clients", "--entity-name", "java")
    kafka.cluster.kill("b2")
    kafka("configs", *client, "--alter", "--add-config", "consumer_byte_rate=123456")
    kafka("configs", "--entity-type", "topics", "--entity-name", topic, "--alter", "--add-config", "retention.ms=4321")
    kafka.cluster.mend()
    shown = kafka("configs", *client, "--describe")
    assert "Quota configs for client-id 'java' are consumer_byte_rate=123456.0" in shown
    assert "retention.ms=4321" in kafka("topics", "--describe", "--topic", topic)
    kafka("configs", *client, "--alter", "--delete-config", "consumer_byte_rate")
