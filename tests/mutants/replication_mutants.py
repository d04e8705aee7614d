"""Bugs of replication, each planted in one place of the brokers' real code.

Here: what leaders, followers and their logs may do wrong. Not here: the controller (`controller_mutants`),
transactions and groups (`coordinator_mutants`), schedules (`schedules`), and what must notice (`mutant_catalogue`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_EPOCH
from cluster.base.ports import Buffer
from cluster.records import BatchHeader
from cluster.replication import Partition, Waiter
from cluster.replication.leadership import Leadership
from cluster.replication.outcomes import ReadOutcome
from cluster.replication.reads import ReadableReplica
from cluster.replication.replica import Replica
from cluster.storage import Appended, EpochEndOffset, Log
from cluster.storage.producers import BatchSequence, ProducerStates

# --- acknowledging and committing ---------------------------------------------------------------------


def acknowledge_before_the_isr_has_it(patch: pytest.MonkeyPatch) -> None:
    """acks=all is answered when the leader alone has appended."""

    def when_committed(partition: Partition, required_offset: int, called: Callable[[ErrorCode], None]) -> Waiter:
        waiter = Waiter(called)
        waiter.call(ErrorCode.NONE)
        return waiter

    patch.setattr(Partition, "when_committed", when_committed)


def commit_what_the_leader_has(patch: pytest.MonkeyPatch) -> None:
    """The high watermark is the leader's own end: it passes followers that are in the ISR."""
    patch.setattr(
        "cluster.replication.leadership.leader_high_watermark", lambda current, end, followers: max(current, end)
    )


def commit_over_a_silent_member(patch: pytest.MonkeyPatch) -> None:
    """A member of the ISR that has not fetched under this epoch does not hold the high watermark back."""
    original = Leadership.high_watermark

    def high_watermark(leadership: Leadership, *args: Any) -> int:
        followers = leadership.followers
        leadership.followers = {node: each for node, each in followers.items() if each.log_end_offset >= 0}
        try:
            return original(leadership, *args)
        finally:
            leadership.followers = followers

    patch.setattr(Leadership, "high_watermark", high_watermark)


def commit_below_min_isr(patch: pytest.MonkeyPatch) -> None:
    """`min.insync.replicas` is read by nobody."""
    patch.setattr(Leadership, "is_under_min_isr", lambda leadership, configured: False)


def shrink_the_isr_unconfirmed(patch: pytest.MonkeyPatch) -> None:
    """Whom a leader asks the controller to remove, it waits for no more, before the controller has agreed (KIP-497)."""
    patch.setattr(
        "cluster.replication.leadership.maximal_isr",
        lambda committed, proposed: committed if proposed is None else proposed,
    )


def expand_the_isr_too_early(patch: pytest.MonkeyPatch) -> None:
    """A follower may join as soon as it fetches, wherever it is."""
    patch.setattr("cluster.replication.leadership.may_join", lambda end, high_watermark, epoch_start: True)


def forget_the_flush(patch: pytest.MonkeyPatch) -> None:
    """`flush.messages` does not hold back the high watermark, and so no acknowledgement."""
    patch.setattr(Log, "flush_due", lambda log, now_ms: False)


def forget_the_flush_of_a_follower(patch: pytest.MonkeyPatch) -> None:
    """Under `flush.messages` a follower fetches on before it has synced what it fetched."""
    patch.setattr("cluster.replication.leader_feed._must_sync", lambda partition: False)


# --- reading --------------------------------------------------------------------------------------------


def read_above_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """Consumers are given whatever the leader has."""
    original = ReadableReplica.read

    def read(replica: ReadableReplica, **asked: Any) -> ReadOutcome:
        high_watermark = replica.high_watermark
        replica.high_watermark = replica.log.log_end_offset
        try:
            return original(replica, **asked)
        finally:
            replica.high_watermark = high_watermark

    patch.setattr(ReadableReplica, "read", read)


def claim_the_leaders_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """A follower takes over the leader's high watermark although its own log ends before."""
    patch.setattr("cluster.replication.replica.follower_high_watermark", lambda current, leaders, end: leaders)


# --- copying --------------------------------------------------------------------------------------------


def truncate_to_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """Who begins to follow cuts its log down to its own high watermark (before KIP-101)."""

    def begin_to_compare(replica: Replica) -> None:
        replica._truncate(replica.high_watermark)

    patch.setattr(Replica, "_begin_to_compare", begin_to_compare)


def truncate_nothing_on_divergence(patch: pytest.MonkeyPatch) -> None:
    """A leader does not compare the epoch of a follower's last record."""
    original = ReadableReplica.check_position

    def check_position(
        replica: ReadableReplica, offset: int, last_fetched_epoch: int
    ) -> tuple[ErrorCode, EpochEndOffset | None]:
        return original(replica, offset, NO_EPOCH)

    patch.setattr(ReadableReplica, "check_position", check_position)


def append_a_response_twice(patch: pytest.MonkeyPatch) -> None:
    """What a follower has fetched goes into its log two times, and the log does not compare offsets."""
    original = Log.append_as_follower

    def append_as_follower(log: Log, batches: Buffer, now_ms: int, leader_epoch: int | None = None) -> Appended:
        appended = original(log, batches, now_ms, leader_epoch)
        if appended.batches:
            log._write(memoryview(batches), list(appended.batches), now_ms)
        return appended

    patch.setattr(Log, "append_as_follower", append_as_follower)


def believe_any_leader_epoch(patch: pytest.MonkeyPatch) -> None:
    """A leader answers requests whatever epoch they believe in."""
    original = ReadableReplica.check_leader
    patch.setattr(
        ReadableReplica,
        "check_leader",
        lambda replica, current_leader_epoch, or_follower=False: original(replica, NO_EPOCH, or_follower),
    )


# --- idempotent producers ------------------------------------------------------------------------------


def ignore_sequence_numbers(patch: pytest.MonkeyPatch) -> None:
    """A retry whose first answer was lost is appended again."""
    original = ProducerStates.check

    def check(states: ProducerStates, header: BatchHeader) -> BatchSequence | None:
        original(states, header)
        return None

    patch.setattr(ProducerStates, "check", check)


def forget_producers_when_following(patch: pytest.MonkeyPatch) -> None:
    """A follower takes no note of sequence numbers, and knows of none when it is elected."""
    original = Replica.append_fetched

    def append_fetched(replica: Replica, *fetched: Any) -> ErrorCode:
        error = original(replica, *fetched)
        for producer_id, state in replica.log.producers:
            if state.transaction_start < 0:
                del replica.log.producers._states[producer_id]
        return error

    patch.setattr(Replica, "append_fetched", append_fetched)
