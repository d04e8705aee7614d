"""One replica of a partition on this broker: a log, a role, and a high watermark (Kafka: `Partition`).

Here: what the controller, producers and followers may ask of a replica, and what follows for its high watermark and
its ISR. Not here: the leader's books (`leadership`), reads (`reads`), copying (`replica`), bytes and epochs of the
log (`cluster.storage`), who asks (`replicas`, `follower_session`, `leader_feed`).

Every method runs to its end before anything else does; nothing here waits. Clients wait through `when_committed`
and through watches, followers through their streams.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.base.errors import NO_ERROR, ErrorCode, KafkaError
from cluster.base.ids import NO_OFFSET, NodeId
from cluster.base.ports import DiskError
from cluster.base.trace import FollowerProgressed, IsrChangeAnswered, IsrChangeRequested
from cluster.base.transaction_trace import TransactionEnded
from cluster.metadata import PartitionState
from cluster.records import EndMarker
from cluster.replication.follower_progress import FetchPulse
from cluster.replication.leadership import Leadership
from cluster.replication.outcomes import (
    FOLLOWER_IS_FINE,
    AppendOutcome,
    FollowerFetch,
    FollowerVerdict,
    IsrAnswer,
    IsrProposal,
)
from cluster.replication.reads import ReadableReplica
from cluster.replication.replica import StreamNotice
from cluster.replication.roles import PartitionRole, RoleEvent, next_role
from cluster.replication.waiters import CommitWaiters, Waiter
from cluster.storage import Appended, Log

ACKS_ALL = -1
"""`acks=all` as it travels."""

WITHDRAWN = (ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED)
"""Refusals that say for certain that the ISR is what it was."""

UNSETTLED = (
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.UNKNOWN_TOPIC_ID,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.INVALID_UPDATE_VERSION,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.NEW_LEADER_ELECTED,
)
"""Refusals after which the leader's knowledge is old: the change stays in flight until metadata brings news."""


