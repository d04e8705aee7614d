"""Every client writes in every codec and reads from every place, on three brokers with acks=all."""

from __future__ import annotations

import time

import pytest
from client_faces import (
    BEGINNING,
    CLIENTS,
    CODECS,
    END,
    Acks,
    Client,
    Confluent,
    Given,
    Got,
    Start,
)
from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from steady_writers import ConfluentWriter
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.records import iterate_headers

pytestmark = pytest.mark.live

HEADERS = (("trace", b"abc"), ("trace", b"again"), ("n", b"1"))
RECORDS = [Given(b"value %d " % number * 20, b"key %d" % number, HEADERS) for number in range(200)]


def codecs_on_disk(cluster: ThreeBrokers, partition: TopicPartition, node: str) -> set[str]:
    (segment,) = (cluster.target.directory(node) / str(partition)).glob("*.log")
    return {CODECS[header.compression] for _, header in iterate_headers(memoryview(segment.read_bytes()))}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_client_writes_in_a_codec_is_replicated_as_it_is_and_read(
    cluster: ThreeBrokers, client: Client, codec: str
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    client.produce(cluster.bootstrap, partition, RECORDS, codec)
    got = client.read(cluster.bootstrap, partition, BEGINNING, len(RECORDS))
    assert [record.given for record in got] == RECORDS
    assert [record.offset for record in got] == list(range(len(RECORDS)))
    if not isinstance(client, Confluent):
        assert Confluent().read(cluster.bootstrap, partition, BEGINNING, len(RECORDS)) == got
    cluster.stored_batches(partition)
    assert codecs_on_disk(cluster, partition, "b2") == {codec}


AWKWARD = [
    Given(None, b"a tombstone"),
    Given(b"no key", None),
    Given(b"", b""),
    Given(None, b"headers", (("empty", b""), ("same", b"1"), ("same", b"2"))),
    Given(bytes(range(256)), bytes(range(255, -1, -1)), (("å∫ç", b"\x00\xff"),)),
    Given(b"large" * 180_000, b"key"),
    Given(b"the last"),
]


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("client", [param for param in CLIENTS if param.id != "kcat"])
def test_nulls_empty_bytes_and_large_values_go_through_every_client(
    cluster: ThreeBrokers, client: Client, codec: str
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    client.produce(cluster.bootstrap, partition, AWKWARD, codec)
    for reader in CLIENTS:
        if reader.id != "kcat":
            got = reader.values[0].read(cluster.bootstrap, partition, BEGINNING, len(AWKWARD))
            assert [record.given for record in got] == AWKWARD, reader.id


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_reads_from_a_timestamp(cluster: ThreeBrokers, client: Client) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    first_ms = 1_700_000_000_000
    records = [Given(b"%d" % number, b"k", (), first_ms + number * 1000) for number in range(20)]
    for half in (records[:10], records[10:]):  # two batches at least: both what is found within one and across
        Confluent().produce(cluster.bootstrap, partition, half)
    for asked_ms, expected in ((first_ms + 5000, 5), (first_ms + 11_001, 12), (first_ms - 1, 0)):
        got = client.read(cluster.bootstrap, partition, Start("time", asked_ms), 20 - expected)
        assert [record.offset for record in got] == list(range(expected, 20))
        assert [record.timestamp_ms for record in got] == [record.timestamp_ms for record in records[expected:]]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_reads_from_the_end_only_what_is_written_later(cluster: ThreeBrokers, client: Client) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    Confluent().produce(cluster.bootstrap, partition, [Given(b"old", b"k")] * 50)
    # Who begins at the end needs not be waited for when something is written all the time: it sees what comes next.
    with ConfluentWriter(cluster.bootstrap, partition) as writer:
        got = client.read(cluster.bootstrap, partition, END, 20)
    assert_consecutive(got, not_before=50)
    assert [record.value for record in got] == [writer.sent[record.offset - 50] for record in got]


def assert_consecutive(got: list[Got], not_before: int) -> None:
    first = got[0].offset
    assert first >= not_before
    assert [record.offset for record in got] == list(range(first, first + len(got)))


@pytest.mark.parametrize("acks", ["0", "1", "all"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_kind_of_acknowledgement_brings_the_records_in(cluster: ThreeBrokers, client: Client, acks: Acks) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    before_ms = time.time() * 1000
    client.produce(cluster.bootstrap, partition, RECORDS[:50], acks=acks)
    got = client.read(cluster.bootstrap, partition, BEGINNING, 50)
    assert [record.given for record in got] == RECORDS[:50]
    assert all(before_ms - 1 <= record.timestamp_ms <= time.time() * 1000 for record in got)


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
