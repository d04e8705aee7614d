"""`replication-offset-checkpoint`: the high watermark of every partition, so that a restarted broker knows it.

Here: Kafka's text format (class OffsetCheckpointFile): a version, a count, then `topic partition offset` lines.
Not here: when it is written. What it says may be old, and after a loss of power more than the log has.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.base.ids import TopicPartition
from cluster.base.ports import Disk

HIGH_WATERMARK_FILE = "replication-offset-checkpoint"
_VERSION = "0"


def read_high_watermarks(disk: Disk) -> dict[TopicPartition, int]:
    """Return what was written last; nothing when the file is missing or damaged, which is only less knowledge."""
    if not disk.exists(HIGH_WATERMARK_FILE):
        return {}
    text = disk.read(HIGH_WATERMARK_FILE, 0, disk.size(HIGH_WATERMARK_FILE)).decode(errors="replace")
    lines = text.splitlines()
    if lines[:2] != [_VERSION, str(len(lines) - 2)]:
        return {}
    found: dict[TopicPartition, int] = {}
    for line in lines[2:]:
        topic, partition, offset = [*line.split(), "", "", ""][:3]
        if not (partition.isdigit() and offset.isdigit()):
            return {}
        found[TopicPartition(topic, int(partition))] = int(offset)
    return found


def write_high_watermarks(disk: Disk, high_watermarks: Mapping[TopicPartition, int]) -> None:
    """Replace the file, durably. Raises DiskError."""
    entries = [f"{topic} {number} {offset}" for (topic, number), offset in sorted(high_watermarks.items())]
    disk.replace(HIGH_WATERMARK_FILE, "\n".join((_VERSION, str(len(entries)), *entries, "")).encode())
