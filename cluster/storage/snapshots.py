"""Producer snapshots: `<offset>.snapshot`, what a log remembers of producers just before that offset.

Here: Kafka's file format (version 1). Kafka writes one entry for each producer, its last batch; we write one
for each batch that is remembered, oldest first. Kafka's reader lets the last entry win, so it understands both.
A snapshot only saves time: one that is torn or missing is replaced by reading more of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error

from crc32c import crc32c

from cluster.base.ports import Disk
from cluster.records import advance_sequence
from cluster.storage.producers import NO_SEQUENCE, BatchSequence, ProducerState, ProducerStates

_VERSION = 1
_HEAD = Struct(">hIi")
"""Version, CRC-32C of everything after the CRC, number of entries."""

_CHECKED_OFFSET = 6
_ENTRY = Struct(">qhiqiqiq")
"""Producer id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, transaction start."""

_NONE = -1


def snapshot_path(directory: str, offset: int) -> str:
    """Return the name of the snapshot taken at an offset."""
    return f"{directory}/{offset:020d}.snapshot"


def write_snapshot(disk: Disk, directory: str, offset: int, producers: ProducerStates) -> None:
    """Write what is remembered of the producers whose records lie below `offset`. Not synced."""
    entries = bytearray()
    count = 0
    for producer_id, state in producers:
        never = BatchSequence(NO_SEQUENCE, NO_SEQUENCE, _NONE, _NONE, state.last_timestamp)
        transaction = (state.coordinator_epoch, state.transaction_start)
        for batch in state.batches or (never,):
            delta = batch.last_offset - batch.first_offset
            position = (batch.last_sequence, batch.last_offset, delta, batch.timestamp)
            entries += _ENTRY.pack(producer_id, state.epoch, *position, *transaction)
            count += 1
    crc = crc32c(count.to_bytes(4, "big") + entries)
    path = snapshot_path(directory, offset)
    disk.delete(path)
    disk.append(path, (_HEAD.pack(_VERSION, crc, count), entries))


def read_snapshot(disk: Disk, directory: str, offset: int) -> ProducerStates | None:
    """Read a snapshot; None when it is damaged."""
    path = snapshot_path(directory, offset)
    content = disk.read(path, 0, disk.size(path))
    try:
        version, crc, count = _HEAD.unpack_from(content)
    except error:
        return None
    is_whole = len(content) == _HEAD.size + count * _ENTRY.size
    if version != _VERSION or not is_whole or crc32c(content[_CHECKED_OFFSET:]) != crc:
        return None
    states: dict[int, ProducerState] = {}
    for entry in _ENTRY.iter_unpack(content[_HEAD.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp = entry[:6]
        state = states.setdefault(producer_id, ProducerState(epoch))
        state.last_timestamp = timestamp
        state.coordinator_epoch, state.transaction_start = entry[6:]
        if last_sequence != NO_SEQUENCE:
            first_sequence = advance_sequence(last_sequence, -delta)
            offsets = (last_offset - delta, last_offset, timestamp)
            state.batches.append(BatchSequence(first_sequence, last_sequence, *offsets))
    producers = ProducerStates()
    for producer_id, state in states.items():
        producers.restore(producer_id, state)
    return producers


def delete_snapshots(disk: Disk, directory: str, keep: Callable[[int], bool]) -> None:
    """Remove the snapshots whose offset is not worth keeping."""
    for offset in list_snapshots(disk, directory):
        if not keep(offset):
            disk.delete(snapshot_path(directory, offset))


def list_snapshots(disk: Disk, directory: str) -> list[int]:
    """Return the offsets at which snapshots were taken, oldest first."""
    names = (name.removesuffix(".snapshot") for name in disk.list(directory) if name.endswith(".snapshot"))
    return sorted(int(name) for name in names if name.isdigit())
