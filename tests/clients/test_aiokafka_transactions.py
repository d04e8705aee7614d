"""aiokafka's transactions: whole or not at all, while both coordinators and a leader of theirs are killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import aiokafka
import pytest
from aiokafka.structs import OffsetAndMetadata
from test_transactions import coordinator, read_with_kafka_python
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition

pytestmark = pytest.mark.live

NAME = "asyncio"
TRANSACTIONS = 24
PARTITIONS = 2
PATIENCE_S = 150.0


def victims(cluster: ThreeBrokers, topic: str) -> Iterator[str]:
    """Who is killed, one after the other, in the middle of a transaction."""
    yield cluster.leader(coordinator(cluster, "__transaction_state", NAME))
    yield cluster.leader(coordinator(cluster, "__consumer_offsets", NAME))
    yield cluster.leader(TopicPartition(topic, 0))


async def write_transactions(cluster: ThreeBrokers, topic: str) -> list[bytes]:
    """Write to two partitions and move a group in each transaction; return what was committed."""
    committed: list[bytes] = []
    dying = victims(cluster, topic)
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, transactional_id=NAME)
    await producer.start()
    try:
        for number in range(TRANSACTIONS):
            await producer.begin_transaction()
            sent = [await producer.send(topic, b"%d" % number, partition=partition) for partition in range(PARTITIONS)]
            offsets = {aiokafka.TopicPartition(topic, 0): OffsetAndMetadata(number, "")}
            await producer.send_offsets_to_transaction(offsets, NAME)
            victim = next(dying) if number % 8 == 4 else None
            if victim is not None:
                await asyncio.to_thread(cluster.kill, victim)
            await asyncio.gather(*sent)
            if number % 3 == 2:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
                committed.append(b"%d" % number)
            if victim is not None:
                await asyncio.to_thread(cluster.mend)
    finally:
        await producer.stop()
    return committed


async def committed_offset(cluster: ThreeBrokers, topic: str) -> int | None:
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=NAME, enable_auto_commit=False)
    await consumer.start()
    try:
        return await consumer.committed(aiokafka.TopicPartition(topic, 0))
    finally:
        await consumer.stop()


def test_aiokafkas_transactions_are_whole_while_brokers_die(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic(partitions=PARTITIONS)
    committed = asyncio.run(asyncio.wait_for(write_transactions(cluster, topic), PATIENCE_S))
    assert len(committed) == TRANSACTIONS * 2 // 3
    read = read_with_kafka_python(cluster, topic, PARTITIONS * len(committed))
    assert Counter(read) == Counter(committed * PARTITIONS)
    offset = asyncio.run(asyncio.wait_for(committed_offset(cluster, topic), PATIENCE_S))
    assert offset == int(committed[-1])
