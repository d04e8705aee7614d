"""One voter of the metadata quorum, running: gives the Raft core time, a disk and a network.

Here: the order in which effects are carried out (persist, then send, then apply), the sync of the log, snapshots,
and the futures of proposals. Not here: any decision of Raft (`cluster.raft`), or what entries mean (the listener).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.base.limits import RAFT_ENTRY_BYTES_MAX, RAFT_SNAPSHOT_BYTES_MAX
from cluster.base.ports import DiskError
from cluster.base.trace import RaftSynced
from cluster.node.config import NodeConfig
from cluster.node.raft_peer import RaftPeer
from cluster.node.raft_service import RaftService
from cluster.node.world import World
from cluster.raft import (
    Entry,
    EntryKind,
    Message,
    RaftNode,
    RaftSettings,
    RaftStorage,
    Ready,
    Snapshot,
    VoterStatus,
)

_logger = logging.getLogger(__name__)


class QuorumListener(Protocol):
    """The state machine above the log. All calls are synchronous, on the loop, and in log order."""

    def on_snapshot(self, data: bytes, index: int, term: int) -> None:
        """Forget everything and take this state, which stands for all entries up to `index`."""

    def on_committed(self, entries: Sequence[Entry]) -> None:
        """Apply entries, no-ops included."""

    def on_leader(self, term: int) -> None:
        """This voter leads `term`, and everything before its own no-op has been applied."""

    def on_resigned(self, term: int) -> None:
        """This voter no longer leads `term`; comes once after each `on_leader`."""

    def take_snapshot(self) -> bytes:
        """Return the state after everything applied so far."""


class Quorum:
    """The running voter. Reads its files when it is built: KafkaError(KAFKA_STORAGE_ERROR) when they are damaged."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs, listener: QuorumListener) -> None:
        self._world = world
        self._listener = listener
        self._snapshot_after_bytes = configs.integer("metadata.log.max.record.bytes.between.snapshots")
        self._snapshot_due_bytes = self._snapshot_after_bytes
        self._storage = RaftStorage(world.disk)
        voters = tuple(voter.node_id for voter in config.voters)
        self._settings = RaftSettings.of(config.node_id, voters, configs)
        self._node = RaftNode(self._settings, self._storage.restored, world.rng, world.clock.monotonic_ms())
        self._peers = {
            voter.node_id: RaftPeer(world, voter, self._settings.fetch_timeout_ms)
            for voter in sorted(config.voters, key=lambda voter: voter.node_id)
            if voter.node_id != config.node_id
        }
        self.servicer = RaftService(self._receive)
        self._proposals: dict[int, tuple[int, asyncio.Future[int]]] = {}
        self._announced_term: int | None = None  # led, and the listener knows
        self._unsynced = asyncio.Event()
        self._resigned = asyncio.Event()
        self._is_running = False
        self._carry_out_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._failure: asyncio.Future[None] | None = None

    # --- what is known

    @property
    def leader_id(self) -> NodeId:
        """The leader of the current term; NO_NODE while it has not been heard."""
        return self._node.leader_id

    @property
    def term(self) -> int:
        """The current Raft term: the controller epoch of whoever leads it."""
        return self._node.term

    @property
    def is_leader(self) -> bool:
        """Whether this voter leads, as far as it knows."""
        return self._node.is_leader

    @property
    def commit_index(self) -> int:
        """The last entry known to be committed."""
        return self._node.commit_index

    @property
    def last_index(self) -> int:
        """The last entry of this voter's log."""
        return self._node.last_index

    def entries(self, first_index: int, max_bytes: int) -> tuple[Entry, ...] | None:
        """Return committed entries from `first_index`; None when a snapshot has replaced them."""
        return self._node.entries(first_index, self._node.applied_index, max_bytes)

    def snapshot(self) -> Snapshot | None:
        """Return the latest snapshot; there is one when entries were replaced."""
        return self._node.snapshot

    def status(self) -> tuple[VoterStatus, ...]:
        """Return how far each voter is; only a leader knows."""
        return self._node.status()

    # --- what is asked

    def propose(self, data: bytes) -> asyncio.Future[int]:
        """Propose an entry. The future has its index once the listener has applied it.

        It fails with KafkaError(NOT_CONTROLLER) when this voter does not lead, or stops leading first: then the
        entry may or may not be committed later. KafkaError(RECORD_LIST_TOO_LARGE) when it is too large to propose.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(data) > RAFT_ENTRY_BYTES_MAX:
            reason = f"{len(data)} bytes of metadata in one step; at most {RAFT_ENTRY_BYTES_MAX} are allowed"
            future.set_exception(KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, reason))
            return future
        index = self._node.propose(data) if self._is_running else None
        if index is None:
            future.set_exception(KafkaError(ErrorCode.NOT_CONTROLLER, "this node does not lead the metadata quorum"))
            return future
        self._proposals[index] = (self._node.term, future)
        self._carry_out_soon()
        return future

    async def transfer_leadership(self) -> None:
        """Hand leadership to the best follower and return when it is gone, or after an election timeout."""
        if not self._is_running:
            return
        if self._node.transfer(NO_NODE, self._world.clock.monotonic_ms()) == NO_NODE:
            return  # does not lead, or leads alone
        self._resigned.clear()
        self._carry_out()
        try:
            await asyncio.wait_for(self._resigned.wait(), self._settings.election_timeout_ms / 1000)
        except TimeoutError:
            return  # nobody took over in time: the others will elect somebody when this voter is gone

    async def run(self) -> None:
        """Take part in the quorum until cancelled. A voter whose disk fails stops: DiskError, in an ExceptionGroup."""
        loop = asyncio.get_running_loop()
        self._failure = loop.create_future()
        if (latest := self._node.snapshot) is not None:
            self._listener.on_snapshot(latest.data, latest.last_index, latest.last_term)
        self._is_running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sync_log(), name="raft-sync")
                for peer_id, peer in self._peers.items():
                    tasks.create_task(peer.run(), name=f"raft-peer-{peer_id}")
                self._unsynced.set()  # what a killed process left is not durable yet
                self._tick()
                await self._failure
        finally:
            self._is_running = False
            if self._timer is not None:
                self._timer.cancel()
            self._fail_proposals()

    # --- inputs of the core

    def _receive(self, message: Message) -> None:
        if self._is_running:
            self._node.step(message, self._world.clock.monotonic_ms())
            self._carry_out()

    def _tick(self) -> None:
        self._timer = None
        if self._is_running:
            self._node.tick(self._world.clock.monotonic_ms())
            self._carry_out()

    def _arm_timer(self) -> None:
        """Sleep until the core's next deadline. A deadline that moved away is looked at when the old one comes."""
        loop = asyncio.get_running_loop()
        delay_s = max(self._node.next_tick_ms - self._world.clock.monotonic_ms(), 0) / 1000
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._tick)

    def _carry_out_soon(self) -> None:
        """Carry effects out after this step of the loop, so that proposals made together travel together."""
        if not self._carry_out_is_due:
            self._carry_out_is_due = True
            asyncio.get_running_loop().call_soon(self._carry_out_due)

    def _carry_out_due(self) -> None:
        self._carry_out_is_due = False
        if self._is_running:
            self._carry_out()

    # --- effects of the core

    def _carry_out(self) -> None:
        """Do what the core asks, until it asks nothing more. A failure ends `run`: nothing may be sent after it."""
        try:
            self._carry_out_one(self._node.ready())
            while self._node.applied_index < self._node.commit_index:
                self._carry_out_one(self._node.ready())
        except DiskError as failure:
            self._halt(failure)
        except BaseException as failure:
            self._halt(failure)
            raise
        else:
            self._arm_timer()

    def _halt(self, failure: BaseException) -> None:
        self._is_running = False
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(failure)

    def _carry_out_one(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self._storage.save_hard_state(ready.hard_state)
        if ready.snapshot is not None:
            self._storage.save_snapshot(ready.snapshot, ready.snapshot.last_index, ready.snapshot.last_term, ())
        if ready.entries:
            self._storage.append(ready.entries)
            self._unsynced.set()
        if self._world.tracer.enabled:
            for event in ready.events:
                self._world.tracer.emit(event)
        for message in ready.messages:
            self._peers[message.target].send(message)
        self._notice_resignation()
        if ready.snapshot is not None:
            self._unsynced.set()  # the log it replaced can be deleted
            self._listener.on_snapshot(ready.snapshot.data, ready.snapshot.last_index, ready.snapshot.last_term)
        if ready.committed:
            self._apply(ready.committed)

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._listener.on_committed(entries)
        for entry in entries:
            term, future = self._proposals.pop(entry.index, (0, None))
            if future is not None and not future.done():
                assert term == entry.term, "a leader's entries are committed under its own term or not at all"
                future.set_result(entry.index)
            if entry.kind is EntryKind.NO_OP and self._node.is_leader and entry.term == self._node.term:
                self._announced_term = entry.term
                self._listener.on_leader(entry.term)

    def _notice_resignation(self) -> None:
        """Tell the listener and whoever waits that this voter leads no more."""
        if self._proposals and not self._node.is_leader:
            self._fail_proposals()
        if not self._node.is_leader:
            self._resigned.set()
        if self._announced_term is not None and not self._leads(self._announced_term):
            term, self._announced_term = self._announced_term, None
            self._listener.on_resigned(term)

    def _leads(self, term: int) -> bool:
        return self._node.is_leader and self._node.term == term

    def _fail_proposals(self) -> None:
        proposals = list(self._proposals.values())
        self._proposals.clear()
        for _, future in proposals:
            if not future.done():
                reason = "this node stopped leading the metadata quorum; the change may or may not have been made"
                future.set_exception(KafkaError(ErrorCode.NOT_CONTROLLER, reason))

    # --- the disk

    async def _sync_log(self) -> None:
        """Sync whenever there is something to sync; one sync covers all that was written before it began."""
        while True:
            await self._unsynced.wait()
            self._unsynced.clear()
            sync = self._storage.begin_sync()
            if not self._storage.is_synced:
                await self._world.disk.sync(sync.path)
            self._storage.finish_sync(sync)
            if self._world.tracer.enabled:
                self._world.tracer.emit(RaftSynced(sync.index, sync.term))
            self._node.on_synced(sync.index, sync.term)
            self._take_snapshot_if_due()
            self._carry_out()

    def _take_snapshot_if_due(self) -> None:
        """Replace applied entries by a snapshot when the log has grown enough (called while no sync is under way)."""
        node = self._node
        index = node.applied_index
        if self._storage.wal_bytes_since_snapshot <= self._snapshot_due_bytes or index <= node.base_index:
            return
        if node.snapshot is not None and node.snapshot.last_index == index:
            return
        term = node.term_at(index)
        assert term is not None
        data = self._listener.take_snapshot()
        if len(data) > RAFT_SNAPSHOT_BYTES_MAX:
            reason = "the metadata has %d bytes, and a message carries %d: no snapshot is taken, and the log grows on"
            _logger.error(reason, len(data), RAFT_SNAPSHOT_BYTES_MAX)
            self._snapshot_due_bytes = 2 * self._storage.wal_bytes_since_snapshot
            return
        self._snapshot_due_bytes = self._snapshot_after_bytes
        snapshot = Snapshot(index, term, data)
        node.compact(snapshot)
        self._storage.save_snapshot(snapshot, *node.kept_entries())
        self._storage.delete_retired()
