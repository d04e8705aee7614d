"""The controller above the metadata quorum: applies what is committed and, while it leads, decides what to propose.

Two images. The committed one is what every node will see. The speculative one also has the proposals that are on
their way, so that decisions follow each other without waiting for the disk; a reply waits for its own entry. When
leadership is lost the speculative image is thrown away with everything that nobody was told, and whoever still
waits hears NOT_CONTROLLER: a deposed controller loses nothing that it had answered.

Here: images, proposals, sessions and timers. Not here: the decisions (`cluster.controller`), the RPCs
(`controller_service`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.base.trace import ControllerActivated, ControllerResigned
from cluster.controller import (
    BrokerControlState,
    BrokerSessions,
    Decision,
    balance_leaders,
    fence_broker,
    heartbeat,
    register_broker,
)
from cluster.metadata import MetadataImage, apply_batch, delta_between, read_snapshot, trace_delta, write_snapshot
from cluster.node.config import NodeConfig
from cluster.node.world import World
from cluster.raft import Entry, EntryKind, Snapshot, VoterStatus
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

_Reply = TypeVar("_Reply")

_FENCING_PAUSE_MS = 10
"""At least so long between two looks at overdue brokers."""


class MetadataQuorum(Protocol):
    """What the controller asks of Raft (`cluster.node.quorum.Quorum`)."""

    @property
    def leader_id(self) -> NodeId: ...
    @property
    def term(self) -> int: ...
    @property
    def commit_index(self) -> int: ...
    @property
    def last_index(self) -> int: ...
    def propose(self, data: bytes) -> asyncio.Future[int]: ...
    def entries(self, first_index: int, max_bytes: int) -> tuple[Entry, ...] | None: ...
    def snapshot(self) -> Snapshot | None: ...
    def status(self) -> tuple[VoterStatus, ...]: ...


class ActiveController:
    """A voter's state machine; it listens to the quorum (`QuorumListener`) and must be attached to it."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs) -> None:
        self.node_id = config.node_id
        self.committed = MetadataImage.empty(config.cluster_id)
        self.sessions = BrokerSessions(configs.integer("broker.session.timeout.ms"))
        self._world = world
        self._configs = configs
        # In combined mode the broker follows the metadata too, and tells the trace.
        self._tells_trace = not config.is_broker
        self._quorum: MetadataQuorum | None = None
        self._term: int | None = None  # active in this term
        self._speculative = self.committed
        self._last_proposal: asyncio.Future[int] | None = None
        self._fencing_timer: asyncio.TimerHandle | None = None
        self._balance_timer: asyncio.TimerHandle | None = None
        self._progress = asyncio.Event()

    def attach(self, quorum: MetadataQuorum) -> None:
        """Name the quorum; the two need each other, so this comes after both are made."""
        self._quorum = quorum

    @property
    def quorum(self) -> MetadataQuorum:
        """The quorum this controller is a voter of."""
        assert self._quorum is not None, "attach the quorum before it runs"
        return self._quorum

    @property
    def term(self) -> int | None:
        """The controller epoch while active, else None."""
        return self._term

    async def wait_for_progress(self, timeout_ms: int) -> None:
        """Return when something was committed or leadership changed, or after `timeout_ms`."""
        progress = self._progress
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await progress.wait()
        except TimeoutError:
            return

    # --- decisions

    async def decide(self, make: Callable[[MetadataImage], Decision[_Reply]]) -> _Reply:
        """Make a decision now and return its reply when it is true: committed, and so is all that it was based on.

        Raises KafkaError: the decision's own refusal; NOT_CONTROLLER when this node is not active or stops being
        so before it knows the outcome.
        """
        self._check_active()
        return await self._commit(make(self._speculative))

    async def register(self, request: rpc.RegisterBrokerRequest) -> rpc.RegisterBrokerReply:
        """Register a broker and begin its session. Raises as `decide`."""
        self._check_active()
        now_ms = self._world.clock.monotonic_ms()
        decision = register_broker(self._speculative, self._configs, self.sessions, request, now_ms)
        waiting = self._propose(decision.records)
        self.sessions.touch(NodeId(request.broker_id), decision.reply.broker_epoch, now_ms)
        self._arm_fencing()
        await self._settled(waiting)
        return decision.reply

    async def heartbeat(self, request: rpc.BrokerHeartbeatRequest) -> rpc.BrokerHeartbeatReply:
        """Hear a broker, and let it in or out. Raises as `decide`."""
        self._check_active()
        broker_id = NodeId(request.broker_id)
        now_ms = self._world.clock.monotonic_ms()
        decision, following = heartbeat(self._speculative, self._configs, self.sessions, request)
        waiting = self._propose(decision.records) if decision.records else self._last_proposal
        self.sessions.touch(broker_id, request.broker_epoch, now_ms, request.current_metadata_offset)
        if following is BrokerControlState.CONTROLLED_SHUTDOWN and decision.records:
            self.sessions.leave(broker_id, self._speculative.offset)
        elif following is BrokerControlState.SHUTDOWN_NOW:
            self.sessions.end(broker_id)
        self._arm_fencing()
        await self._settled(waiting)
        return decision.reply

    def _check_active(self) -> None:
        if self._term is None:
            raise KafkaError(ErrorCode.NOT_CONTROLLER, f"node {self.node_id} is not the active controller")

    async def _commit(self, decision: Decision[_Reply]) -> _Reply:
        # A decision that writes nothing may still rest on something that is not committed yet.
        waiting = self._propose(decision.records) if decision.records else self._last_proposal
        await self._settled(waiting)
        return decision.reply

    def _propose(self, records: Iterable[pb.MetadataRecord]) -> asyncio.Future[int]:
        """Propose records as one entry and believe in them from now on.

        They are applied before they are proposed: records that do not fit are a bug, which must stop this node
        and not, by way of the log, all of them.
        """
        assert self._term is not None, "only the active controller proposes"
        batch = pb.MetadataBatch(records=records)
        offset = self.quorum.last_index + 1
        image, _ = apply_batch(self._speculative, batch.records, offset, self._term)
        future = self.quorum.propose(batch.SerializeToString(deterministic=True))
        future.add_done_callback(_hear_of_failure)
        is_refused = future.done() and future.exception() is not None
        if not is_refused:
            self._speculative = image
            self._last_proposal = future
        return future

    async def _settled(self, proposal: asyncio.Future[int] | None) -> None:
        """Wait for a proposal that others may wait for too. Raises KafkaError(NOT_CONTROLLER)."""
        if proposal is not None:
            await asyncio.shield(proposal)

    # --- what the quorum says (QuorumListener)

    def on_snapshot(self, data: bytes, index: int, term: int) -> None:
        """Take a snapshot instead of everything before."""
        assert self._term is None, "an active controller has everything and needs no snapshot"
        before = self.committed
        self.committed = self._speculative = read_snapshot(data, index, term)
        if self._tells_trace:
            trace_delta(self._world.tracer, delta_between(before, self.committed))
        self._notify()

    def on_committed(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries."""
        for entry in entries:
            records = pb.MetadataBatch.FromString(entry.data).records if entry.kind is EntryKind.DATA else ()
            self.committed, delta = apply_batch(self.committed, records, entry.index, entry.term)
            if self._tells_trace:
                trace_delta(self._world.tracer, delta)
        if self.committed.offset >= self._speculative.offset:
            self._speculative = self.committed
            self._last_proposal = None
        self._notify()

    def on_leader(self, term: int) -> None:
        """Become active: everything of earlier leaders is applied."""
        assert self._term is None, f"active in {self._term} when elected in {term}"
        self._term = term
        self._speculative = self.committed
        self._last_proposal = None
        self.sessions.restart(self.committed, self._world.clock.monotonic_ms())
        if self._world.tracer.enabled:
            self._world.tracer.emit(ControllerActivated(term))
        self._arm_fencing()
        self._arm_balancing()
        self._notify()

    def on_resigned(self, term: int) -> None:
        """Stop being active: forget what was not committed."""
        self._term = None
        self._speculative = self.committed
        self._last_proposal = None
        for timer in (self._fencing_timer, self._balance_timer):
            if timer is not None:
                timer.cancel()
        self._fencing_timer = self._balance_timer = None
        if self._world.tracer.enabled:
            self._world.tracer.emit(ControllerResigned(term))
        self._notify()

    def take_snapshot(self) -> bytes:
        """Return everything applied so far."""
        return write_snapshot(self.committed)

    def _notify(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    # --- timers

    def _arm_fencing(self) -> None:
        """Wake up when the next broker may be overdue. Contact only moves deadlines later, so one timer is enough."""
        if self._fencing_timer is not None:
            return
        now_ms = self._world.clock.monotonic_ms()
        deadline_ms = self.sessions.next_deadline_ms(self._speculative, now_ms)
        if deadline_ms is not None:
            # Never at once: while leadership is handed over, the quorum takes no proposals and the deadline stays.
            wake_ms = max(deadline_ms, now_ms + _FENCING_PAUSE_MS)
            loop = asyncio.get_running_loop()
            self._fencing_timer = loop.call_later((wake_ms - now_ms) / 1000, self._fence_overdue, wake_ms)

    def _fence_overdue(self, wake_ms: int) -> None:
        self._fencing_timer = None
        now_ms = self._world.clock.monotonic_ms()
        if self.sessions.is_asleep(wake_ms, now_ms):
            self.sessions.restart(self._speculative, now_ms)
        for broker_id in self.sessions.expired(self._speculative, now_ms):
            self._propose(fence_broker(self._speculative, self._configs, broker_id))
            self.sessions.fence(broker_id, self._speculative.offset)
        self._arm_fencing()

    def _arm_balancing(self) -> None:
        if self._configs.flag("auto.leader.rebalance.enable"):
            delay_s = self._configs.integer("leader.imbalance.check.interval.seconds")
            self._balance_timer = asyncio.get_running_loop().call_later(delay_s, self._balance)

    def _balance(self) -> None:
        records = balance_leaders(self._speculative, self._configs)
        if records:
            self._propose(records)
        self._arm_balancing()


def _hear_of_failure(proposal: asyncio.Future[int]) -> None:
    """Nobody may be waiting for a proposal (a fence, a client that gave up); its failure is no news to the loop."""
    if not proposal.cancelled():
        proposal.exception()
