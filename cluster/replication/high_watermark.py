"""High-watermark arithmetic: pure functions, tested by property.

Here: how far records count as committed, as one number from a few numbers. Not here: who is in the ISR
(`isr_membership`), or what moves when the number does (`partition`).

The high watermark is the offset below which every member of the maximal ISR has every record. A leader computes
it from its followers' fetches; a follower is told it and can claim no more than it holds.
"""

from __future__ import annotations

from collections.abc import Iterable


def leader_high_watermark(current: int, log_end_offset: int, follower_end_offsets: Iterable[int]) -> int:
    """Return a leader's high watermark: the least log end offset of those that hold it back, never less than before.

    A follower whose end is not known (-1) holds it where it is (Kafka: `Partition.maybeIncrementLeaderHW`).
    """
    return max(current, min(log_end_offset, *follower_end_offsets, log_end_offset))


def follower_high_watermark(current: int, leaders: int, log_end_offset: int) -> int:
    """Return a follower's high watermark: the leader's, but no more than the follower holds.

    It does not go back under a new leader that has not yet learned as much: what was committed stays committed.
    """
    return max(current, min(leaders, log_end_offset))


def high_watermark_after_truncation(current: int, log_end_offset: int) -> int:
    """Return the high watermark of a log that was cut: nothing beyond its end can be claimed."""
    return min(current, log_end_offset)
