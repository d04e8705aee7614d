"""Where two logs part: pure functions over leader epochs, tested exhaustively.

Here: how a leader sees that a follower's log is another history, and how far the follower then cuts its own
(KIP-101, KIP-279, and their form in the fetch of KIP-595). Not here: the epochs themselves (`cluster.storage`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.storage import EpochEndOffset


@dataclass(frozen=True, slots=True)
class Truncation:
    """How far a follower cuts, and whether the logs are known to agree from there on.

    When they are not, the next fetch names an older epoch and the leader answers again.
    """

    offset: int
    completed: bool


def is_diverging(fetch_offset: int, last_fetched_epoch: int, leaders: EpochEndOffset) -> bool:
    """Whether a follower at `fetch_offset`, whose last record is of `last_fetched_epoch`, has another history.

    `leaders` is the leader's largest epoch not above `last_fetched_epoch`, and where it ended.
    """
    return leaders.epoch < last_fetched_epoch or leaders.end_offset < fetch_offset


def truncation_of(leaders: EpochEndOffset, own: EpochEndOffset, log_end_offset: int) -> Truncation:
    """Return how far a follower cuts when the leader says that the logs part.

    `own` is the follower's largest epoch not above the leader's answer, and where it ended there; epoch -1 when it
    has none, and then it can only believe the leader (Kafka: `AbstractFetcherThread.getOffsetTruncationState`).
    """
    if own.epoch < 0:
        return Truncation(min(leaders.end_offset, log_end_offset), True)
    if own.epoch != leaders.epoch:
        # The leader's epoch is one that this follower never saw. What it has of later epochs is no part of the
        # leader's history; the epoch before must be compared again (KIP-279).
        return Truncation(min(own.end_offset, log_end_offset), False)
    return Truncation(min(own.end_offset, leaders.end_offset, log_end_offset), True)