class Partition(ReadableReplica):
    """One replica, in any role."""

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads, by its own knowledge."""
        return self._leadership is not None

    @property
    def leadership(self) -> Leadership | None:
        """The leader's books, for reports and tests; None on others."""
        return self._leadership

    @property
    def pending_isr_change(self) -> IsrProposal | None:
        """The ISR that this leader wants and has no answer about."""
        return None if self._leadership is None else self._leadership.pending

    # --- what the controller says -----------------------------------------------------------------

    def become_leader(self, state: PartitionState, now_ms: int) -> None:
        """Lead under `state`, or take its new replicas and ISR when leading already under its epoch."""
        if not self._is_news(state):
            return
        if self._leadership is not None and state.leader_epoch == self.leader_epoch:
            self._leadership.take_metadata(state, now_ms)
            self._isr_settled(self._leadership, now_ms)
        else:
            self._begin_leadership(state, now_ms)

    def _begin_leadership(self, state: PartitionState, now_ms: int) -> None:
        try:
            if state.leader_epoch > self.log.latest_epoch:
                self.log.assign_epoch(state.leader_epoch)
        except DiskError as error:
            self.disk_failed(error)
            return
        # Who waits under an earlier epoch of this leader goes on waiting: its records are still in the log.
        waiters = CommitWaiters() if self._leadership is None else self._leadership.waiters
        self._take_role(RoleEvent.LEAD, state)
        self._leadership = Leadership(
            self._host.node_id,
            state,
            epoch_start_offset=self.log.log_end_offset,
            waiters=waiters,
            now_ms=now_ms,
            lag_time_max_ms=self._host.lag_time_max_ms,
            waits_for_joiners=not self._legacy.waits_for_members_only,
        )
        self._isr_settled(self._leadership, now_ms)
        self._notify(urgent=True)

    def become_follower(self, state: PartitionState) -> None:
        """Follow the leader that `state` names, which may be nobody."""
        if not self._is_news(state):
            return
        changed = self.role is not PartitionRole.FOLLOWER or state.leader_epoch != self.leader_epoch
        leadership, self._leadership = self._leadership, None
        if changed:
            self._take_role(RoleEvent.FOLLOW, state)
            self._begin_to_compare()
        self.partition_epoch = state.partition_epoch
        self.isr = state.isr
        if leadership is not None:
            leadership.waiters.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if changed:
            self._notify(urgent=True)

    def go_offline(self, error: ErrorCode) -> None:
        """Serve no more: the disk failed, or the replica is no longer wanted. Whoever waits gets `error`."""
        if not self.is_online:
            return
        self._become(next_role(self.role, RoleEvent.FAIL))
        leadership, self._leadership = self._leadership, None
        self._flush_needed = False
        self._trace_role()
        if leadership is not None:
            leadership.waiters.fail(error)
        self._notify(urgent=True)

    def _is_news(self, state: PartitionState) -> bool:
        """An answer to AlterPartition may have come before the metadata that says the same."""
        return self.role is PartitionRole.NEW or state.partition_epoch > self.partition_epoch

    # --- what producers ask -----------------------------------------------------------------------

    def append(
        self, batches: memoryview, required_acks: int, now_ms: int, wall_ms: int, by_coordinator: bool = False
    ) -> AppendOutcome:
        """Append a producer's batches. With acks=all the caller then waits for `required_offset`.

        NOT_ENOUGH_REPLICAS is answered before anything is written. `batches` is stamped in place. `by_coordinator`:
        on a producer's behalf, such as offsets that are committed in its transaction.
        """
        epoch = self.leader_epoch
        return self._append(
            lambda log: log.append_as_leader(batches, epoch, wall_ms, by_coordinator), required_acks, now_ms, wall_ms
        )

    def append_marker(self, marker: EndMarker, is_strict: bool, now_ms: int, wall_ms: int) -> AppendOutcome:
        """End a producer's transaction in this partition, as `append` with acks=all."""
        epoch = self.leader_epoch
        outcome = self._append(
            lambda log: log.append_marker(marker, epoch, wall_ms, is_strict), ACKS_ALL, now_ms, wall_ms
        )
        if outcome.error is NO_ERROR and self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(
                TransactionEnded(topic, number, outcome.base_offset, *marker[:3], self.last_stable_offset)
            )
        return outcome

    def _append(self, write: Callable[[Log], Appended], required_acks: int, now_ms: int, wall_ms: int) -> AppendOutcome:
        leadership = self._leadership
        if leadership is None:
            return AppendOutcome(self._not_leading())
        if required_acks == ACKS_ALL and leadership.is_under_min_isr(self._min_insync_replicas):
            text = f"{self.topic_partition} has {len(leadership.isr)} replicas in sync"
            return AppendOutcome(
                ErrorCode.NOT_ENOUGH_REPLICAS, f"{text}, min.insync.replicas is {self._min_insync_replicas}"
            )
        end_before = self.log.log_end_offset
        try:
            appended = write(self.log)
        except KafkaError as error:
            if error.code is ErrorCode.KAFKA_STORAGE_ERROR:
                self.disk_failed(error)
            return AppendOutcome(error.code, error.message, log_start_offset=self.log.log_start_offset)
        except DiskError as error:
            self.disk_failed(error)
            return AppendOutcome(ErrorCode.KAFKA_STORAGE_ERROR, str(error))
        if not appended.duplicate:
            self._trace_append(appended)
            self._flush_needed = self.log.flush_due(wall_ms)
            for follower in leadership.followers.values():
                follower.leader_appends(end_before)
            appended_bytes = sum(header.size_bytes for header in appended.batches)
            for notice in self._streams.values():
                notice(True, appended_bytes)
            self._advance_high_watermark(leadership, now_ms)
        return AppendOutcome(
            NO_ERROR,
            base_offset=appended.first_offset,
            log_append_time_ms=appended.log_append_time_ms,
            log_start_offset=self.log.log_start_offset,
            required_offset=appended.last_offset + 1,
            duplicate=appended.duplicate,
        )

    def when_committed(self, required_offset: int, called: Callable[[ErrorCode], None]) -> Waiter:
        """Call `called` once everything below `required_offset` is committed, or cannot be. It may be called at once.

        NONE when the high watermark has passed; NOT_ENOUGH_REPLICAS_AFTER_APPEND when the ISR is, or falls, below
        `min.insync.replicas` (the high watermark then stands still, and waiting would only time out);
        NOT_LEADER_OR_FOLLOWER when this replica leads no more. Whoever appended asks before anything else can run:
        later the offset might be another record's.
        """
        leadership = self._leadership
        if leadership is None:
            error = self._not_leading()
        elif leadership.is_under_min_isr(self._min_insync_replicas):
            error = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
        elif self.high_watermark < required_offset:
            return leadership.waiters.add(required_offset, called)
        else:
            error = NO_ERROR
        waiter = Waiter(called)
        waiter.call(error)
        return waiter

    # --- what administrators ask ------------------------------------------------------------------

    def delete_records(self, offset: int) -> tuple[ErrorCode, int]:
        """Delete everything below an offset, -1 for the high watermark; return the offset that it came to.

        OFFSET_OUT_OF_RANGE above the high watermark, POLICY_VIOLATION when `cleanup.policy` does not say delete.
        """
        if self._leadership is None:
            return self._not_leading(), NO_OFFSET
        if "delete" not in self._cleanup_policy:
            return ErrorCode.POLICY_VIOLATION, NO_OFFSET
        wanted = self.high_watermark if offset == NO_OFFSET else offset
        if not 0 <= wanted <= self.high_watermark:
            return ErrorCode.OFFSET_OUT_OF_RANGE, NO_OFFSET
        try:
            if wanted > self.log.log_start_offset:
                self._move_log_start(wanted)
        except (KafkaError, DiskError) as error:
            self.disk_failed(error)
            return ErrorCode.KAFKA_STORAGE_ERROR, NO_OFFSET
        return NO_ERROR, wanted

    @property
    def low_watermark(self) -> int:
        """The least log start offset of all live replicas: no live replica has a record below (KIP-107)."""
        followers = self._leadership.followers.values() if self._leadership is not None else ()
        starts = [each.log_start_offset for each in followers if self._host.is_live(each.node_id)]
        return min([self.log.log_start_offset, *starts])

    def _not_leading(self) -> ErrorCode:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER if self.is_online else ErrorCode.KAFKA_STORAGE_ERROR

    # --- what followers ask -----------------------------------------------------------------------

    def follower_fetched(self, fetch: FollowerFetch, pulse: FetchPulse, now_ms: int) -> FollowerVerdict:
        """Take note that a follower holds everything below its fetch offset, unless it is fenced or diverges.

        The fetch is the acknowledgement: the high watermark may move and the follower may join the ISR. A replica
        that this leader does not know is answered UNKNOWN_LEADER_EPOCH: one of the two has old metadata.
        """
        error = self.check_leader(fetch.current_leader_epoch)
        leadership = self._leadership
        if error is not NO_ERROR or leadership is None:
            return FollowerVerdict(error)
        progress = leadership.followers.get(fetch.follower)
        if progress is None:
            self._trace_fenced(ErrorCode.UNKNOWN_LEADER_EPOCH, fetch.current_leader_epoch)
            return FollowerVerdict(ErrorCode.UNKNOWN_LEADER_EPOCH)
        error, diverging = self.check_position(fetch.fetch_offset, fetch.last_fetched_epoch)
        if error is not NO_ERROR or diverging is not None:
            return FollowerVerdict(error, diverging)
        progress.pulse = pulse
        if progress.log_start_offset != fetch.log_start_offset:
            progress.log_start_offset = fetch.log_start_offset
            self._host.watches.notify(self.topic_partition)  # somebody may wait for the low watermark
        moved = progress.fetched(fetch.fetch_offset, fetch.broker_epoch, self.log.log_end_offset, now_ms)
        if moved and self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(
                FollowerProgressed(topic, number, fetch.follower, fetch.fetch_offset, self.leader_epoch)
            )
        self._consider_joiners(leadership, now_ms)
        if moved:
            self._advance_high_watermark(leadership, now_ms)
        return FOLLOWER_IS_FINE

    def detach_stream(self, follower: NodeId, notice: StreamNotice) -> None:
        """Let a stream that ended hear no more; from now on its follower shows no life."""
        if self._leadership is not None and self._streams.get(follower) is notice:
            progress = self._leadership.followers.get(follower)
            if progress is not None:
                progress.pulse = None
        super().detach_stream(follower, notice)

    def _advance_high_watermark(self, leadership: Leadership, now_ms: int) -> None:
        high_watermark = leadership.high_watermark(
            self.high_watermark,
            self.log.log_end_offset,
            now_ms,
            self._min_insync_replicas,
            self._host.may_be_in_sync,
        )
        if self._flush_needed:  # nobody may act upon what a loss of power would take from its leader
            high_watermark = min(high_watermark, self.log.recovery_point)
        if high_watermark > self.high_watermark:
            self._set_high_watermark(high_watermark)
            leadership.waiters.committed(high_watermark)

    def flushed(self, now_ms: int, wall_ms: int) -> None:
        """A sync ended: what waited for it may be committed."""
        super().flushed(now_ms, wall_ms)
        if self._leadership is not None:
            self._advance_high_watermark(self._leadership, now_ms)

    # --- who is in sync ---------------------------------------------------------------------------

    def check_isr(self, now_ms: int) -> None:
        """Ask the controller to remove members that lag, or to add one that caught up. Called from time to time."""
        leadership = self._leadership
        if leadership is None:
            return
        laggards = leadership.laggards(self.log.log_end_offset, now_ms)
        if laggards:
            self._propose(leadership, tuple(node for node in leadership.isr if node not in laggards))
        else:
            self._consider_joiners(leadership, now_ms)
        self._advance_high_watermark(leadership, now_ms)  # who was about to join may hold it back no more

    def brokers_changed(self, now_ms: int) -> None:
        """A broker was fenced, unfenced or registered anew: it may join now, or hold nothing back any more."""
        if self._leadership is not None:
            self._consider_joiners(self._leadership, now_ms)
            self._advance_high_watermark(self._leadership, now_ms)

    def isr_change_answered(self, proposal: IsrProposal, answer: IsrAnswer, now_ms: int) -> bool:
        """Take the controller's answer to a proposal. False when the same proposal should be sent again."""
        leadership = self._leadership
        if leadership is None or leadership.pending is not proposal:
            return True  # metadata has overtaken the answer
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(IsrChangeAnswered(topic, number, answer.error.name, answer.partition_epoch))
        if answer.error is NO_ERROR:
            if answer.leader_epoch == self.leader_epoch and answer.partition_epoch >= self.partition_epoch:
                leadership.accepted(answer.isr, answer.partition_epoch)
                self._isr_settled(leadership, now_ms)
            return True
        if answer.error in WITHDRAWN:
            # No new proposal yet: whoever was refused is asked for again when it fetches, or at the next check.
            leadership.withdraw()
            self._advance_high_watermark(leadership, now_ms)
            return True
        return answer.error in UNSETTLED

    def _consider_joiners(self, leadership: Leadership, now_ms: int) -> None:
        joiner = leadership.joiner(self.high_watermark, now_ms, self._host.may_be_in_sync)
        if joiner is not None:
            self._propose(leadership, (*leadership.isr, joiner))

    def _propose(self, leadership: Leadership, isr: tuple[NodeId, ...]) -> None:
        proposal = leadership.propose(isr)
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(
                IsrChangeRequested(topic, number, isr, proposal.leader_epoch, proposal.partition_epoch)
            )
        self._host.isr_change_wanted(self.topic_partition)

    def _isr_settled(self, leadership: Leadership, now_ms: int) -> None:
        """Another ISR is confirmed: records may be committed by it, or cannot be."""
        self.isr = leadership.isr
        self.partition_epoch = leadership.partition_epoch
        if leadership.is_under_min_isr(self._min_insync_replicas):
            leadership.waiters.fail(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
        self._advance_high_watermark(leadership, now_ms)
        self._consider_joiners(leadership, now_ms)
