"""The files are Kafka's own: their names, and their bytes read by the book rather than by our code.

Kafka 4.0's `DumpLogSegments` was run over such directories once: it read batches in all codecs, both indexes and the
snapshots without a complaint. It needs a JVM, so here its checks are made by hand.
"""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from crc32c import crc32c
from log_histories import DIRECTORY, NOW_MS, append, batch_of, fill, log_files, open_log, sync_all
from memory_disk import MemoryDisk

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.records import read_header
from cluster.storage import EpochStart, check_identity, read_topic_id, write_topic_id


def written_disk() -> MemoryDisk:
    disk = MemoryDisk()
    log = open_log(disk)
    fill(log, 20, epoch=1)
    for sequence in range(20):
        append(log, batch_of(1, producer=(7, 2, sequence), timestamp_ms=NOW_MS + 5000 + sequence // 3), epoch=4)
    sync_all(log, disk)
    log.close()
    return disk


def test_files_are_named_by_their_base_offset_in_twenty_digits() -> None:
    disk = written_disk()
    names = disk.list(DIRECTORY)
    bases = [name.removesuffix(".log") for name in names if name.endswith(".log")]
    assert bases[0] == "0" * 20 and len(bases) > 2
    assert all(f"{base}.index" in names and f"{base}.timeindex" in names for base in bases)


def assert_index_entries_point_at_the_batches_whose_last_offset_they_name(disk: MemoryDisk) -> None:
    for path in log_files(disk):
        base = int(path[-24:-4])
        entries = list(struct.iter_unpack(">ii", disk.files.get(path.replace(".log", ".index"), b"")))
        assert entries or disk.size(path) < 500
        for relative_offset, position in entries:
            assert read_header(disk.files[path], position).last_offset == base + relative_offset


def test_the_offset_index() -> None:
    assert_index_entries_point_at_the_batches_whose_last_offset_they_name(written_disk())


@pytest.mark.parametrize("damage", ["torn", "wrong offset", "wrong position", "other batch", "lost", "junk"])
@pytest.mark.parametrize("which", [0, -1], ids=["oldest segment", "active segment"])
def test_an_index_that_does_not_fit_its_log_is_built_anew(damage: str, which: int) -> None:
    disk = written_disk()
    path = log_files(disk)[which].replace(".log", ".index")
    content = disk.files[path]
    if damage == "torn":
        del content[-3:]
    elif damage == "wrong offset":
        content[-5] ^= 1
    elif damage == "wrong position":
        content[-1] ^= 1
    elif damage == "other batch":
        content[-4:] = content[-12:-8]
    elif damage == "lost":
        disk.delete(path)
    else:
        content += b"\x7f" * 8
    log = open_log(disk)
    assert log.epochs == (EpochStart(1, 0), EpochStart(4, 60))
    assert [log.read(offset, 1, 80, at_least_one=True) for offset in range(80)]
    fill(log, 10, epoch=4)
    log.close()
    assert_index_entries_point_at_the_batches_whose_last_offset_they_name(disk)


def test_time_index_entries_name_the_batch_that_reached_a_new_maximum() -> None:
    disk = written_disk()
    for path in log_files(disk):
        base = int(path[-24:-4])
        content = disk.files[path]
        reached: dict[int, int] = {}
        position, newest = 0, -1
        while position < len(content):
            header = read_header(content, position)
            if header.max_timestamp > newest:
                newest = header.max_timestamp
                reached[newest] = header.last_offset
            position += header.size_bytes
        entries = list(struct.iter_unpack(">qi", disk.files[path.replace(".log", ".timeindex")]))
        assert all(reached[timestamp] == base + relative_offset for timestamp, relative_offset in entries)
        assert entries[-1][0] == newest, "the last entry has the segment's largest timestamp"


def test_checkpoints_are_a_version_a_count_and_lines() -> None:
    disk = written_disk()
    assert disk.files[f"{DIRECTORY}/leader-epoch-checkpoint"] == b"0\n2\n1 0\n4 60\n"
    assert disk.files[f"{DIRECTORY}/recovery-point-offset-checkpoint"] == b"0\n1\norders 0 80\n"
    log = open_log(disk)
    log.advance_log_start_offset(3)
    assert disk.files[f"{DIRECTORY}/log-start-offset-checkpoint"] == b"0\n1\norders 0 3\n"


def test_a_producer_snapshot_is_version_1_with_its_checksum() -> None:
    content = bytes(written_disk().files[f"{DIRECTORY}/{80:020d}.snapshot"])
    version, crc, count = struct.unpack_from(">hIi", content)
    assert (version, crc, count) == (1, crc32c(content[6:]), 5)
    assert len(content) == 10 + 5 * 46
    last = struct.unpack_from(">qhiqiqiq", content, 10 + 4 * 46)
    assert last == (7, 2, 19, 79, 0, NOW_MS + 5006, -1, -1), "Kafka's reader lets the last entry win"


def test_a_data_directory_says_whose_it_is() -> None:
    disk = MemoryDisk()
    check_identity(disk, "cluster-A", NodeId(3))
    assert disk.files["meta.properties"] == b"version=1\ncluster.id=cluster-A\nnode.id=3\n"
    check_identity(disk, "cluster-A", NodeId(3))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"version=1\ncluster.id=other\nnode.id=3\n", "has cluster.id other, but this node has cluster.id cluster-A"),
        (b"version=1\ncluster.id=cluster-A\nnode.id=4\n", "has node.id 4, but this node has node.id 3"),
        (b"# empty\n", "names no cluster.id"),
    ],
    ids=["cluster", "node", "nobody"],
)
def test_a_foreign_data_directory_is_refused_with_cause_and_remedy(content: bytes, cause: str) -> None:
    disk = MemoryDisk()
    disk.replace("meta.properties", content)
    with pytest.raises(KafkaError, match=cause) as raised:
        check_identity(disk, "cluster-A", NodeId(3))
    assert raised.value.code is ErrorCode.INCONSISTENT_CLUSTER_ID
    assert "give this one its own data directory" in raised.value.message
    assert disk.files["meta.properties"] == content


def test_a_log_directory_says_which_topic_it_belongs_to() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    assert log.topic_id is None and read_topic_id(disk, DIRECTORY) is None
    topic_id = UUID("12345678-9abc-def0-1234-56789abcdef0")
    log.assign_topic_id(topic_id)
    assert disk.files[f"{DIRECTORY}/partition.metadata"] == b"version: 0\ntopic_id: EjRWeJq83vASNFZ4mrze8A\n"
    assert open_log(disk).topic_id == log.topic_id == topic_id
    write_topic_id(disk, DIRECTORY, UUID(int=5))
    assert read_topic_id(disk, DIRECTORY) == UUID(int=5)
    disk.replace(f"{DIRECTORY}/partition.metadata", b"version: 0\ntopic_id: ?\n")
    assert read_topic_id(disk, DIRECTORY) is None
