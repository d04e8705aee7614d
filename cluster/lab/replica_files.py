"""Reading a replica straight from a node's directory, without asking the node.

Here: the directory, opened for reading only, so that a running node is not disturbed. Not here: what the files mean
(`stored_batches`).
"""

from __future__ import annotations

from pathlib import Path

from cluster.base.ids import TopicPartition
from cluster.lab.stored_batches import read_batches
from cluster.lab.target import StoredReplica
from cluster.runtime.live.disk import LiveDisk


def read_stored_batches(directory: Path, topic_partition: TopicPartition) -> StoredReplica:
    """Return a replica below a node's directory; empty when there is none."""
    disk = LiveDisk(directory, read_only=True)
    try:
        return read_batches(disk, topic_partition)
    finally:
        disk.close()
