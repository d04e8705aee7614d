"""Finding records by time, for ListOffsets.

Here: the search through segments, the time index, batches and finally records (LogSegment.findOffsetByTimestamp).
This is the one place where a broker looks inside a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster.records import read_batch_records
from cluster.storage.segment import Segment


class TimestampOffset(NamedTuple):
    """A record: its timestamp in milliseconds since 1970, its offset, the leader epoch of its batch."""

    timestamp: int
    offset: int
    leader_epoch: int


def find_timestamp(segments: Sequence[Segment], timestamp: int, start_offset: int) -> TimestampOffset | None:
    """Return the first record at `start_offset` or later whose timestamp is `timestamp` or later.

    Raises KafkaError(CORRUPT_MESSAGE) when the batch that should hold it cannot be read.
    """
    for segment in segments:
        if segment.max_timestamp < timestamp or segment.next_offset <= start_offset:
            continue
        for position, header in segment.headers(segment.locate_timestamp(timestamp)):
            if header.max_timestamp < timestamp or header.last_offset < start_offset:
                continue
            for record in read_batch_records(segment.read_batch(position, header), 0, header):
                if record.timestamp >= timestamp and record.offset >= start_offset:
                    return TimestampOffset(record.timestamp, record.offset, header.leader_epoch)
    return None


def find_max_timestamp(segments: Sequence[Segment], start_offset: int) -> TimestampOffset | None:
    """Return the first record that has the largest timestamp. Raises KafkaError(CORRUPT_MESSAGE)."""
    live = [segment for segment in segments if segment.next_offset > start_offset]
    if not live:
        return None
    return find_timestamp(live, max(segment.max_timestamp for segment in live), start_offset)
