"""Bugs of log compaction, each planted in one place of the brokers' real code.

Here: what is kept of a key, for how long a tombstone stays, how far compaction may reach. Not here: crashes between
the renames of a compacted segment, which happen in no simulated moment (`tests/storage/test_compaction_crashes.py`).
"""

from __future__ import annotations

import pytest

from cluster.node import log_cleaner
from cluster.records import BatchHeader, Record
from cluster.storage import Dirt, Log, compaction


def keep_the_older_of_two_values(patch: pytest.MonkeyPatch) -> None:
    """Compaction keeps the first record of a key that it meets, and removes those that come later."""
    firsts = compaction._KeyOffsets

    def put(keys: compaction._KeyOffsets, key: bytes, offset: int) -> None:
        keys._offsets.setdefault(key, offset)

    patch.setattr(firsts, "put", put)
    patch.setattr(firsts, "is_superseded", lambda keys, key, offset: offset > keys._offsets.get(key, offset))


def remove_a_tombstone_at_once(patch: pytest.MonkeyPatch) -> None:
    """`delete.retention.ms` is read by nobody: a tombstone goes when it is first compacted."""
    original = compaction._Retention._stays

    def stays(retention: compaction._Retention, record: Record, header: BatchHeader) -> bool:
        is_known = record.offset < retention._keys.end_offset
        return original(retention, record, header) and not (is_known and record.value is None)

    patch.setattr(compaction._Retention, "_stays", stays)


def compact_above_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """Every closed segment is compacted, also where its records may yet be cut off."""

    def dirt_of(log: Log, stable_offset: int, now_ms: int) -> Dirt:
        return log.cleaning.measure_dirt(log.settings, log.log_end_offset, now_ms)

    patch.setattr(log_cleaner, "dirt_of", dirt_of)
