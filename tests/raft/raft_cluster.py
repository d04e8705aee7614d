"""Voters without a loop, a clock or a network: tests decide what is delivered, synced, lost, and when time passes.

Here: a faithful, synchronous shell around the real core and the real storage, and a bag of messages under way.
Not here: what must hold after each step (`raft_invariants`), or random schedules (`raft_schedule`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Protocol

from memory_disk import MemoryDisk

from cluster.base.ids import NO_NODE, NodeId
from cluster.base.trace import TraceEvent
from cluster.raft import (
    Entry,
    Message,
    RaftNode,
    RaftSettings,
    RaftStorage,
    Ready,
    Snapshot,
    Sync,
    from_protobuf,
    to_protobuf,
)
from cluster.rpc.raft_pb2 import RaftMessage

FETCH_TIMEOUT_MS = 300
ELECTION_TIMEOUT_MS = 150


class Watcher(Protocol):
    """Whoever looks at the cluster after each step."""

    def on_ready(self, voter: Voter, ready: Ready) -> None: ...
    def on_applied(self, voter: Voter, entry: Entry) -> None: ...
    def on_installed(self, voter: Voter, snapshot: Snapshot) -> None: ...
    def on_started(self, voter: Voter) -> None: ...
    def on_step(self, voters: list[Voter]) -> None: ...


class Voter:
    """One voter with its disk. Its state machine is the list of applied entries."""

    def __init__(self, voter_id: int, voters: tuple[NodeId, ...], rng: Random, watcher: Watcher) -> None:
        self.voter_id = NodeId(voter_id)
        self.settings = RaftSettings(
            self.voter_id, voters, FETCH_TIMEOUT_MS, ELECTION_TIMEOUT_MS, 30, FETCH_TIMEOUT_MS * 3 // 2
        )
        self.disk = MemoryDisk()
        self.applied: list[tuple[int, int, str]] = []
        self.events: list[TraceEvent] = []
        self.is_alive = False
        self._rng = rng
        self._watcher = watcher
        self._sync: Sync | None = None
        self.durable_index = 0  # what a loss of power would leave

    def start(self, now_ms: int) -> None:
        assert not self.is_alive
        self.storage = RaftStorage(self.disk)
        self.node = RaftNode(self.settings, self.storage.restored, self._rng, now_ms)
        self._sync = None
        snapshot = self.node.snapshot
        self.durable_index = snapshot.last_index if snapshot else 0
        self.applied = read_state(snapshot.data) if snapshot else []
        self.is_alive = True
        self._watcher.on_started(self)

    def crash(self, loses_power: bool) -> None:
        self.is_alive = False
        if loses_power:
            self.disk.lose_power_raggedly(self._rng)

    @property
    def has_unsynced(self) -> bool:
        return not self.storage.is_synced

    def begin_sync(self) -> None:
        if self._sync is None:
            self._sync = self.storage.begin_sync()

    def finish_sync(self) -> None:
        """The sync that was begun returns: only what was written before it began is covered."""
        self.begin_sync()
        sync, self._sync = self._sync, None
        assert sync is not None
        if self.disk.exists(sync.path):
            self.disk.mark_synced(sync.path, sync.size_bytes)
            if self.node.term_at(sync.index) == sync.term:
                self.durable_index = max(self.durable_index, sync.index)
        self.storage.finish_sync(sync)
        self.node.on_synced(sync.index, sync.term)

    def take_snapshot(self) -> None:
        """Compact the log; a sync under way must have returned, as in the real shell."""
        index = self.node.applied_index
        term = self.node.term_at(index)
        if self._sync is not None or term is None or index == self.node.base_index:
            return
        snapshot = Snapshot(index, term, json.dumps(self.applied).encode())
        self.node.compact(snapshot)
        self.storage.save_snapshot(snapshot, *self.node.kept_entries())
        self.storage.delete_retired()
        self.durable_index = self.node.last_index

    def carry_out(self) -> Iterator[Message]:
        """Persist, then send, then apply: what the real shell does."""
        while True:
            ready = self.node.ready()
            if ready.hard_state is not None:
                self.storage.save_hard_state(ready.hard_state)
            if ready.snapshot is not None:
                latest = ready.snapshot
                self.storage.save_snapshot(latest, latest.last_index, latest.last_term, ())
                self.durable_index = latest.last_index
            if ready.entries:
                self.durable_index = min(self.durable_index, ready.entries[0].index - 1)
                self.storage.append(ready.entries)
            self.events += ready.events
            self._watcher.on_ready(self, ready)
            yield from ready.messages
            if ready.snapshot is not None:
                self.applied = read_state(ready.snapshot.data)
                self._watcher.on_installed(self, ready.snapshot)
            for entry in ready.committed:
                self.applied.append((entry.index, entry.term, entry.data.decode()))
                self._watcher.on_applied(self, entry)
            if self.node.applied_index == self.node.commit_index:
                return


def read_state(data: bytes) -> list[tuple[int, int, str]]:
    """Read a snapshot of the state machine: applied entries as (index, term, data)."""
    return [(index, term, text) for index, term, text in json.loads(data)]


class Cluster:
    """Voters 1 to n, and the messages under way between them, oldest first."""

    def __init__(self, voters: int, rng: Random, watcher: Watcher) -> None:
        ids = tuple(NodeId(number) for number in range(1, voters + 1))
        self.now_ms = 1_000
        self.under_way: list[Message] = []
        self._watcher = watcher
        self.voters = {voter_id: Voter(voter_id, ids, rng, watcher) for voter_id in ids}
        for voter in self.voters.values():
            voter.start(self.now_ms)

    @property
    def alive(self) -> list[Voter]:
        return [voter for voter in self.voters.values() if voter.is_alive]

    @property
    def leaders(self) -> list[Voter]:
        return [voter for voter in self.alive if voter.node.is_leader]

    def settle(self, voter: Voter) -> None:
        """Carry a voter's effects out and look at everybody."""
        if voter.is_alive:
            self.under_way += voter.carry_out()
        self._watcher.on_step(self.alive)

    def deliver(self, message: Message) -> None:
        """Hand a message over, as bytes; a dead voter hears nothing."""
        voter = self.voters[message.target]
        if voter.is_alive:
            travelled = RaftMessage.FromString(to_protobuf(message).SerializeToString())
            voter.node.step(from_protobuf(travelled), self.now_ms)
            self.settle(voter)

    def deliver_all(self) -> None:
        """Deliver and sync until nothing is under way."""
        while self.under_way or any(voter.has_unsynced for voter in self.alive):
            while self.under_way:
                self.deliver(self.under_way.pop(0))
            for voter in self.alive:
                self.sync(voter)

    def sync(self, voter: Voter) -> None:
        voter.finish_sync()
        self.settle(voter)

    def propose(self, voter: Voter, text: str) -> int | None:
        index = voter.node.propose(text.encode())
        self.settle(voter)
        return index

    def transfer(self, voter: Voter, target: int = NO_NODE) -> NodeId:
        chosen = voter.node.transfer(NodeId(target), self.now_ms)
        self.settle(voter)
        return chosen

    def time_out(self, voter: Voter) -> None:
        """Let time pass for one voter only, until it has something to do."""
        self.now_ms = max(self.now_ms, voter.node.next_tick_ms)
        voter.node.tick(self.now_ms)
        self.settle(voter)

    def elapse(self, duration_ms: int) -> None:
        """Let time pass for all; nothing is delivered meanwhile."""
        end_ms = self.now_ms + duration_ms
        while due := [voter for voter in self.alive if voter.node.next_tick_ms <= end_ms]:
            voter = min(due, key=lambda voter: (voter.node.next_tick_ms, voter.voter_id))
            self.now_ms = max(self.now_ms, voter.node.next_tick_ms)
            voter.node.tick(self.now_ms)
            self.settle(voter)
        self.now_ms = end_ms

    def start(self, voter: Voter) -> None:
        voter.start(self.now_ms)
        self.settle(voter)

    def elect(self, voter_id: int) -> Voter:
        """Make one voter lead by letting its patience end first, with a network in good order."""
        voter = self.voters[NodeId(voter_id)]
        for _ in range(50):
            if voter.node.is_leader:
                break
            self.now_ms += FETCH_TIMEOUT_MS  # nobody's lease on an old leader holds any more
            self.time_out(voter)
            self.deliver_all()
        assert voter.node.is_leader
        return voter
