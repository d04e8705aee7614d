"""What only a leader has: its followers' progress, the ISR with at most one change in flight, and who waits.

Here: the state of one leadership, from one word of the controller to the next. Not here: the log (`partition`), the
arithmetic (`high_watermark`, `isr_membership`), and sending AlterPartition (the shell).

**Maximal ISR** (KIP-497). Between asking for a change and its answer, the leader does not know which ISR the
controller believes in. It therefore counts everybody who may be in: additions at once, removals only when confirmed.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.base.ids import NodeId
from cluster.metadata import PartitionState
from cluster.replication.follower_progress import FollowerProgress
from cluster.replication.high_watermark import leader_high_watermark
from cluster.replication.isr_membership import effective_min_insync_replicas, maximal_isr, may_join
from cluster.replication.outcomes import IsrProposal
from cluster.replication.waiters import CommitWaiters

MayBeInSync = Callable[[NodeId, int], bool]
"""Whether a broker may enter an ISR: registered under this broker epoch, neither fenced nor shutting down (KIP-903)."""


class Leadership:
    """One replica's time as the leader of a partition under one leader epoch."""

    def __init__(
        self,
        node_id: NodeId,
        state: PartitionState,
        *,
        epoch_start_offset: int,
        waiters: CommitWaiters,
        now_ms: int,
        lag_time_max_ms: int,
        waits_for_joiners: bool = True,
    ) -> None:
        self.node_id = node_id
        self.leader_epoch = state.leader_epoch
        self.partition_epoch = state.partition_epoch
        self.epoch_start_offset = epoch_start_offset
        self.waiters = waiters
        self.isr: tuple[NodeId, ...] = ()
        self.maximal_isr: tuple[NodeId, ...] = ()
        self.pending: IsrProposal | None = None
        self.followers: dict[NodeId, FollowerProgress] = {}
        self._lag_time_max_ms = lag_time_max_ms
        self._waits_for_joiners = waits_for_joiners  # or not, as Kafka before KIP-497
        self.take_metadata(state, now_ms)

    def take_metadata(self, state: PartitionState, now_ms: int) -> None:
        """Adopt what the controller decided under this leader epoch; a change in flight is settled by it."""
        assert state.leader_epoch == self.leader_epoch, "another epoch is another leadership"
        assert state.partition_epoch >= self.partition_epoch, "metadata does not go back"
        self.partition_epoch = state.partition_epoch
        known = self.followers
        self.followers = {}
        for raw in state.replicas:
            node = NodeId(raw)
            if node != self.node_id:
                self.followers[node] = known.get(node) or FollowerProgress(node, node in state.isr, now_ms)
        self._settle(tuple(NodeId(node) for node in state.isr))

    def is_under_min_isr(self, configured: int) -> bool:
        """Whether fewer replicas are in sync than acks=all asks for, by the ISR that the controller confirmed."""
        in_sync = len(self.isr)  # most often as many as are asked for: then it does not matter how many there are
        return in_sync < configured and in_sync < effective_min_insync_replicas(configured, len(self.followers) + 1)

    def high_watermark(
        self, current: int, log_end_offset: int, now_ms: int, configured_min_isr: int, may_be_in_sync: MayBeInSync
    ) -> int:
        """Return the high watermark that the followers' progress allows. O(replicas), no allocation per record.

        It stands still while the ISR is below `min.insync.replicas`: a record that so few hold must not be
        committed, or an eligible leader replica would lack it (KIP-966). A follower that is caught up and may join
        the ISR holds it back as members do, so that it can join at all.
        """
        if self.is_under_min_isr(configured_min_isr):
            return current
        holding = [
            follower.log_end_offset
            for follower in self.followers.values()
            if follower.log_end_offset < log_end_offset
            and (
                follower.node_id in self.maximal_isr
                or self._is_about_to_join(follower, log_end_offset, now_ms, may_be_in_sync)
            )
        ]
        return leader_high_watermark(current, log_end_offset, holding)

    def _is_about_to_join(
        self, follower: FollowerProgress, log_end_offset: int, now_ms: int, may_be_in_sync: MayBeInSync
    ) -> bool:
        return (
            self._waits_for_joiners
            and follower.is_caught_up(log_end_offset, now_ms, self._lag_time_max_ms)
            and may_be_in_sync(follower.node_id, follower.broker_epoch)
        )

    def joiner(self, high_watermark: int, now_ms: int, may_be_in_sync: MayBeInSync) -> NodeId | None:
        """Return a follower that should be added to the ISR; None while a change is in flight."""
        if self.pending is not None:
            return None
        for follower in self.followers.values():
            if (
                follower.node_id not in self.isr
                and may_join(follower.log_end_offset, high_watermark, self.epoch_start_offset)
                and follower.is_fetching(now_ms, self._lag_time_max_ms)
                and may_be_in_sync(follower.node_id, follower.broker_epoch)
            ):
                return follower.node_id
        return None

    def laggards(self, log_end_offset: int, now_ms: int) -> tuple[NodeId, ...]:
        """Return the members of the ISR that should leave it; nobody while a change is in flight."""
        if self.pending is not None:
            return ()
        return tuple(
            node
            for node in self.isr
            if node != self.node_id
            and not self.followers[node].is_caught_up(log_end_offset, now_ms, self._lag_time_max_ms)
        )

    def propose(self, isr: tuple[NodeId, ...]) -> IsrProposal:
        """Put a change in flight. What the leader must wait for grows at once and shrinks with the answer."""
        assert self.pending is None, "one change at a time"
        assert self.node_id in isr, "a leader does not remove itself"
        assert set(isr) != set(self.isr), "a change changes something"
        epochs = tuple(-1 if node == self.node_id else self.followers[node].broker_epoch for node in isr)
        self.pending = IsrProposal(isr, epochs, self.leader_epoch, self.partition_epoch)
        self.maximal_isr = maximal_isr(self.isr, isr if self._waits_for_joiners else None)
        return self.pending

    def accepted(self, isr: tuple[NodeId, ...], partition_epoch: int) -> None:
        """The controller confirmed an ISR."""
        assert partition_epoch >= self.partition_epoch, "an old answer is dropped by the caller"
        self.partition_epoch = partition_epoch
        self._settle(isr)

    def withdraw(self) -> None:
        """The controller surely did not apply the change in flight (INELIGIBLE_REPLICA): forget it."""
        self._settle(self.isr)

    def _settle(self, isr: tuple[NodeId, ...]) -> None:
        self.isr = isr
        self.pending = None
        self.maximal_isr = maximal_isr(isr, None)
