"""What a coordinator writes and answers, whatever it coordinates.

Here: the two nouns that all decisions have in common, and how many records one batch holds. Not here: the decisions
(`cluster.groups`, `cluster.transactions`, `cluster.sharing`), and whoever carries them out
(`cluster.broker.coordinator`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.base.limits import RECORD_BATCH_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES_MAX

LogRecord = tuple[bytes, bytes | None]
"""A key and its value, or None for a tombstone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the request that came with `token`."""

    token: int
    reply: Any


def batches_of(records: Sequence[LogRecord], batch_bytes_max: int) -> Iterator[Sequence[LogRecord]]:
    """Divide records into batches of no more than so many bytes; one that is too large for any has its own."""
    first, size_bytes = 0, RECORD_BATCH_OVERHEAD_BYTES
    for number, (key, value) in enumerate(records):
        record_bytes = RECORD_OVERHEAD_BYTES_MAX + len(key) + len(value or b"")
        if number > first and size_bytes + record_bytes > batch_bytes_max:
            yield records[first:number]
            first, size_bytes = number, RECORD_BATCH_OVERHEAD_BYTES
        size_bytes += record_bytes
    if first < len(records):
        yield records[first:]
