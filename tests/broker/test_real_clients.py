"""A lone broker behind a real socket, and the clients that people use: librdkafka, kcat, aiokafka, kafka-python."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioTopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as PythonTopicPartition
from lone_broker import LoneBroker, registration

from cluster.broker import KafkaListener
from cluster.metadata import Endpoint

pytestmark = pytest.mark.live


class ServedBroker:
    """A lone broker on a loop of its own, in a thread of its own."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self.problems: list[dict[str, Any]] = []
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.problems.append(context))
        self._stop = asyncio.Event()
        broker = LoneBroker(self._loop)
        listener = KafkaListener(broker.context)
        await listener.start("127.0.0.1", 0)
        assert listener._server is not None
        self.port = listener._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        one = replace(registration(1), kafka=Endpoint("127.0.0.1", self.port))
        broker.set_image(replace(broker.image, offset=5, brokers={1: one}))
        self._ready.set()
        await self._stop.wait()
        await listener.stop()
        await asyncio.sleep(0.05)

    def close(self) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self.problems, self.problems


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    broker = ServedBroker()
    yield f"127.0.0.1:{broker.port}"
    broker.close()


def new_topic() -> str:
    return f"t-{uuid4().hex[:8]}"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_librdkafka_reads_what_it_wrote(bootstrap: str, codec: str, idempotent: bool) -> None:
    topic = new_topic()
    failures: list[Any] = []
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": idempotent, "linger.ms": 5}
    )
    for number in range(500):
        producer.produce(
            topic,
            key=b"k%d" % number,
            value=b"v%d" % number * 20,
            headers=[("h", b"%d" % number)],
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(20) == 0
    assert failures == []
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found = []
    while len(found) < 500:
        message = consumer.poll(10)
        assert message is not None and (message.error() is None), message and message.error()
        found.append((message.key(), message.value(), message.headers()))
    assert found == [(b"k%d" % n, b"v%d" % n * 20, [("h", b"%d" % n)]) for n in range(500)]
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 500)
    consumer.close()


def test_librdkafkas_admin_client_creates_describes_and_deletes(bootstrap: str) -> None:
    topic = new_topic()
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "1234"})])[topic].result(10)
    assert len(admin.list_topics(timeout=10).topics[topic].partitions) == 3
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    configs = admin.describe_configs([resource])[resource].result(10)
    assert configs["retention.ms"].value == "1234"
    cluster = admin.describe_cluster().result(10)
    assert [node.id for node in cluster.nodes] == [1]
    admin.delete_topics([topic])[topic].result(10)
    assert topic not in admin.list_topics(timeout=10).topics


def test_a_consumer_past_the_end_is_told(bootstrap: str) -> None:
    topic = new_topic()
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, b"x")
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, 0, 77)])
    message = consumer.poll(10)
    assert message is not None and message.error().code() == KafkaError._AUTO_OFFSET_RESET
    consumer.close()


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_writes_and_reads(bootstrap: str) -> None:
    topic = new_topic()
    lines = "".join(f"line {n}\n" for n in range(100))
    kcat = ["kcat", "-b", bootstrap, "-t", topic]
    subprocess.run([*kcat, "-P", "-z", "zstd", "-X", "acks=all"], input=lines, text=True, check=True, timeout=30)
    read = subprocess.run([*kcat, "-C", "-e", "-q"], capture_output=True, text=True, check=True, timeout=30)
    assert read.stdout == lines


def test_aiokafka_reads_what_it_wrote(bootstrap: str) -> None:
    async def run() -> list[Any]:
        topic = new_topic()
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
            for number in range(50):
                await producer.send_and_wait(topic, b"%d" % number, partition=0)
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
            partition = AioTopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            return [(await consumer.getone()).value for _ in range(50)]

    assert asyncio.run(asyncio.wait_for(run(), 30)) == [b"%d" % number for number in range(50)]


def test_kafka_python_reads_what_it_wrote(bootstrap: str) -> None:
    topic = new_topic()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for number in range(50):
        producer.send(topic, b"%d" % number, partition=0).get(20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=10_000)
    partition = PythonTopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found = [next(consumer).value for _ in range(50)]
    consumer.close()
    assert found == [b"%d" % number for number in range(50)]
