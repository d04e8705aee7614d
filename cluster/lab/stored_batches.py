"""Reading a replica straight from a disk, without asking the node: segments to batches, over the Disk port."""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.ports import Disk
from cluster.lab.target import StoredBatch
from cluster.records import iterate_headers


def read_batches(disk: Disk, topic_partition: TopicPartition) -> list[StoredBatch]:
    """Return the batches of a replica on a disk; empty when it has none. No control batches."""
    directory = str(topic_partition)
    segments = [name for name in disk.list(directory) if name.endswith(".log")]
    return [batch for segment in segments for batch in _read_segment(disk, f"{directory}/{segment}")]


def _read_segment(disk: Disk, path: str) -> list[StoredBatch]:
    content = memoryview(disk.read(path, 0, disk.size(path)))
    return [
        StoredBatch(
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            leader_epoch=header.leader_epoch,
            crc=header.crc,
            content=content[position : position + header.size_bytes],
        )
        for position, header in iterate_headers(content)
        if not header.is_control
    ]
