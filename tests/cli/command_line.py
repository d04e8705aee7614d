"""Commands as a user types them, and clients against the cluster that they started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

ROOT = Path(__file__).resolve().parents[2]
SOON_S = 20.0
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]


class Shell:
    """Runs commands against one cluster."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "FENCEPOST_HOME": str(home), "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )

    def ask(self, *arguments: str) -> Any:
        run = self.run(*arguments, "--json")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    def partition(self, topic: str) -> Any:
        return self.ask("topic", "describe", topic)[0]


def bootstrap(shell: Shell) -> str:
    servers: str = shell.ask("ps")["bootstrap"]
    return servers


def produce(shell: Shell, topic: str, values: list[str]) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap(shell), "acks": "all", "linger.ms": 0})
    for value in values:
        producer.produce(topic, value.encode(), on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(SOON_S) == 0
    assert failures == []


def read_all(shell: Shell, topic: str, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap(shell), "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    values: list[str] = []
    deadline_s = time.monotonic() + SOON_S
    while len(values) < count and time.monotonic() < deadline_s:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append((message.value() or b"").decode())
    consumer.close()
    return values


def eventually(claim: Callable[[], bool], pause_s: float = 0.1) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not claim():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(pause_s)
