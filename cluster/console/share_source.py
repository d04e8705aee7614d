"""Where the share consumer's records come from, and what is said of each: accepted, released or rejected (KIP-932).

Here: waiting, counting, acknowledging. Not here: how a record is printed (`message_formatter`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.console.clients import Say
from cluster.console.errors import kafka_errors
from cluster.console.message_formatter import ConsumedRecord
from cluster.console.record_source import POLL_S, record_of, tell

if TYPE_CHECKING:
    from confluent_kafka import AcknowledgeType, ShareConsumer


def consume_shared(
    consumer: ShareConsumer, answer: AcknowledgeType, max_messages: int, timeout_ms: int, say: Say
) -> Iterator[ConsumedRecord]:
    """Yield records until there were `max_messages` (-1: no end), or none came for `timeout_ms` (-1: wait for ever).

    A record counts as dealt with when the next one is asked for, and gets its answer then. Raises LabError.
    """
    count = 0
    last_s = time.monotonic()
    told: set[str] = set()
    while True:
        with kafka_errors("Cannot consume"):
            messages = list(consumer.poll(POLL_S))
        for message in messages:
            error = message.error()
            if error is not None:
                tell(error, told, say)
                continue
            yield replace(record_of(message), delivery_count=message.delivery_count())
            with kafka_errors("Cannot acknowledge"):
                consumer.acknowledge(message, answer)
            count += 1
            last_s = time.monotonic()
            if count == max_messages:
                return
        if not messages and timeout_ms >= 0 and (time.monotonic() - last_s) * 1000 > timeout_ms:
            return
