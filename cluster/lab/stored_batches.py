"""Reading a replica straight from a disk, without asking the node: segments to batches, over the Disk port."""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.ports import Disk
from cluster.lab.target import StoredBatch, StoredReplica
from cluster.records import iterate_headers
from cluster.storage import read_log_start, was_compacted


def read_batches(disk: Disk, topic_partition: TopicPartition) -> StoredReplica:
    """Return a replica on a disk; empty when there is none."""
    directory = str(topic_partition)
    segments = [name for name in disk.list(directory) if name.endswith(".log")]
    return StoredReplica(
        batches=tuple(batch for segment in segments for batch in _read_segment(disk, f"{directory}/{segment}")),
        log_start_offset=read_log_start(disk, directory),
        head_offset=int(segments[0].removesuffix(".log")) if segments else -1,
        has_gaps=was_compacted(disk, directory),
    )


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
    ]
