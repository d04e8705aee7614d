"""Bytes on a real socket: requests that are pipelined, and whatever a stranger may send. No broker dies of it."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator

import pytest
from client_faces import BEGINNING, Confluent
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.records import build_batch

pytestmark = pytest.mark.live

PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18
CORRUPT_MESSAGE, UNSUPPORTED_VERSION = 2, 35
PATIENCE_S = 15.0


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def frame(api_key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    payload = struct.pack(">hhi", api_key, version, correlation_id) + text("raw") + body
    return struct.pack(">i", len(payload)) + payload


def produce_body(partition: TopicPartition, batch: bytes, acks: int = -1) -> bytes:
    """Produce version 3: no transactional id, one topic, one partition."""
    head = struct.pack(">hhi", -1, acks, 10_000)
    part = struct.pack(">iii", 1, partition.partition, len(batch)) + batch
    return head + struct.pack(">i", 1) + text(partition.topic) + part


def fetch_body(partition: TopicPartition, offset: int, wait_ms: int) -> bytes:
    """Fetch version 4 of one partition: wait for more than there will be."""
    head = struct.pack(">iiiib", -1, wait_ms, 1 << 20, 1 << 20, 0)
    part = struct.pack(">iiqi", 1, partition.partition, offset, 1 << 20)
    return head + struct.pack(">i", 1) + text(partition.topic) + part


def batch_of(*values: bytes) -> bytes:
    return bytes(build_batch([(None, value, ()) for value in values], timestamp_ms=1_700_000_000_000))


class RawConnection:
    """A socket that speaks in frames."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> tuple[int, bytes]:
        """Return the next reply: its correlation id and its body."""
        (size,) = struct.unpack(">i", self._exactly(4))
        content = self._exactly(size)
        return struct.unpack_from(">i", content)[0], content[4:]

    def is_closed_by_the_broker(self) -> bool:
        """Wait for the end of the stream."""
        try:
            return self.socket.recv(1 << 16) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            piece = self.socket.recv(size - len(content))
            assert piece, "the broker closed the connection"
            content += piece
        return content


@pytest.fixture
def leader(cluster: ThreeBrokers) -> Iterator[tuple[str, TopicPartition]]:
    """A partition and its leader's address. Afterwards the same processes must run as before, and serve."""
    partition = TopicPartition(cluster.new_topic(), 0)
    processes = cluster.process_ids()
    address = cluster.bootstrap_of(cluster.leader(partition))
    yield address, partition
    assert cluster.process_ids() == processes
    with RawConnection(address) as connection:
        connection.send(frame(API_VERSIONS, 0, 7, b""))
        assert connection.reply()[0] == 7


def test_pipelined_requests_are_answered_in_their_order(leader: tuple[str, TopicPartition]) -> None:
    address, partition = leader
    requests = []
    for number in range(100):
        # acks=all waits for followers and the long poll for its time; the questions between them need not wait.
        requests.append((PRODUCE, 3, produce_body(partition, batch_of(b"%d" % number))))
        requests.append((API_VERSIONS, 0, b""))
        requests.append((METADATA, 1, struct.pack(">i", 1) + text(partition.topic)))
        if number % 50 == 0:
            requests.append((FETCH, 4, fetch_body(partition, 0, wait_ms=200)))
    with RawConnection(address) as connection:
        connection.send(b"".join(frame(*request[:2], number, request[2]) for number, request in enumerate(requests)))
        replies = [connection.reply() for _ in requests]
    assert [correlation_id for correlation_id, _ in replies] == list(range(len(requests)))
    produced = [body for (api_key, _, _), (_, body) in zip(requests, replies, strict=True) if api_key == PRODUCE]
    assert [produce_outcome(partition, body) for body in produced] == [(0, number) for number in range(100)]


def produce_outcome(partition: TopicPartition, body: bytes) -> tuple[int, int]:
    """Return the error code and the base offset of a Produce response of version 3."""
    position = 4 + len(text(partition.topic)) + 4 + 4
    error, offset = struct.unpack_from(">hq", body, position)
    return error, offset


