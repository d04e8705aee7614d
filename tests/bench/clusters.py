"""The two clusters that a benchmark compares: Fencepost's processes, and librdkafka's mock inside the client.

The mock keeps no durable copy, checks no CRC, does not replicate and lives in the producer's own process: it bounds
what any cluster could reach with this client on this machine. Only ratios taken in one run mean anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

FENCEPOST = str(Path(sys.executable).with_name("fencepost"))
PARTITIONS = 3


@dataclass(frozen=True)
class Peer:
    """A cluster to measure: its name in the table and where clients connect."""

    name: str
    bootstrap: str
    node_pids: tuple[int, ...] = ()
    """Its processes; none for the mock, which is part of this one."""


@contextmanager
def fencepost_cluster() -> Iterator[Peer]:
    """Start three brokers in combined mode; stop and remove everything afterwards."""
    with tempfile.TemporaryDirectory(prefix="fencepost-bench-") as directory:
        name = Path(directory).name
        where = ["--name", name]
        up = [FENCEPOST, "up", "-n", "3", "--combined", "-d", "--json", "--port", "0", "--data-dir", directory, *where]
        started = subprocess.run(up, capture_output=True, text=True, check=True)
        try:
            status = json.loads(started.stdout)
            yield Peer("fencepost", status["bootstrap"], tuple(node["pid"] for node in status["nodes"]))
        finally:
            subprocess.run([FENCEPOST, "down", *where], capture_output=True, check=True)


@contextmanager
def mock_cluster() -> Iterator[Peer]:
    """Start librdkafka's mock cluster with three brokers, as long as the producer that owns it lives."""
    owner = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "unused", "log_level": 4})
    brokers = owner.list_topics(timeout=10).brokers.values()
    yield Peer("mock", ",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    owner.flush(1)


def create_topic(peer: Peer, topic: str) -> None:
    """Create a topic with three replicas, spread over all brokers, and wait until every partition has a leader."""
    admin = AdminClient({"bootstrap.servers": peer.bootstrap})
    if peer.name != "mock":
        admin.create_topics([NewTopic(topic, PARTITIONS, 3)])[topic].result(10)
    while any(part.leader < 0 for part in admin.list_topics(topic, timeout=10).topics[topic].partitions.values()):
        pass


def delete_topic(peer: Peer, topic: str) -> None:
    """Free the disk that a measurement filled."""
    if peer.name != "mock":
        admin = AdminClient({"bootstrap.servers": peer.bootstrap})  # must outlive the answer
        admin.delete_topics([topic])[topic].result(10)
