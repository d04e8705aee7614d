"""Reading a log file that may be damaged: every batch up to the first that is not whole and sound.

Here: the walk that recovery trusts, with checksums. Not here: the walk along a file that is known to be sound
(`segment`), and what to do about damage.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.base.errors import KafkaError
from cluster.base.ports import Disk
from cluster.records import BatchHeader, check_copied_batches
from cluster.records.header import HEADER, LENGTH_OFFSET

_BLOCK_BYTES = 1024 * 1024


def scan_batches(disk: Disk, path: str) -> Iterator[BatchHeader]:
    """Yield the headers of the batches from the start of a log file, until one is cut short or fails its checksum."""
    file_bytes = disk.size(path)
    position = 0
    block = memoryview(b"")
    block_start = 0
    while file_bytes - position >= HEADER.size:
        start = position - block_start
        size_bytes = HEADER.size
        if len(block) - start >= HEADER.size:
            size_bytes = LENGTH_OFFSET + int.from_bytes(block[start + 8 : start + 12], "big", signed=True)
            if size_bytes < HEADER.size or position + size_bytes > file_bytes:
                return
        if len(block) - start < size_bytes:  # the block ends inside this batch: go on with one that starts at it
            block = memoryview(disk.read(path, position, max(size_bytes, _BLOCK_BYTES)))
            block_start = position
            if len(block) < size_bytes:
                return
            continue
        try:
            ((_, header),) = check_copied_batches(block[start : start + size_bytes])
        except KafkaError:
            return
        yield header
        position += size_bytes
