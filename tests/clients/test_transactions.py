"""Transactions of real clients: exactly once through the death of brokers, and readers who never see what was aborted.

librdkafka copies a topic in transactions (read, write, commit the position) while the coordinator of its transactions,
the coordinator of its group and the leader of the copy are killed and come back, one after the other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator

import aiokafka
import kafka
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as Place
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash

pytestmark = pytest.mark.live

RECORDS = 2_000
PATIENCE_S = 120.0
ABORTS_EVERY = 5


class Copier(threading.Thread):
    """Copies one partition to another topic in transactions until `RECORDS` are copied; begins anew after an error."""

    def __init__(self, cluster: ThreeBrokers, source: str, target: str) -> None:
        super().__init__(daemon=True)
        self._servers = cluster.bootstrap
        self._source, self._copies = source, target
        self.committed = 0
        self.aborted = 0
        self.errors: list[str] = []
        self.may_finish = threading.Event()

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.committed < RECORDS and time.monotonic() < deadline:
            try:
                self._copy(deadline)
            except KafkaException as error:
                self.errors.append(str(error))

    def _copy(self, deadline: float) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self._servers,
                "transactional.id": "copier",
                "transaction.timeout.ms": 20_000,
            }
        )
        producer.init_transactions(30)
        consumer = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "copiers",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        try:
            (place,) = consumer.committed([Place(self._source, 0)], timeout=30)
            self.committed = position = max(place.offset, 0)
            consumer.assign([Place(self._source, 0, position)])
            attempt = 0
            while self.committed < RECORDS and time.monotonic() < deadline:
                messages = [each for each in consumer.consume(5, 1.0) if each.error() is None]
                if not messages:
                    continue
                if self.committed >= RECORDS // 2 and not self.may_finish.is_set():
                    self.may_finish.wait(0.05)  # so that there is something to copy when the last broker dies
                attempt += 1
                producer.begin_transaction()
                for message in messages:
                    producer.produce(self._copies, message.value() + b"/%d" % attempt, partition=0)
                ends = [Place(self._source, 0, messages[-1].offset() + 1)]
                producer.send_offsets_to_transaction(ends, consumer.consumer_group_metadata(), 30)
                if attempt % ABORTS_EVERY == 0:
                    producer.abort_transaction(30)
                    self.aborted += 1
                    consumer.seek(Place(self._source, 0, self.committed))
                else:
                    producer.commit_transaction(30)
                    self.committed = messages[-1].offset() + 1
        finally:
            consumer.close()


def write(cluster: ThreeBrokers, topic: str) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    for number in range(RECORDS):
        producer.produce(topic, b"%d" % number, partition=0)
    assert producer.flush(60) == 0


def read(cluster: ThreeBrokers, topic: str, isolation: str) -> Iterator[bytes]:
    """Read partition 0 to its end, as that isolation level sees it."""
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "readers", "isolation.level": isolation}
        | {"enable.partition.eof": True, "enable.auto.commit": False}
    )
    consumer.assign([Place(topic, 0, 0)])
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            yield message.value()
        elif message is not None:  # the end of the partition
            break
    consumer.close()


def test_a_topic_is_copied_exactly_once_while_brokers_die(cluster: ThreeBrokers) -> None:
    source, target = cluster.new_topic(), cluster.new_topic()
    write(cluster, source)
    copier = Copier(cluster, source, target)
    copier.start()
    for partition in (TopicPartition("__transaction_state", 0), TopicPartition("__consumer_offsets", 0)):
        cluster.until(f"there is {partition}", lambda now, wanted=partition.topic: wanted in now.topics())
    coordinators = [
        coordinator(cluster, "__transaction_state", "copier"),
        coordinator(cluster, "__consumer_offsets", "copiers"),
    ]
    for partition in (*coordinators, TopicPartition(target, 0)):
        assert copier.committed < RECORDS, "it has to be broken while it copies"
        cluster.kill(cluster.leader(partition))
        cluster.mend()
    copier.may_finish.set()
    copier.join(PATIENCE_S)
    assert copier.committed == RECORDS, copier.errors
    copies = Counter(value.split(b"/")[0] for value in read(cluster, target, "read_committed"))
    assert copies == Counter({b"%d" % number: 1 for number in range(RECORDS)})
    assert copier.aborted and sum(1 for _ in read(cluster, target, "read_uncommitted")) > RECORDS


def coordinator(cluster: ThreeBrokers, topic: str, key: str) -> TopicPartition:
    """Return the partition in which the state of a key lies."""
    return TopicPartition(topic, key_hash(key) % 50)


def test_readers_of_committed_records_are_given_no_aborted_ones(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic()
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": "writer"})
    producer.init_transactions(30)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.flush(30)
        (producer.abort_transaction if number % 3 == 2 else producer.commit_transaction)(30)
    committed, everything = [b"0", b"1", b"3", b"4"], [b"%d" % number for number in range(6)]
    assert list(read(cluster, topic, "read_committed")) == committed
    assert list(read(cluster, topic, "read_uncommitted")) == everything
    assert asyncio.run(read_with_aiokafka(cluster, topic, len(committed))) == committed
    assert read_with_kafka_python(cluster, topic, len(committed)) == committed


async def read_with_aiokafka(cluster: ThreeBrokers, topic: str, count: int) -> list[bytes]:
    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=cluster.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        group_id=None,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def read_with_kafka_python(cluster: ThreeBrokers, topic: str, count: int) -> list[bytes]:
    consumer = kafka.KafkaConsumer(
        topic,
        bootstrap_servers=cluster.bootstrap.split(","),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        consumer_timeout_ms=20_000,
    )
    try:
        return [record.value for record, _ in zip(consumer, range(count), strict=False)]
    finally:
        consumer.close()


def test_a_transaction_that_nobody_ends_does_not_stop_readers_for_good(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic()
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "transactional.id": "sleeper", "transaction.timeout.ms": 3_000}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never", partition=0)
    producer.flush(30)
    other = Producer({"bootstrap.servers": cluster.bootstrap})
    other.produce(topic, b"after", partition=0)
    assert other.flush(30) == 0
    cluster.until(
        "the transaction was aborted", lambda now: list(read(cluster, topic, "read_committed")) == [b"after"], 60
    )
    with pytest.raises(KafkaException):
        producer.commit_transaction(30)
