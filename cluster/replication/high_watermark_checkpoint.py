"""`replication-offset-checkpoint`: the high watermark of every partition, so that a restarted broker knows it.

Here: its lines, `topic partition offset` (class OffsetCheckpointFile). Not here: the file around them
(`cluster.storage`), and when it is written. What it says may be old, and after a loss of power more than the log has.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.base.ids import TopicPartition
from cluster.base.ports import Disk
from cluster.storage import read_checkpoint, write_checkpoint

HIGH_WATERMARK_FILE = "replication-offset-checkpoint"


def read_high_watermarks(disk: Disk) -> dict[TopicPartition, int]:
    """Return what was written last; nothing when the file is missing or damaged, which is only less knowledge."""
    found: dict[TopicPartition, int] = {}
    for line in read_checkpoint(disk, HIGH_WATERMARK_FILE) or ():
        topic, partition, offset = [*line.split(), "", "", ""][:3]
        if not (partition.isdigit() and offset.isdigit()):
            return {}
        found[TopicPartition(topic, int(partition))] = int(offset)
    return found


def write_high_watermarks(disk: Disk, high_watermarks: Mapping[TopicPartition, int]) -> None:
    """Replace the file, durably. Raises DiskError."""
    entries = [f"{topic} {number} {offset}" for (topic, number), offset in sorted(high_watermarks.items())]
    write_checkpoint(disk, HIGH_WATERMARK_FILE, entries)
