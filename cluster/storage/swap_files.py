"""Putting a compacted segment in the place of those it was made from, so that a crash at any step does no harm.

Here: the names that files have on the way, in the order of Kafka's `replaceSegments`, and what a start does about
each of them (class LogLoader). Not here: what is in the compacted segment (`compaction`).

    *.log.cleaned   being written; worth nothing after a crash
    *.log.swap      whole and synced: from this rename on the old segments only wait to go
    *.log.deleted   an old segment, out of the way

The base offset of a compacted segment is that of the first one it replaces, and its last batch ends where the last
of them ended: that is how a start knows which segments a `.swap` file stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.ports import Disk
from cluster.storage.scan import scan_batches
from cluster.storage.segment import Segment

CLEANED = ".cleaned"
SWAP = ".swap"
DELETED = ".deleted"

_LOG = ".log"


def swap_segments(disk: Disk, sources: Sequence[Segment], cleaned: Segment) -> None:
    """Let `cleaned`, which is synced under its `.cleaned` name, take the place of `sources`. Raises DiskError."""
    path = sources[0].path
    assert cleaned.path == path + CLEANED, f"{cleaned.path} cannot take the place of {path}"
    disk.rename(cleaned.path, path + SWAP)
    for source in sources:
        source.delete_indexes()
    for source in sources[1:]:
        disk.rename(source.path, source.path + DELETED)
    cleaned.write_indexes(is_final=True)
    disk.rename(path + SWAP, path)
    cleaned.path = path
    for source in sources[1:]:
        disk.delete(source.path + DELETED)


def finish_swaps(disk: Disk, directory: str) -> None:
    """Bring every swap that a crash interrupted to its end, or undo it. Raises DiskError."""
    names = disk.list(directory)
    for name in names:
        if name.endswith(CLEANED):
            disk.delete(f"{directory}/{name}")
    for name in names:
        if name.endswith(_LOG + SWAP):
            _finish_swap(disk, directory, name.removesuffix(SWAP), names)
    for name in disk.list(directory):
        if name.endswith(_LOG + DELETED):
            disk.delete(f"{directory}/{name}")


def _finish_swap(disk: Disk, directory: str, name: str, names: Sequence[str]) -> None:
    path = f"{directory}/{name}"
    size_bytes = next_offset = 0
    for header in scan_batches(disk, path + SWAP):
        size_bytes += header.size_bytes
        next_offset = header.next_offset
    if size_bytes < disk.size(path + SWAP) or size_bytes == 0:
        _undo_swap(disk, directory, path, names)
        return
    base_offset = _base_offset(name)
    for other in names:
        if other.endswith(_LOG) and base_offset <= _base_offset(other) < next_offset:
            stem = f"{directory}/{other.removesuffix(_LOG)}"
            for index in ("index", "timeindex", "txnindex"):
                disk.delete(f"{stem}.{index}")
            if other != name:
                disk.delete(stem + _LOG)
    disk.rename(path + SWAP, path)


def _undo_swap(disk: Disk, directory: str, path: str, names: Sequence[str]) -> None:
    """The disk has lost what it said was synced: the old segments are all still there."""
    disk.delete(path + SWAP)
    for name in names:
        if name.endswith(_LOG + DELETED):
            disk.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix(DELETED)}")


def _base_offset(name: str) -> int:
    number = name.removesuffix(_LOG)
    return int(number) if number.isdigit() else -1
