"""What is measured: produce throughput, produce latency, consume throughput, and what it costs the nodes.

Idempotence is off: librdkafka's idempotent producer sends batches of five or more messages one at a time and
spins meanwhile, so that it would measure itself. `fetch.queue.backoff.ms` is 5, because its default of a second
stalls a fast consumer.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.bench.clusters import PARTITIONS, Peer


@dataclass(frozen=True)
class Load:
    """One produce setting."""

    name: str
    acks: str
    record_bytes: int
    batch_bytes: int
    records: int


class DeliveryFailed(Exception):
    """A benchmark lost records, so its figure means nothing."""


def _refuse_errors(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        raise DeliveryFailed(f"{message.topic()}-{message.partition()}: {error}")


def _producer(peer: Peer, acks: str, batch_bytes: int, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": peer.bootstrap,
            "acks": acks,
            "enable.idempotence": False,
            "batch.size": batch_bytes,
            "batch.num.messages": 1_000_000,
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
            "delivery.report.only.error": True,
        }
    )


def produce_megabytes_per_second(peer: Peer, topic: str, load: Load) -> float:
    """Produce the load over all partitions and return MB/s from the first record to the last acknowledgement."""
    producer = _producer(peer, load.acks, load.batch_bytes, linger_ms=5)
    producer.list_topics(topic, timeout=10)
    value = b"x" * load.record_bytes
    begun = time.perf_counter()
    for number in range(load.records):
        while True:
            try:
                producer.produce(topic, value, partition=number % PARTITIONS, on_delivery=_refuse_errors)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120) > 0:
        raise DeliveryFailed(f"{topic}: not everything was acknowledged in 120 s")
    return load.records * load.record_bytes / (time.perf_counter() - begun) / 1e6


def produce_latency_ms(peer: Peer, topic: str, acks: str, records: int) -> list[float]:
    """Send single records, one in flight, and return the sorted times until each was acknowledged."""
    producer = _producer(peer, acks, 16_384, linger_ms=0)
    times: list[float] = []
    for number in range(records + 50):
        begun = time.perf_counter()
        producer.produce(topic, b"x" * 1024, partition=number % PARTITIONS, on_delivery=_refuse_errors)
        if producer.flush(30) > 0:
            raise DeliveryFailed(f"{topic}: a single record was not acknowledged in 30 s")
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times[50:])


def node_seconds(peer: Peer) -> float:
    """Return the processor seconds, user and system, that the cluster's nodes have used so far."""
    ticks = 0
    for pid in peer.node_pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def consume_megabytes_per_second(peer: Peer, topic: str, record_bytes: int, records: int, rounds: int) -> float:
    """Read what the topic holds from the beginning, several times over, and return MB/s.

    Little data and many rounds, because the mock keeps no more than five megabytes of a partition.
    """
    producer = _producer(peer, "all", 262_144, linger_ms=5)
    for number in range(records):
        producer.produce(topic, b"x" * record_bytes, partition=number % PARTITIONS, on_delivery=_refuse_errors)
    producer.flush(60)
    consumer = Consumer(
        {
            "bootstrap.servers": peer.bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "fetch.wait.max.ms": 10,
        }
    )
    begun = time.perf_counter()
    for _ in range(rounds):
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        seen = 0
        while seen < records:
            batch = consumer.consume(min(10_000, records - seen), timeout=10)
            if not batch:
                raise DeliveryFailed(f"{topic}: {seen} of {records} records arrived, then none for 10 s")
            seen += len(batch)
    elapsed = time.perf_counter() - begun
    consumer.close()
    return rounds * records * record_bytes / elapsed / 1e6
