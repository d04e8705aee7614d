"""A crash at any step of a compaction: reopened, the last value of every key is there and offsets are whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest
from compacted_histories import COMPACTED, Written, compact_fully, latest, records_of, walk, write
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import DIRECTORY, headers_of, open_log, producers_of, remembered, sync_all
from memory_disk import MemoryDisk

from cluster.base.ports import Buffer
from cluster.records import read_records
from cluster.storage import swap_files


class Crash(Exception):
    """The process died."""


class MortalDisk(MemoryDisk):
    """A disk whose process dies at the so-many-th change, before it or in the middle of a write."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.dies_at = -1

    def _count(self) -> bool:
        self.changes += 1
        return self.changes == self.dies_at

    def append(self, path: str, chunks: Sequence[Buffer]) -> None:
        if self._count():
            whole = b"".join(chunks)
            super().append(path, (whole[: len(whole) // 2],))
            raise Crash
        super().append(path, chunks)

    def truncate(self, path: str, size_bytes: int) -> None:
        if self._count():
            raise Crash
        super().truncate(path, size_bytes)

    def replace(self, path: str, content: bytes) -> None:
        if self._count():
            raise Crash
        super().replace(path, content)

    def rename(self, source: str, target: str) -> None:
        if self._count():
            raise Crash
        super().rename(source, target)

    def delete(self, path: str) -> None:
        if self.exists(path) and self._count():
            raise Crash
        super().delete(path)

    def sync_now(self, path: str) -> None:
        if self._count():
            raise Crash
        super().sync_now(path)


def dirty_disk(seed: int, batch_count: int) -> tuple[MortalDisk, bytes]:
    """A disk with a synced log of random keys, values, deletes and producers; and the log's bytes."""
    rng = Random(seed)
    disk = MortalDisk()
    log = open_log(disk, COMPACTED)
    sequences: dict[int, int] = {}
    content = b""
    for number in range(batch_count):
        producer = rng.choice([-1, -1, 5, 6])
        count = rng.randrange(1, 4)
        records = [
            Written(rng.choice("abcdefgh"), rng.choice([None, "x" * rng.randrange(60), f"{number}"]), producer)
            for _ in range(count)
        ]
        content += write(log, *records, sequences=sequences)
    sync_all(log, disk)
    return disk, content


def assert_nothing_lost(disk: MemoryDisk, content: bytes) -> None:
    """Reopened, the log has the last value of every key, every record at its offset, and nothing left over."""
    log = open_log(disk, COMPACTED)
    originals = {record.offset: record for record in read_records(content)}
    found = records_of(log)
    assert all(originals[record.offset] == record for record in found)
    assert latest(found) == latest(list(originals.values()))
    assert log.log_end_offset == headers_of(content)[-1].next_offset
    last_batches = [(id_, epoch, batches[-1:]) for id_, epoch, batches in remembered(log.producers)]
    assert last_batches == [(id_, epoch, batches[-1:]) for id_, epoch, batches in producers_of(content)]
    suffixes = (swap_files.CLEANED, swap_files.SWAP, swap_files.DELETED)
    assert [name for name in disk.list(DIRECTORY) if name.endswith(suffixes)] == []
    for header in headers_of(walk(log)):
        assert headers_of(log.read(header.last_offset, 1, log.log_end_offset, at_least_one=True))[0] == header


@given(
    seed=st.integers(0, 10_000),
    batch_count=st.integers(20, 90),
    steps=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    powerless=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_crash_at_any_step_and_the_last_value_of_every_key_is_there(
    seed: int, batch_count: int, steps: list[float], powerless: bool
) -> None:
    disk, content = dirty_disk(seed, batch_count)
    for step in steps:  # the next start may crash as well, in the middle of its repairs
        changes = _compact_until(disk, step)
        if powerless:
            disk.lose_power_raggedly(Random(changes))
    assert_nothing_lost(disk, content)
    log = open_log(disk, COMPACTED)
    sync_all(log, disk)
    compact_fully(log, disk)
    assert_nothing_lost(disk, content)


def _compact_until(disk: MortalDisk, step: float) -> int:
    """Open the log and compact it; die after that part of the changes."""
    rehearsal = _living_copy(disk)
    total = _open_and_compact(rehearsal)
    disk.changes = 0
    disk.dies_at = 1 + int(step * total)
    with suppress(Crash):
        _open_and_compact(disk)
    disk.dies_at = -1
    return disk.changes


def _open_and_compact(disk: MortalDisk) -> int:
    disk.changes = 0
    log = open_log(disk, COMPACTED)
    sync_all(log, disk)
    compact_fully(log, disk)
    return disk.changes


def _living_copy(disk: MortalDisk) -> MortalDisk:
    other = MortalDisk()
    other.files = {path: bytearray(content) for path, content in disk.files.items()}
    other.synced = dict(disk.synced)
    return other


def test_every_single_step_of_one_compaction() -> None:
    disk, content = dirty_disk(seed=1, batch_count=60)
    total = _open_and_compact(_living_copy(disk))
    assert total > 25
    for step in range(1, total + 1):
        mortal = _living_copy(disk)
        mortal.dies_at = step
        with pytest.raises(Crash):
            _open_and_compact(mortal)
        mortal.dies_at = -1
        mortal.lose_power_raggedly(Random(step))
        assert_nothing_lost(mortal, content)


def test_a_disk_that_lies_about_a_sync_costs_the_compaction_but_no_record() -> None:
    disk, content = dirty_disk(seed=2, batch_count=60)
    total = _open_and_compact(_living_copy(disk))
    torn = 0
    for step in range(1, total + 1):
        mortal = _living_copy(disk)
        mortal.dies_at = step
        with suppress(Crash):
            _open_and_compact(mortal)
        for path in [path for path in mortal.files if path.endswith(swap_files.SWAP)]:
            del mortal.files[path][-5:]
            torn += 1
        if torn:
            mortal.dies_at = -1
            assert_nothing_lost(mortal, content)
    assert torn > 3


def test_a_crash_that_would_lose_a_value_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above do bite: a swap that deletes the old segments before the new one has its name loses values."""

    def careless(disk: MemoryDisk, sources: Sequence[swap_files.Segment], cleaned: swap_files.Segment) -> None:
        path = sources[0].path
        for source in sources:
            source.delete()
        disk.rename(cleaned.path, path)
        cleaned.path = path

    monkeypatch.setattr("cluster.storage.log_segments.swap_segments", careless)
    with pytest.raises(AssertionError):
        test_every_single_step_of_one_compaction()
