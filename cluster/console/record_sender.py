"""Sends records one after the other and tells of each that did not arrive (`ErrorLoggingCallback`).

Here: sending, waiting, counting failures. A thread of its own asks the client for reports, so that an error is told
while the tool waits for the next line. Not here: where records come from.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cluster.console.clients import Say
from cluster.console.errors import kafka_errors

if TYPE_CHECKING:
    from confluent_kafka import Producer

POLL_S = 0.1


class RecordSender:
    """Sends to one topic. Close it: what is under way is awaited there."""

    def __init__(self, producer: Producer, topic: str, *, sync: bool, say: Say) -> None:
        self.failed = 0
        """How many records were not delivered."""
        self._producer = producer
        self._topic = topic
        self._sync = sync
        self._say = say
        self._closing = threading.Event()
        self._reports = threading.Thread(target=self._ask_for_reports, daemon=True)
        self._reports.start()

    def send(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()) -> None:
        """Send a record; with `sync` wait until it is acknowledged, and with a full buffer until there is room."""
        with kafka_errors(f"Cannot send to topic {self._topic}"):
            while True:
                try:
                    self._producer.produce(
                        self._topic, value=value, key=key, headers=list(headers), on_delivery=self._on_delivery
                    )
                    break
                except BufferError:
                    self._producer.poll(POLL_S)
        if self._sync:
            self._producer.flush()

    def close(self) -> None:
        """Wait until every record is delivered or has failed."""
        remaining = self._producer.flush()
        while remaining:
            remaining = self._producer.flush()
        self._closing.set()
        self._reports.join()

    def _ask_for_reports(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is None:
            return
        self.failed += 1
        self._say(
            f"Error when sending message to topic {message.topic()} with key: {_size(message.key())}, "
            f"value: {_size(message.value())} with error: {error.name().lstrip('_')}: {error.str()}"
        )


def _size(content: bytes | None) -> str:
    return "null" if content is None else f"{len(content)} bytes"
