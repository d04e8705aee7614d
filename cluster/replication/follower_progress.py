"""What a leader knows of one follower, from its fetches (Kafka: `Replica`).

Here: the follower's log end offset and since when it is behind. Not here: what follows from it (`leadership`).
"""

from __future__ import annotations

from cluster.base.ids import NodeId
from cluster.replication.isr_membership import NEVER_MS, caught_up_ms, is_caught_up

UNKNOWN_END = -1
"""The log end offset of a follower that has not fetched under this epoch."""


class FetchPulse:
    """When a follower's stream last asked for anything.

    A fetch session names only partitions that moved, but each of its requests is a sign of life for all of them.
    """

    __slots__ = ("last_fetch_ms",)

    def __init__(self) -> None:
        self.last_fetch_ms = NEVER_MS


class FollowerProgress:
    """One follower of one partition, under one leader epoch."""

    __slots__ = (
        "_end_offset_at_last_fetch",
        "_last_fetch_ms",
        "broker_epoch",
        "caught_up_ms",
        "log_end_offset",
        "log_start_offset",
        "node_id",
        "pulse",
    )

    def __init__(self, node_id: NodeId, in_sync: bool, now_ms: int) -> None:
        self.node_id = node_id
        self.log_end_offset = UNKNOWN_END
        self.log_start_offset = UNKNOWN_END
        self.broker_epoch = -1
        # A member of the ISR is given the full lag time under a new leader (Kafka: `resetReplicaState`).
        self.caught_up_ms = now_ms if in_sync else NEVER_MS
        self.pulse: FetchPulse | None = None
        self._end_offset_at_last_fetch = UNKNOWN_END
        self._last_fetch_ms = NEVER_MS

    def fetched(self, fetch_offset: int, broker_epoch: int, leader_end_offset: int, now_ms: int) -> bool:
        """Take note of a fetch: the follower holds everything below its offset. True when that is news."""
        self.caught_up_ms = caught_up_ms(
            self.caught_up_ms,
            fetch_offset,
            now_ms,
            leader_end_offset=leader_end_offset,
            end_offset_at_last_fetch=self._end_offset_at_last_fetch,
            last_fetch_ms=self._last_fetch_ms,
        )
        moved = fetch_offset != self.log_end_offset
        self.log_end_offset = fetch_offset
        self.broker_epoch = broker_epoch
        self._end_offset_at_last_fetch = leader_end_offset
        self._last_fetch_ms = now_ms
        return moved

    def leader_appends(self, end_offset_before: int) -> None:
        """Take note that the leader moves on: up to its last sign of life the follower had everything."""
        if self.pulse is not None and self.log_end_offset == end_offset_before:
            self.caught_up_ms = max(self.caught_up_ms, self.pulse.last_fetch_ms)

    def is_caught_up(self, leader_end_offset: int, now_ms: int, lag_time_max_ms: int) -> bool:
        """Whether it may be in the ISR as far as time goes."""
        return is_caught_up(self.log_end_offset, leader_end_offset, self.caught_up_ms, now_ms, lag_time_max_ms)

    def is_fetching(self, now_ms: int, lag_time_max_ms: int) -> bool:
        """Whether its stream has shown life lately."""
        return self.pulse is not None and now_ms - self.pulse.last_fetch_ms <= lag_time_max_ms
