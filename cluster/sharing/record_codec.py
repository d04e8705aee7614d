"""The records of `__share_group_state`, in Kafka's format (schemas `ShareSnapshotKey/Value`, `ShareUpdateKey/Value`).

Here: keys and values as bytes, both ways. A key begins with its version: 0 a snapshot of a share partition's state, 1 a
change since the last one. Only snapshots are written here: a state is small, and compaction keeps the newest. Changes
that another coordinator wrote are read: what they say of offsets replaces what was said before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import Struct

from cluster.sharing.state import SharePartitionKey, ShareState, StateBatch
from cluster.sharing.states import RecordState
from cluster.wire import INT16, INT32, INT64, Cursor, MalformedMessage, length, string, tagged

SNAPSHOT, UPDATE = 0, 1

_UINT16 = Struct(">H")
_VALUE_VERSION = 0
_NO_TAGS = tagged(())


@dataclass(frozen=True, slots=True)
class StateKey:
    """What a record is about; `is_update` says that it changes what the last snapshot said."""

    partition: SharePartitionKey
    is_update: bool = False


def write_key(key: SharePartitionKey) -> bytes:
    """Return the key of a snapshot."""
    return INT16.pack(SNAPSHOT) + string(key.group_id, False) + key.topic_id.bytes + INT32.pack(key.partition)


def read_key(data: bytes) -> StateKey | None:
    """Return what a key stands for; None for a version that is not known. Raises MalformedMessage."""
    cursor = Cursor(data)
    version = cursor.number(INT16)
    if version not in (SNAPSHOT, UPDATE):
        return None
    partition = SharePartitionKey(cursor.text(False), cursor.topic_id(), cursor.number(INT32))
    return StateKey(partition, version == UPDATE)


def write_snapshot(state: ShareState) -> bytes:
    """Return the value of a snapshot. Its own epoch has 16 bits, and begins anew."""
    parts = [
        INT16.pack(_VALUE_VERSION),
        _UINT16.pack(state.snapshot_epoch % 2**16),
        INT32.pack(state.state_epoch),
        INT32.pack(state.leader_epoch),
        INT64.pack(state.start_offset),
        length(len(state.batches), True),
    ]
    for first, last, kind, count in state.batches:
        parts += (INT64.pack(first), INT64.pack(last), bytes((kind,)), INT16.pack(count), _NO_TAGS)
    return b"".join((*parts, _NO_TAGS))


def read_snapshot(data: bytes) -> ShareState:
    """Read the value of a snapshot. Raises MalformedMessage."""
    cursor = _open(data)
    snapshot_epoch = cursor.number(_UINT16)
    state_epoch, leader_epoch = cursor.number(INT32), cursor.number(INT32)
    start_offset = cursor.number(INT64)
    return ShareState(state_epoch, leader_epoch, start_offset, _read_batches(cursor), snapshot_epoch)


def read_update(data: bytes, state: ShareState) -> ShareState:
    """Return a state with the change that a value says. Raises MalformedMessage."""
    cursor = _open(data)
    snapshot_epoch, leader_epoch = cursor.number(_UINT16), cursor.number(INT32)
    start_offset = cursor.number(INT64)
    changed = _read_batches(cursor)
    offsets: dict[int, StateBatch] = {}
    for batch in (*state.batches, *changed):
        offsets |= dict.fromkeys(range(batch.first_offset, batch.last_offset + 1), batch)
    start_offset = state.start_offset if start_offset < 0 else start_offset
    batches = tuple(
        StateBatch(offset, offset, offsets[offset].state, offsets[offset].delivery_count)
        for offset in sorted(offsets)
        if offset >= start_offset
    )
    return replace(
        state,
        leader_epoch=leader_epoch,
        start_offset=start_offset,
        batches=batches,
        snapshot_epoch=snapshot_epoch,
    )


def _open(data: bytes) -> Cursor:
    cursor = Cursor(data)
    version = cursor.number(INT16)
    if version != _VALUE_VERSION:
        raise MalformedMessage(f"a value of version {version}; {_VALUE_VERSION} is known")
    return cursor


def _read_batches(cursor: Cursor) -> tuple[StateBatch, ...]:
    found: list[StateBatch] = []
    for _ in cursor.elements(True):
        first, last = cursor.number(INT64), cursor.number(INT64)
        state, count = cursor.take(1)[0], cursor.number(INT16)
        cursor.tags()
        if state not in RecordState.__members__.values() or last < first:
            raise MalformedMessage(f"offsets {first} to {last} in state {state}")
        found.append(StateBatch(first, last, RecordState(state), count))
    return tuple(found)