def test_a_request_without_a_reply_does_not_shift_the_others(
    cluster: ThreeBrokers, leader: tuple[str, TopicPartition]
) -> None:
    address, partition = leader
    with RawConnection(address) as connection:
        for number in range(20):
            connection.send(frame(PRODUCE, 3, 100 + number, produce_body(partition, batch_of(b"%d" % number), acks=0)))
            connection.send(frame(API_VERSIONS, 0, number, b""))
        assert [connection.reply()[0] for _ in range(20)] == list(range(20))
    got = Confluent().read(cluster.bootstrap, partition, BEGINNING, 20)
    assert [record.value for record in got] == [b"%d" % number for number in range(20)]


def test_requests_in_single_bytes_are_served(leader: tuple[str, TopicPartition]) -> None:
    address, partition = leader
    with RawConnection(address) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(PRODUCE, 3, 5, produce_body(partition, batch_of(b"slowly"))):
            connection.send(bytes([byte]))
        correlation_id, body = connection.reply()
    assert (correlation_id, produce_outcome(partition, body)) == (5, (0, 0))


STRANGE = {
    "an unknown API": frame(999, 0, 1, b""),
    "a negative API": frame(-5, 0, 1, b""),
    "a version of the future": frame(METADATA, 99, 1, b""),
    "a version that Kafka 4 dropped": frame(PRODUCE, 2, 1, b"\x00" * 30),
    "a body that ends too early": frame(METADATA, 1, 1, struct.pack(">ih", 3, 100)),
    "an absurd array": frame(METADATA, 1, 1, struct.pack(">i", 2**31 - 1)),
    "a header that ends too early": struct.pack(">ihh", 4, 18, 0),
    "an empty frame": struct.pack(">i", 0),
    "a negative size": struct.pack(">i", -1),
    "a size above the limit": struct.pack(">i", 200_000_000) + b"x" * 1000,
    "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "a terminal": b"hello?\r\n" * 10,
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=[name.replace(" ", "-") for name in STRANGE])
def test_a_stranger_is_shown_out_and_the_broker_lives(leader: tuple[str, TopicPartition], data: bytes) -> None:
    with RawConnection(leader[0]) as connection:
        connection.send(data)
        assert connection.is_closed_by_the_broker()


def test_a_client_of_the_future_is_told_which_versions_there_are(leader: tuple[str, TopicPartition]) -> None:
    with RawConnection(leader[0]) as connection:
        connection.send(frame(API_VERSIONS, 99, 1, b"\x00" * 10))
        correlation_id, body = connection.reply()
        assert (correlation_id, struct.unpack_from(">hih", body)) == (1, (UNSUPPORTED_VERSION, 1, API_VERSIONS))
        connection.send(frame(API_VERSIONS, 0, 2, b""))
        assert connection.reply()[0] == 2


def test_a_damaged_batch_is_refused_and_leaves_nothing_behind(
    cluster: ThreeBrokers, leader: tuple[str, TopicPartition]
) -> None:
    address, partition = leader
    damaged = bytearray(batch_of(b"the value"))
    damaged[-3] ^= 1
    with RawConnection(address) as connection:
        for number, batch in enumerate((bytes(damaged), batch_of(b"whole"))):
            connection.send(frame(PRODUCE, 3, number, produce_body(partition, batch)))
        assert produce_outcome(partition, connection.reply()[1])[0] == CORRUPT_MESSAGE
        assert produce_outcome(partition, connection.reply()[1]) == (0, 0)
    assert [batch.values for batch in cluster.stored_batches(partition)] == [("whole",)]


def test_random_bytes_and_broken_connections_do_no_harm(leader: tuple[str, TopicPartition]) -> None:
    address, partition = leader
    rng = random.Random(1)
    whole = frame(PRODUCE, 3, 1, produce_body(partition, batch_of(b"cut")))
    for number in range(60):
        with RawConnection(address) as connection:
            if number % 3 == 0:
                connection.send(whole[: rng.randrange(1, len(whole))])  # and goes away in the middle
            elif number % 3 == 1:
                connection.send(struct.pack(">i", 200) + rng.randbytes(200))
            else:
                connection.send(frame(rng.choice([0, 1, 2, 3, 10, 19, 22]), 7, 1, rng.randbytes(100)))
    with RawConnection(address) as connection:
        connection.send(whole)
        assert produce_outcome(partition, connection.reply()[1])[0] == 0, "whoever comes after them is served"
