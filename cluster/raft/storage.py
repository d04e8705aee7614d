"""A voter's files: term and vote, the write-ahead log, the latest snapshot (KIP-595 calls the directory
`__cluster_metadata-0`).

Here: what is written when, and what a start finds. Not here: when to sync (the shell asks and awaits), or what it
means for the quorum (`node`). Term, vote and snapshots are durable when the call returns; entries after a sync.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import crc32c

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.base.ports import Disk
from cluster.raft.frames import DamagedLog, Scan, encode_entries, encode_header, scan
from cluster.raft.messages import Entry, Snapshot
from cluster.raft.settings import HardState, Restored

METADATA_DIRECTORY = "__cluster_metadata-0"
_HARD_STATE = "quorum-state"
_SNAPSHOT = "snapshot"
_WAL_SUFFIX = ".wal"
_SNAPSHOT_PREFIX_BYTES = 20  # checksum, last index, last term


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync under way: the file, how long it was, and the last entry in it."""

    path: str
    size_bytes: int
    index: int
    term: int


class RaftStorage:
    """One voter's durable state over the Disk port. All methods raise DiskError; a voter does not survive one."""

    def __init__(self, disk: Disk, directory: str = METADATA_DIRECTORY) -> None:
        """Open and recover. Raises KafkaError(KAFKA_STORAGE_ERROR) when durable bytes are damaged."""
        self._disk = disk
        self._directory = directory
        self._retired: list[str] = []
        self._generation = 0
        self._wal_path = ""
        self._size_bytes = self._synced_bytes = 0
        hard_state = self._read_hard_state()
        snapshot = self._read_snapshot()
        found = self._open_wal(is_new=hard_state == HardState() and snapshot is None)
        self.wal_bytes_since_snapshot = self._size_bytes
        self._last_index, self._last_term = _end_of(found)
        if found.base_index > (snapshot.last_index if snapshot else 0):
            _refuse(self._path(_SNAPSHOT), f"it does not reach entry {found.base_index}, after which the log begins")
        if snapshot is not None and not _holds(found, snapshot):
            # The crash came between storing a leader's snapshot and beginning the log that follows it.
            self._begin_wal(snapshot.last_index, snapshot.last_term, ())
            found = Scan(snapshot.last_index, snapshot.last_term, (), self._size_bytes)
        self.restored = Restored(hard_state, snapshot, found.base_index, found.base_term, found.entries)

    # --- term and vote

    def save_hard_state(self, hard_state: HardState) -> None:
        """Store term and vote, durably."""
        content = {"term": hard_state.term, "votedId": hard_state.voted_for}
        content["crc"] = _checksum(content)
        self._disk.replace(self._path(_HARD_STATE), json.dumps(content).encode())

    def _read_hard_state(self) -> HardState:
        path = self._path(_HARD_STATE)
        if not self._disk.exists(path):
            return HardState()
        try:
            content = json.loads(self._disk.read(path, 0, self._disk.size(path)))
            if content.pop("crc") != _checksum(content):
                raise ValueError("its checksum does not match")
            return HardState(content["term"], NodeId(content["votedId"]))
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            _refuse(path, cause)

    # --- the log

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries to the page cache; a first index that is not new replaces the tail, also at recovery."""
        frames = encode_entries(entries, self._synced_bytes)
        self._disk.append(self._wal_path, frames)
        size_bytes = sum(len(frame) for frame in frames)
        self._size_bytes += size_bytes
        self.wal_bytes_since_snapshot += size_bytes
        self._last_index, self._last_term = entries[-1].index, entries[-1].term

    @property
    def is_synced(self) -> bool:
        """Whether everything written is durable."""
        return self._synced_bytes == self._size_bytes

    def begin_sync(self) -> Sync:
        """Return what a sync that begins now will cover. The shell awaits `disk.sync(path)`, then finishes it."""
        return Sync(self._wal_path, self._size_bytes, self._last_index, self._last_term)

    def finish_sync(self, sync: Sync) -> None:
        """Note that a sync has returned; files that were replaced meanwhile can go now."""
        if sync.path == self._wal_path:
            self._synced_bytes = max(self._synced_bytes, sync.size_bytes)
        self.delete_retired()

    def delete_retired(self) -> None:
        """Delete logs that a snapshot has replaced. Not to be called while one of them is being synced."""
        for path in self._retired:
            self._disk.delete(path)
        self._retired.clear()

    def _open_wal(self, is_new: bool) -> Scan:
        names = [name for name in self._disk.list(self._directory) if name.endswith(_WAL_SUFFIX)]
        if not names:
            if not is_new:
                _refuse(self._path("*" + _WAL_SUFFIX), "it is missing, but this voter has voted or taken a snapshot")
            self._begin_wal(0, 0, ())
            return Scan(0, 0, (), self._size_bytes)
        self._retired += [self._path(name) for name in names[:-1]]
        self._wal_path = self._path(names[-1])
        self._generation = int(names[-1].removesuffix(_WAL_SUFFIX))
        size_bytes = self._disk.size(self._wal_path)
        try:
            found = scan(self._disk.read(self._wal_path, 0, size_bytes))
        except DamagedLog as cause:
            _refuse(self._wal_path, cause)
        if found.sound_bytes < size_bytes:
            self._disk.truncate(self._wal_path, found.sound_bytes)
        self._size_bytes = found.sound_bytes
        # A process that was killed left what it wrote in the page cache: readable, and not durable yet.
        self._synced_bytes = 0
        return found

    def _begin_wal(self, base_index: int, base_term: int, entries: Sequence[Entry]) -> None:
        """Start another log file, durably, with the entries that stay."""
        if self._generation:
            self._retired.append(self._wal_path)
        self._generation += 1
        content = b"".join([encode_header(base_index, base_term), *encode_entries(entries, 0)])
        self._wal_path = self._path(f"{self._generation:020}{_WAL_SUFFIX}")
        self._disk.replace(self._wal_path, content)
        self._size_bytes = self._synced_bytes = len(content)
        self.wal_bytes_since_snapshot = 0
        last = entries[-1] if entries else None
        self._last_index, self._last_term = (last.index, last.term) if last else (base_index, base_term)

    # --- snapshots

    def save_snapshot(self, snapshot: Snapshot, base_index: int, base_term: int, kept: Sequence[Entry]) -> None:
        """Store a snapshot durably and begin a log of the entries after (`base_index`, `base_term`)."""
        body = snapshot.last_index.to_bytes(8, "big") + snapshot.last_term.to_bytes(8, "big") + snapshot.data
        self._disk.replace(self._path(_SNAPSHOT), crc32c.crc32c(body).to_bytes(4, "big") + body)
        self._begin_wal(base_index, base_term, kept)

    def _read_snapshot(self) -> Snapshot | None:
        path = self._path(_SNAPSHOT)
        if not self._disk.exists(path):
            return None
        content = self._disk.read(path, 0, self._disk.size(path))
        if len(content) < _SNAPSHOT_PREFIX_BYTES:
            _refuse(path, "it is too short")
        if int.from_bytes(content[:4], "big") != crc32c.crc32c(content[4:]):
            _refuse(path, "its checksum does not match")
        last_index, last_term = int.from_bytes(content[4:12], "big"), int.from_bytes(content[12:20], "big")
        return Snapshot(last_index, last_term, content[_SNAPSHOT_PREFIX_BYTES:])

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"


def _holds(found: Scan, snapshot: Snapshot) -> bool:
    """Whether the log goes on from the snapshot: it has the snapshot's last entry, or follows it directly."""
    if found.base_index == snapshot.last_index:
        return found.base_term == snapshot.last_term
    position = snapshot.last_index - found.base_index - 1
    return 0 <= position < len(found.entries) and found.entries[position].term == snapshot.last_term


def _end_of(found: Scan) -> tuple[int, int]:
    if found.entries:
        return found.entries[-1].index, found.entries[-1].term
    return found.base_index, found.base_term


def _checksum(content: dict[str, Any]) -> int:
    return crc32c.crc32c(json.dumps(content, sort_keys=True).encode())


def _refuse(path: str, cause: object) -> NoReturn:
    raise KafkaError(
        ErrorCode.KAFKA_STORAGE_ERROR,
        f"the metadata quorum's file {path} is damaged: {cause}. A voter that forgot what it acknowledged could undo "
        "committed metadata, so it does not start. Restore the file, or remove this node's data directory and let it "
        "rejoin only while a majority of the other voters is intact.",
    )
