"""A client that is too fast is told to wait by whichever broker leads, also by one that was away when it was decided.

Two clients, confluent-kafka's and kafka-python's, each as one that writes and as one that reads. Not here: which quota
counts and for how long a client has to wait (`tests/broker/test_client_quotas.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import confluent_kafka
import kafka
import pytest
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.console.protocol_client import ProtocolClient

pytestmark = pytest.mark.live

PATIENCE_S = 20.0
TIMEOUT_MS = 15_000
CLIENT = "greedy"
RECORDS = 3
RECORD = bytes(30_000)
RATE = 6_000.0
"""Bytes a second. Over the eleven windows of a second that are counted, two records are within it and three are not."""

Told = Callable[[str, TopicPartition], bool]
"""Writes or reads the records, no two in one request, and returns whether a broker said to wait."""


def write_with_confluent(bootstrap: str, partition: TopicPartition) -> bool:
    waits_s: list[float] = []
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": CLIENT,
            "throttle_cb": lambda event: waits_s.append(event.throttle_time),
        }
    )
    for _ in range(RECORDS):
        producer.produce(partition.topic, RECORD, partition=partition.partition)
        assert producer.flush(PATIENCE_S) == 0
    producer.poll(0.1)
    return any(wait_s > 0 for wait_s in waits_s)


def read_with_confluent(bootstrap: str, partition: TopicPartition) -> bool:
    waits_s: list[float] = []
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": CLIENT,
            "group.id": CLIENT,
            "enable.auto.commit": False,
            "fetch.message.max.bytes": len(RECORD),
            "throttle_cb": lambda event: waits_s.append(event.throttle_time),
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(*partition, 0)])
    left, deadline_s = RECORDS, time.monotonic() + PATIENCE_S
    with closing(consumer):
        while left and not any(waits_s):
            assert time.monotonic() < deadline_s, "neither records nor a word"
            message = consumer.poll(0.1)
            if message is not None:
                assert message.error() is None
                left -= 1
        return any(waits_s)


def write_with_kafka_python(bootstrap: str, partition: TopicPartition) -> bool:
    with closing(kafka.KafkaProducer(bootstrap_servers=bootstrap, client_id=CLIENT)) as producer:
        for _ in range(RECORDS):
            producer.send(partition.topic, RECORD, partition=partition.partition).get(PATIENCE_S)
        return was_told_to_wait(producer)


def read_with_kafka_python(bootstrap: str, partition: TopicPartition) -> bool:
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=CLIENT,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=len(RECORD),
    )
    left, deadline_s = RECORDS, time.monotonic() + PATIENCE_S
    with closing(consumer):
        consumer.assign([kafka.TopicPartition(*partition)])
        while left and not was_told_to_wait(consumer):
            assert time.monotonic() < deadline_s, "neither records nor a word"
            left -= sum(len(records) for records in consumer.poll(100).values())
        return was_told_to_wait(consumer)


def was_told_to_wait(client: kafka.KafkaProducer | kafka.KafkaConsumer) -> bool:
    """Ask kafka-python's metrics; what was never measured is no number there."""
    return any(group.get("throttle-time-max", 0.0) > 0 for group in client.metrics().values())


def set_quota(bootstrap: str, key: str, value: float | None) -> None:
    """Give the client a quota, or take it away. Neither library can."""
    entity = [{"entity_type": "client-id", "entity_name": CLIENT}]
    change = {"key": key, "value": value or 0.0, "remove": value is None}
    with ProtocolClient(bootstrap, TIMEOUT_MS) as client:
        answer = client.ask(49, {"entries": [{"entity": entity, "ops": [change]}], "validate_only": False})
    assert [entry.error_code for entry in answer.entries] == [0]


@pytest.mark.parametrize(
    ("is_told", "key"),
    [
        pytest.param(write_with_confluent, "producer_byte_rate", id="confluent-kafka writes"),
        pytest.param(read_with_confluent, "consumer_byte_rate", id="confluent-kafka reads"),
        pytest.param(write_with_kafka_python, "producer_byte_rate", id="kafka-python writes"),
        pytest.param(read_with_kafka_python, "consumer_byte_rate", id="kafka-python reads"),
    ],
)
def test_a_quota_that_is_set_while_a_leader_is_dead_holds_with_its_successor_and_when_it_leads_again(
    cluster: ThreeBrokers, is_told: Told, key: str
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    first = cluster.leader(partition)
    assert not write_with_confluent(cluster.bootstrap, partition), "there is something to read, and no quota"
    assert not is_told(cluster.bootstrap, partition)

    def until_told(server: str, told: bool) -> None:
        what = f"{server} {'asks for' if told else 'goes without'} patience"  # it may learn of the change a little late
        cluster.until(what, lambda _: is_told(cluster.bootstrap_of(server), partition) == told, 2 * PATIENCE_S)

    cluster.kill(first)
    second = cluster.new_leader(partition, first)
    set_quota(cluster.bootstrap_of(second), key, RATE)
    try:
        until_told(second, True)
        cluster.mend()
        preferred = confluent_kafka.TopicPartition(*partition)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.elect_leaders(ElectionType.PREFERRED, [preferred]).result(PATIENCE_S)
        assert cluster.new_leader(partition, second) == first
        until_told(first, True)
    finally:
        set_quota(cluster.bootstrap_of(second), key, None)
    until_told(first, False)
