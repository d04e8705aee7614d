"""A voter's files: what survives which crash, and what a start refuses."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_disk import MemoryDisk

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.raft import METADATA_DIRECTORY, Entry, EntryKind, HardState, RaftStorage, Snapshot
from cluster.raft.frames import FRAME_OVERHEAD_BYTES, HEADER_SIZE_BYTES

WAL = f"{METADATA_DIRECTORY}/{1:020}.wal"


def entry(index: int, term: int = 1, size_bytes: int = 10) -> Entry:
    return Entry(index, term, EntryKind.DATA, bytes([index % 256]) * size_bytes)


def entries(*indexes: int, term: int = 1) -> list[Entry]:
    return [entry(index, term) for index in indexes]


def synced(storage: RaftStorage, disk: MemoryDisk) -> None:
    sync = storage.begin_sync()
    disk.mark_synced(sync.path, sync.size_bytes)
    storage.finish_sync(sync)


def test_a_new_voter_knows_nothing() -> None:
    restored = RaftStorage(MemoryDisk()).restored
    assert (restored.hard_state, restored.snapshot, restored.entries) == (HardState(), None, ())


def test_term_and_vote_are_durable_at_once() -> None:
    disk = MemoryDisk()
    RaftStorage(disk).save_hard_state(HardState(7, NodeId(3)))
    disk.lose_power_raggedly(Random(1))
    assert RaftStorage(disk).restored.hard_state == HardState(7, NodeId(3))


def test_synced_entries_survive_a_loss_of_power() -> None:
    for seed in range(50):
        disk = MemoryDisk()
        storage = RaftStorage(disk)
        storage.append(entries(1, 2))
        synced(storage, disk)
        storage.append(entries(3, 4))
        disk.lose_power_raggedly(Random(seed))
        restored = list(RaftStorage(disk).restored.entries)
        assert restored[:2] == entries(1, 2) and restored == entries(1, 2, 3, 4)[: len(restored)]


def test_what_is_found_at_start_is_not_durable_before_a_sync() -> None:
    """A killed process leaves entries in the page cache: to acknowledge them unsynced would be a lie."""
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1, 2))
    again = RaftStorage(disk)
    assert len(again.restored.entries) == 2 and not again.is_synced
    synced(again, disk)
    assert again.is_synced


def test_a_rewritten_tail_replaces_the_old_one() -> None:
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1, 2, 3))
    storage.append(entries(2, term=5))
    assert list(RaftStorage(disk).restored.entries) == [*entries(1), entry(2, 5)]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 5 * (FRAME_OVERHEAD_BYTES + 10)), data=st.binary(max_size=30))
def test_a_tail_torn_at_any_byte_is_cut_and_what_precedes_it_is_intact(cut: int, data: bytes) -> None:
    disk = MemoryDisk()
    RaftStorage(disk).append(entries(1, 2, 3, 4, 5))
    size_bytes = disk.size(WAL)
    disk.truncate(WAL, size_bytes - cut)
    disk.append(WAL, [data])
    whole = (size_bytes - cut - HEADER_SIZE_BYTES) // (FRAME_OVERHEAD_BYTES + 10)
    storage = RaftStorage(disk)
    assert list(storage.restored.entries) == entries(1, 2, 3, 4, 5)[:whole]
    if whole < 5:
        storage.append(entries(whole + 1, term=2))  # the log goes on after the cut
        assert RaftStorage(disk).restored.entries[-1] == entry(whole + 1, 2)


@pytest.mark.parametrize("position", range(HEADER_SIZE_BYTES, HEADER_SIZE_BYTES + 2 * (FRAME_OVERHEAD_BYTES + 10), 7))
def test_damage_to_what_was_synced_is_refused_with_cause_and_remedy(position: int) -> None:
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1, 2))
    synced(storage, disk)
    storage.append(entries(3))
    disk.damage(WAL, position)
    with pytest.raises(KafkaError, match=r"damaged.*had been synced.*Restore the file") as refusal:
        RaftStorage(disk)
    assert refusal.value.code is ErrorCode.KAFKA_STORAGE_ERROR


def test_damage_to_what_was_not_synced_is_a_torn_tail() -> None:
    """Pages of one unsynced write may reach the disk in any order: a later sound frame alone proves nothing."""
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1))
    synced(storage, disk)
    storage.append(entries(2, 3))
    disk.damage(WAL, HEADER_SIZE_BYTES + FRAME_OVERHEAD_BYTES + 10 + 20)
    assert list(RaftStorage(disk).restored.entries) == entries(1)


def test_a_damaged_header_or_vote_or_snapshot_is_refused() -> None:
    for name, position in ((f"{1:020}.wal", 10), ("quorum-state", 9), ("snapshot", 22)):
        disk = MemoryDisk()
        storage = RaftStorage(disk)
        storage.save_hard_state(HardState(3, NodeId(1)))
        storage.append(entries(1, 2))
        if name == "snapshot":
            storage.save_snapshot(Snapshot(2, 1, b"state"), 2, 1, ())
        disk.damage(f"{METADATA_DIRECTORY}/{name}", position)
        with pytest.raises(KafkaError, match=name):
            RaftStorage(disk)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{}", b'{"crc": 1}', b"\xff"])
def test_a_vote_that_is_no_vote_is_refused(content: bytes) -> None:
    disk = MemoryDisk()
    RaftStorage(disk)
    disk.replace(f"{METADATA_DIRECTORY}/quorum-state", content)
    with pytest.raises(KafkaError, match="quorum-state"):
        RaftStorage(disk)


def test_a_missing_log_is_refused_once_the_voter_has_voted() -> None:
    disk = MemoryDisk()
    RaftStorage(disk).save_hard_state(HardState(3, NodeId(1)))
    disk.delete(WAL)
    with pytest.raises(KafkaError, match="missing"):
        RaftStorage(disk)


def test_a_snapshot_replaces_the_log_and_keeps_what_follows() -> None:
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1, 2, 3, 4))
    storage.save_snapshot(Snapshot(3, 1, b"state"), 2, 1, entries(3, 4))
    assert storage.is_synced and storage.wal_bytes_since_snapshot == 0
    disk.lose_power_raggedly(Random(1))
    again = RaftStorage(disk)
    assert again.restored.snapshot == Snapshot(3, 1, b"state")
    assert (again.restored.base_index, list(again.restored.entries)) == (2, entries(3, 4))
    again.delete_retired()
    assert disk.list(METADATA_DIRECTORY) == [f"{2:020}.wal", "snapshot"]


def test_a_crash_between_snapshot_and_new_log_loses_nothing() -> None:
    for snapshot_index, kept in ((2, [3]), (3, []), (9, [])):
        disk = MemoryDisk()
        storage = RaftStorage(disk)
        storage.append(entries(1, 2, 3))
        old_log = disk.read(WAL, 0, disk.size(WAL))
        storage.save_snapshot(Snapshot(snapshot_index, 1, b"state"), snapshot_index, 1, ())
        disk.delete(f"{METADATA_DIRECTORY}/{2:020}.wal")
        disk.replace(WAL, old_log)
        restored = RaftStorage(disk).restored
        assert [one.index for one in restored.entries if one.index > snapshot_index] == kept
        assert restored.snapshot == Snapshot(snapshot_index, 1, b"state")
        assert restored.base_index + len(restored.entries) >= snapshot_index


def test_a_leaders_snapshot_overrules_a_log_that_disagrees() -> None:
    disk = MemoryDisk()
    storage = RaftStorage(disk)
    storage.append(entries(1, 2, 3))
    old_log = disk.read(WAL, 0, disk.size(WAL))
    storage.save_snapshot(Snapshot(2, 9, b"state"), 2, 9, ())
    disk.delete(f"{METADATA_DIRECTORY}/{2:020}.wal")
    disk.replace(WAL, old_log)
    restored = RaftStorage(disk).restored
    assert (restored.base_index, restored.base_term, restored.entries) == (2, 9, ())
