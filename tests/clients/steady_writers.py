"""Producers that write numbered records one after the other, in the background, until they are told to stop.

Here: one for each client, at a pace that leaves something in flight at every moment without filling the machine.
`finish` waits until the client has heard about every record; what it was told then is in `sent` and `acknowledged`.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from concurrent.futures import Future
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from kafka import KafkaProducer

from cluster.base.ids import TopicPartition

PACE_S = 0.002
PATIENCE_S = 30.0


class SteadyWriter:
    """Writes `0`, `1`, `2`, ... to one partition with acks=all while it is entered."""

    def __init__(self, bootstrap: str, to: TopicPartition) -> None:
        self.sent: list[bytes] = []
        self.acknowledged: list[bytes] = []
        self.failures: list[str] = []
        self._bootstrap = bootstrap
        self._to = to
        self._stopping = threading.Event()
        self._outcome: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Write no more, wait for all answers, and raise what went wrong in the client itself."""
        self._stopping.set()
        self._outcome.result(PATIENCE_S)
        self._thread.join()

    def _main(self) -> None:
        try:
            self._write()
        except BaseException as failure:  # noqa: BLE001 - `finish` raises it
            self._outcome.set_exception(failure)
        else:
            self._outcome.set_result(None)

    def _write(self) -> None:
        """Send `self._next()` until `self._stopping`, then wait for the answers."""
        raise NotImplementedError

    def _next(self) -> bytes:
        value = b"%d" % len(self.sent)
        self.sent.append(value)
        return value


class ConfluentWriter(SteadyWriter):
    """librdkafka without idempotence: a batch that is sent again may be in the log twice."""

    properties: dict[str, Any] = {}  # noqa: RUF012 - subclasses replace it

    def _write(self) -> None:
        producer = Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "linger.ms": 1, **self.properties})
        while not self._stopping.is_set():
            producer.produce(self._to.topic, self._next(), partition=self._to.partition, on_delivery=self._heard)
            producer.poll(PACE_S)
        assert producer.flush(PATIENCE_S) == 0, "librdkafka did not hear about all records"

    def _heard(self, error: Any, message: Any) -> None:
        if error is None:
            self.acknowledged.append(message.value())
        else:
            self.failures.append(str(error))


class IdempotentConfluentWriter(ConfluentWriter):
    """librdkafka with idempotence: every record is in the log once, in the order of sending.

    It gives up waiting for a leader that is silent after a second, not after half a minute, and asks for metadata as
    often: neither librdkafka nor the Java client asks when a cut-off leader answers REQUEST_TIMED_OUT.
    """

    properties = {  # noqa: RUF012
        "enable.idempotence": True,
        "request.timeout.ms": 1000,
        "socket.timeout.ms": 1500,
        "topic.metadata.refresh.interval.ms": 1000,
    }


class KcatWriter(SteadyWriter):
    """kcat, fed line by line. It tells what failed only when it ends."""

    def _write(self) -> None:
        command = ["kcat", "-P", "-b", self._bootstrap, "-t", self._to.topic, "-p", str(self._to.partition)]
        options = ["-E", "-q", "-X", "acks=all", "-X", "linger.ms=1"]  # -E: go on when a broker goes away
        with subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as process:
            assert process.stdin is not None and process.stderr is not None
            while not self._stopping.wait(PACE_S):
                process.stdin.write(self._next() + b"\n")
            process.stdin.close()
            said = process.stderr.read().decode()
            code = process.wait(PATIENCE_S)
        self.failures += [line for line in said.splitlines() if "Delivery failed" in line]
        assert code == 0, said
        if not self.failures:
            self.acknowledged += self.sent


class AiokafkaWriter(SteadyWriter):
    """aiokafka with idempotence: every record is in the log once, in the order of sending."""

    def _write(self) -> None:
        asyncio.run(asyncio.wait_for(self._produce(), 2 * PATIENCE_S))

    async def _produce(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True) as producer:
            while not self._stopping.is_set():
                value = self._next()
                future = await producer.send(self._to.topic, value, partition=self._to.partition)
                future.add_done_callback(lambda done, value=value: self._heard(value, done))
                await asyncio.sleep(PACE_S)
            await producer.flush()

    def _heard(self, value: bytes, future: asyncio.Future[Any]) -> None:
        if future.exception() is None:
            self.acknowledged.append(value)
        else:
            self.failures.append(str(future.exception()))


class KafkaPythonWriter(SteadyWriter):
    """kafka-python with idempotence, which is its default."""

    def _write(self) -> None:
        producer = KafkaProducer(bootstrap_servers=self._bootstrap, acks="all", linger_ms=1)
        while not self._stopping.wait(PACE_S):
            value = self._next()
            future = producer.send(self._to.topic, value=value, partition=self._to.partition)
            future.add_callback(lambda _, value=value: self.acknowledged.append(value))
            future.add_errback(lambda error: self.failures.append(str(error)))
        producer.flush(PATIENCE_S)
        producer.close(PATIENCE_S)


NEEDS_KCAT = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")

AT_LEAST_ONCE_WRITERS = [
    pytest.param(ConfluentWriter, id="confluent-kafka"),
    pytest.param(KcatWriter, id="kcat", marks=NEEDS_KCAT),
]
EXACTLY_ONCE_WRITERS = [  # librdkafka's is put through more, in tests of its own
    pytest.param(AiokafkaWriter, id="aiokafka"),
    pytest.param(KafkaPythonWriter, id="kafka-python"),
]
