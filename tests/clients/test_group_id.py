"""A consumer that has a group id and assigns partitions itself, which is how many people begin."""

from __future__ import annotations

import time

import pytest
from client_faces import Confluent, Given
from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition

pytestmark = pytest.mark.live


def test_librdkafka_with_a_group_id_reads_by_assignment_and_closes_in_time(cluster: ThreeBrokers) -> None:
    """It looks for the group's coordinator all the while, commits in the background, and must not mind."""
    partition = TopicPartition(cluster.new_topic(), 0)
    records = [Given(b"%d" % number) for number in range(100)]
    Confluent().produce(cluster.bootstrap, partition, records)
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "somebody", "auto.commit.interval.ms": 100}
    )
    consumer.list_topics(partition.topic, 10)
    consumer.assign([ConfluentTopicPartition(partition.topic, partition.partition, OFFSET_BEGINNING)])
    found: list[bytes] = []
    deadline_s = time.monotonic() + 15
    while len(found) < 100 and time.monotonic() < deadline_s:
        for message in consumer.consume(50, 0.2):
            assert message.error() is None, message.error()
            found.append(message.value())
    assert found == [record.value for record in records]
    before_s = time.monotonic()
    consumer.close()
    assert time.monotonic() - before_s < 10
