"""Trace events of groups: their states, who was told to own what, and the offsets that they commit (see `trace`)."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.trace import TraceEvent


@dataclass(frozen=True, slots=True)
class GroupStateChanged(TraceEvent):
    """A group has another state or generation, by its coordinator's knowledge; that may not be committed yet."""

    group: str
    state: str
    generation: int
    members: tuple[str, ...]
    leader: str


@dataclass(frozen=True, slots=True)
class GroupAssigned(TraceEvent):
    """A coordinator told a member which partitions (`orders-0`) are its own in a generation.

    `member` is a static member's instance id, else the member id: a restarted static member is the same owner.
    """

    group: str
    generation: int
    member: str
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsumerAssigned(TraceEvent):
    """A coordinator told a member of the new protocol what it may use in its epoch; it may own other partitions still,
    until it reports that it gave them up."""

    group: str
    member: str
    epoch: int
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsumerReported(TraceEvent):
    """A member of the new protocol said what it owns, and its coordinator believed it. Epoch 0: it joins anew."""

    group: str
    member: str
    epoch: int
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsumerGone(TraceEvent):
    """A member left a group of the new protocol, or was fenced: what it commits from now on is refused."""

    group: str
    member: str


@dataclass(frozen=True, slots=True)
class OffsetCommitAsked(TraceEvent):
    """A coordinator was asked to commit an offset: from now on it may become the group's, acknowledged or not."""

    group: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class OffsetCommitted(TraceEvent):
    """A coordinator acknowledged a committed offset: it must never be lost.

    `epoch` is the leader epoch under which it coordinates. Generation -1: committed by no member.
    """

    group: str
    generation: int
    topic: str
    partition: int
    offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class OffsetFetched(TraceEvent):
    """A coordinator told somebody the committed offset of a partition; -1 when there is none."""

    group: str
    topic: str
    partition: int
    offset: int
    epoch: int
