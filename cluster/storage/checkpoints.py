"""Kafka's checkpoint files: a version line, a count line, then one line of numbers for each entry.

Here: reading and writing that text (class CheckpointFile). The recovery point, the log start offset and the cleaner's
offset each have a file in the log's own directory; Kafka keeps one of each for all logs of a disk, in the same format.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.ports import Disk

RECOVERY_POINT_FILE = "recovery-point-offset-checkpoint"
LOG_START_FILE = "log-start-offset-checkpoint"
CLEANER_FILE = "cleaner-offset-checkpoint"
"""Where compaction goes on. A log that has the file may have gaps between its offsets."""

_VERSION = "0"


def read_checkpoint(disk: Disk, path: str) -> list[str] | None:
    """Return the entries of a checkpoint file; None when it is missing or is not what it should be."""
    if not disk.exists(path):
        return None
    lines = disk.read(path, 0, disk.size(path)).decode(errors="replace").splitlines()
    if len(lines) < 2 or lines[0] != _VERSION or lines[1] != str(len(lines) - 2):
        return None
    return lines[2:]


def write_checkpoint(disk: Disk, path: str, entries: Sequence[str]) -> None:
    """Replace a checkpoint file, durably."""
    disk.replace(path, "\n".join((_VERSION, str(len(entries)), *entries, "")).encode())


def read_offset(disk: Disk, directory: str, name: str) -> int | None:
    """Return the offset in a log directory's checkpoint file; None when it is missing or damaged."""
    lines = read_checkpoint(disk, f"{directory}/{name}")
    fields = lines[0].split() if lines else []
    return int(fields[-1]) if len(fields) == 3 and fields[-1].isdigit() else None


def write_offset(disk: Disk, directory: str, name: str, offset: int) -> None:
    """Write `topic partition offset` into a log directory's checkpoint file, durably."""
    topic, _, partition = directory.rpartition("/")[2].rpartition("-")
    write_checkpoint(disk, f"{directory}/{name}", [f"{topic} {partition} {offset}"])


def read_log_start(disk: Disk, directory: str) -> int:
    """Return where a log says that it begins; 0 when it has never lost its head."""
    return read_offset(disk, directory, LOG_START_FILE) or 0


def was_compacted(disk: Disk, directory: str) -> bool:
    """Whether offsets of a log may be missing."""
    return disk.exists(f"{directory}/{CLEANER_FILE}")
