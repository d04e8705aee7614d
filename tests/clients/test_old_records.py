"""What becomes of old records on a real cluster: compaction, DeleteRecords; and a consumer that reads in its rack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import kafka
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from three_brokers import ThreeBrokers, replica_states

from cluster.base.ids import TopicPartition
from cluster.lab.observation import Observation
from cluster.lab.replica_files import read_stored_batches

pytestmark = pytest.mark.live

PATIENCE_S = 60.0
PROPERTIES = {"log.cleaner.backoff.ms": "200", "replica.selector.class": "RackAwareReplicaSelector"}
RACKS = ("east", "west", "north")
COMPACTED = {"cleanup_policy": "compact", "segment_bytes": "4096", "min_cleanable_dirty_ratio": "0.01"}


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeBrokers]:
    cluster = ThreeBrokers(tmp_path_factory.mktemp("old") / "data", PROPERTIES, RACKS)
    yield cluster
    cluster.close()


def produce(cluster: ThreeBrokers, topic: str, records: list[tuple[str | None, str]]) -> list[str]:
    """Produce with acks=all; return the names of the errors."""
    errors: list[str] = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0, "batch.num.messages": 5})

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            errors.append(error.name())

    for key, value in records:
        producer.produce(topic, value, key, on_delivery=delivered)
    assert producer.flush(PATIENCE_S) == 0
    return errors


def consume_with_confluent(cluster: ThreeBrokers, topic: str) -> list[tuple[int, bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "g", "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found = []
    while True:
        message = consumer.poll(PATIENCE_S)
        assert message is not None, "the end was never reached"
        if message.error():
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            consumer.close()
            return found
        found.append((message.offset(), message.key(), message.value()))


def consume_with_kafka_python(cluster: ThreeBrokers, topic: str) -> list[tuple[int, bytes, bytes]]:
    partition = kafka.TopicPartition(topic, 0)
    consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=None)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    found = []
    while consumer.position(partition) < end:
        for records in consumer.poll(1000).values():
            found += [(record.offset, record.key, record.value) for record in records]
    consumer.close()
    return found


def stored(cluster: ThreeBrokers, name: str, partition: TopicPartition) -> int:
    """How many records lie on a broker's disk."""
    return sum(len(batch.values) for batch in read_stored_batches(cluster.target.directory(name), partition))


def test_old_values_go_from_every_replica_and_the_last_ones_stay(cluster: ThreeBrokers) -> None:
    partition = TopicPartition(cluster.new_topic(**COMPACTED), 0)
    topic = partition.topic
    last = {f"k{number % 7}": f"{number}-{'x' * 40}" for number in range(700)}
    records: list[tuple[str | None, str]] = [(f"k{number % 7}", f"{number}-{'x' * 40}") for number in range(700)]
    assert produce(cluster, topic, records[:400]) == []
    victim = cluster.leader(partition)
    cluster.kill(victim)
    cluster.new_leader(partition, victim)
    assert produce(cluster, topic, records[400:]) == []
    cluster.mend()
    cluster.until(
        "every replica has got rid of old values",
        lambda now: all(stored(cluster, name, partition) < 250 for name in cluster.target.node_names),
        PATIENCE_S,
    )
    for found in (consume_with_confluent(cluster, topic), consume_with_kafka_python(cluster, topic)):
        assert {key.decode(): value.decode() for _, key, value in found} == last
        offsets = [offset for offset, _, _ in found]
        assert offsets == sorted(offsets) and len(offsets) < 250 and offsets[-1] == 699


def test_a_compacted_topic_takes_no_record_without_a_key(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic(**COMPACTED)
    assert produce(cluster, topic, [(None, "value")]) == ["INVALID_RECORD"]
    assert produce(cluster, topic, [("key", "value")]) == []


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_deleted_records_are_gone_from_every_replica(cluster: ThreeBrokers, client: str) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    topic = partition.topic
    assert produce(cluster, topic, [("k", f"{number}") for number in range(50)]) == []
    if client == "confluent":
        place = confluent_kafka.TopicPartition(topic, 0, 30)
        asking = AdminClient({"bootstrap.servers": cluster.bootstrap})  # it must live until it is answered
        (answer,) = asking.delete_records([place]).values()
        assert answer.result(PATIENCE_S).low_watermark == 30
    else:
        admin = kafka.KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        answered = admin.delete_records({kafka.TopicPartition(topic, 0): 30})
        assert [result["low_watermark"] for result in answered.values()] == [30]
        admin.close()
    starts = cluster.until("all three replicas answer", lambda now: _starts(now, partition))
    assert starts == [30, 30, 30], "the answer waited for the followers"
    assert [offset for offset, _, _ in consume_with_confluent(cluster, topic)] == list(range(30, 50))


def _starts(now: Observation, partition: TopicPartition) -> list[int] | None:
    starts = [state.log_start_offset for state in replica_states(now, partition).values()]
    return starts if len(starts) == 3 else None


def test_a_consumer_reads_from_the_follower_in_its_rack(cluster: ThreeBrokers) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    leader = cluster.leader(partition)
    number = next(number for number, name in enumerate(cluster.target.node_names) if name != leader)
    assert produce(cluster, partition.topic, [("k", f"{number}") for number in range(20)]) == []
    sources: list[int] = []

    def statistics(text: str) -> None:
        topics = json.loads(text)["topics"]
        if partition.topic in topics:
            sources.append(topics[partition.topic]["partitions"]["0"]["broker"])

    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": "g",
            "client.rack": RACKS[number],
            "statistics.interval.ms": 100,
            "stats_cb": statistics,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(partition.topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found: list[bytes] = []
    follower = cluster.target.node_ids[cluster.target.node_names[number]]
    deadline_s = time.monotonic() + PATIENCE_S
    while len(found) < 400 or sources[-1:] != [follower]:
        assert time.monotonic() < deadline_s, f"{len(found)} records came, from {sources[-1:]}"
        message = consumer.poll(0.1)  # statistics come between messages
        if message is None:
            continue
        assert not message.error()
        found.append(message.value())
        if len(found) == 20:  # more, which the follower has to serve
            assert produce(cluster, partition.topic, [("k", f"{number}") for number in range(20, 400)]) == []
    consumer.close()
    assert found == [b"%d" % number for number in range(len(found))]
