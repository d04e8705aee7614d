"""Who is in sync: pure functions over offsets and times, tested exhaustively.

Here: the rules by which a follower leaves and joins the ISR (KIP-16, KIP-903), and the maximal ISR (KIP-497).
Not here: the followers' progress (`follower_progress`), or asking the controller (`leadership`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.ids import NodeId

NEVER_MS = -(2**62)
"""A time so long ago that it is outside any lag; a monotonic clock may start at zero."""


def caught_up_ms(
    previous_ms: int,
    fetch_offset: int,
    now_ms: int,
    *,
    leader_end_offset: int,
    end_offset_at_last_fetch: int,
    last_fetch_ms: int,
) -> int:
    """Return when a follower that fetches from `fetch_offset` had last caught up.

    It has caught up now when it is at the leader's end. When it has reached what was the end at its previous fetch,
    it had caught up then: a leader that is written to all the time is always a little ahead
    (Kafka: `Replica.updateFetchStateOrThrow`).
    """
    if fetch_offset >= leader_end_offset:
        return max(previous_ms, now_ms)
    if end_offset_at_last_fetch >= 0 and fetch_offset >= end_offset_at_last_fetch:
        return max(previous_ms, last_fetch_ms)
    return previous_ms


def is_caught_up(
    follower_end_offset: int, leader_end_offset: int, caught_up_at_ms: int, now_ms: int, lag_time_max_ms: int
) -> bool:
    """Whether a follower may stay in the ISR: it is at the end, or was so within `replica.lag.time.max.ms`."""
    return follower_end_offset == leader_end_offset or now_ms - caught_up_at_ms <= lag_time_max_ms


def may_join(follower_end_offset: int, high_watermark: int, epoch_start_offset: int) -> bool:
    """Whether a follower has what an ISR member must have.

    All that is committed, and all that the leader had when its epoch began: the second matters while a new leader's
    high watermark is still behind the true one (KIP-207, KAFKA-8933).
    """
    return follower_end_offset >= high_watermark and follower_end_offset >= epoch_start_offset


def maximal_isr(committed: Sequence[NodeId], proposed: Sequence[NodeId] | None) -> tuple[NodeId, ...]:
    """Return the ISR that must not lack anything: the committed one and those who may be in it already.

    An addition counts from the moment it is asked for, a removal only when the controller has confirmed it: whatever
    the controller believes, it elects nobody who lacks a committed record.
    """
    additions = tuple(node for node in proposed or () if node not in committed)
    return (*committed, *additions)


def effective_min_insync_replicas(configured: int, replica_count: int) -> int:
    """Return how many replicas acks=all asks for: never more than there are (Kafka: `effectiveMinIsr`)."""
    return min(configured, replica_count)
