"""A cluster that passes for Kafka 2.0: clients negotiate as they would with it, and work."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import kafka
import pytest
from confluent_kafka import Producer
from three_brokers import ThreeBrokers

pytestmark = pytest.mark.live

PATIENCE_S = 60


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeBrokers]:
    cluster = ThreeBrokers(tmp_path_factory.mktemp("older") / "data", {"fencepost.as.version": "2.0"})
    yield cluster
    cluster.close()


def fill(cluster: ThreeBrokers, topic: str) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for number in range(20):
        producer.produce(topic, b"%d" % number)
    assert producer.flush(PATIENCE_S) == 0


def test_kafka_python_takes_it_for_a_2_0_and_reads(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic()
    fill(cluster, topic)
    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest", group_id="g"
    )
    assert kafka.KafkaAdminClient(bootstrap_servers=cluster.bootstrap)._manager.broker_version == (2, 0)
    found: list[bytes] = []
    while len(found) < 20:
        found += [record.value for records in consumer.poll(1000).values() for record in records]
    consumer.close()
    assert found == [b"%d" % number for number in range(20)]


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_takes_it_for_a_2_0_and_reads(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic()
    fill(cluster, topic)
    command = ["kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-X", "debug=feature"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert run.stdout.split() == [str(number) for number in range(20)]
    assert "ApiKey Fetch (1) Versions 4..8" in run.stderr
