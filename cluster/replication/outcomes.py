"""What a partition is asked and answers: frozen facts, which the Kafka handlers and followers' streams translate.

Here: the facts. Errors that a client or a peer can cause are in them as codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.base.errors import ErrorCode
from cluster.base.facts import unguarded
from cluster.base.ids import NO_EPOCH, NO_NODE, NO_OFFSET, NodeId
from cluster.storage import EpochEndOffset

PartitionKey = tuple[bytes, int]
"""A partition as it travels: the bytes of the topic id, and a number."""

NO_TIMESTAMP = -1
"""Kafka's "no timestamp"."""


@unguarded
@dataclass(frozen=True, slots=True)
class AppendOutcome:
    """A produce request's answer for one partition, before it waits for anything.

    `required_offset` is the high watermark that acks=all waits for. `log_append_time_ms` is -1 under CreateTime.
    """

    error: ErrorCode
    error_message: str = ""
    base_offset: int = NO_OFFSET
    log_append_time_ms: int = NO_TIMESTAMP
    log_start_offset: int = NO_OFFSET
    required_offset: int = NO_OFFSET
    duplicate: bool = False


@unguarded
@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """A fetch's answer for one partition. With `diverging`, where the logs still agree, there are no records.

    `aborted`: producer id and first offset of transactions that a reader of committed records must pass over.
    """

    error: ErrorCode
    high_watermark: int = NO_OFFSET
    last_stable_offset: int = NO_OFFSET
    log_start_offset: int = NO_OFFSET
    records: bytes = b""
    diverging: EpochEndOffset | None = None
    aborted: Sequence[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class OffsetOutcome:
    """A ListOffsets answer for one partition; offset -1 without an error means that no record matches."""

    error: ErrorCode
    offset: int = NO_OFFSET
    timestamp: int = NO_TIMESTAMP
    leader_epoch: int = NO_EPOCH


@dataclass(frozen=True, slots=True)
class EpochOutcome:
    """An OffsetForLeaderEpoch answer: the largest epoch not above the one asked for, and where it ended."""

    error: ErrorCode
    epoch: int = NO_EPOCH
    end_offset: int = NO_OFFSET


@unguarded
@dataclass(frozen=True, slots=True)
class FollowerFetch:
    """What a follower says of itself for one partition when it fetches.

    `last_fetched_epoch` is the epoch of its last record, -1 when its log is empty.
    """

    follower: NodeId
    broker_epoch: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int = 0


@unguarded
@dataclass(frozen=True, slots=True)
class FollowerVerdict:
    """What a leader thinks of such a fetch: an error, or a divergence, or (neither) that it may have records."""

    error: ErrorCode = ErrorCode.NONE
    diverging: EpochEndOffset | None = None


FOLLOWER_IS_FINE = FollowerVerdict()
"""The verdict on nearly every fetch."""


@dataclass(frozen=True, slots=True)
class IsrProposal:
    """An ISR that a leader asks the controller for, with the broker epoch of each member (KIP-903; -1 unknown)."""

    isr: tuple[NodeId, ...]
    broker_epochs: tuple[int, ...]
    leader_epoch: int
    partition_epoch: int


@dataclass(frozen=True, slots=True)
class IsrAnswer:
    """The controller's answer to a proposal; the fields after `error` are the partition's new state."""

    error: ErrorCode
    leader: NodeId = NO_NODE
    leader_epoch: int = NO_EPOCH
    isr: tuple[NodeId, ...] = ()
    partition_epoch: int = -1
