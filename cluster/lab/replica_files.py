"""Reading a replica straight from a node's disk, without asking the node.

Here: segments to batches. It opens files for reading only, so that a running node is not disturbed.
"""

from __future__ import annotations

from pathlib import Path

from cluster.base.ids import TopicPartition
from cluster.lab.target import StoredBatch
from cluster.records import iterate_headers, read_records
from cluster.runtime.live.disk import LiveDisk


def read_stored_batches(directory: Path, topic_partition: TopicPartition) -> list[StoredBatch]:
    """Return the batches of a replica below a node's directory; empty when it has none. No control batches."""
    disk = LiveDisk(directory, read_only=True)
    try:
        name = str(topic_partition)
        segments = [entry for entry in disk.list(name) if entry.endswith(".log")]
        return [batch for segment in segments for batch in _batches(disk, f"{name}/{segment}")]
    finally:
        disk.close()


def _batches(disk: LiveDisk, path: str) -> list[StoredBatch]:
    content = memoryview(disk.read(path, 0, disk.size(path)))
    return [
        StoredBatch(
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            leader_epoch=header.leader_epoch,
            crc=header.crc,
            values=tuple(
                (record.value or b"").decode("utf-8", "replace")
                for record in read_records(content[position : position + header.size_bytes])
            ),
        )
        for position, header in iterate_headers(content)
        if not header.is_control
    ]
