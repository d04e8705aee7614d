"""What a group is asked and what it answers, free of the versions in which it travels.

Here: plain facts. Not here: the wire (`cluster.broker`, one file for each API), and what the answers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_EPOCH, NO_OFFSET, TopicPartition

NO_GENERATION = -1
"""Kafka's "no generation": of a commit by somebody who is no member, of an answer that is an error."""

NO_TIMESTAMP = -1

CLASSIC_TYPE = "classic"
CONSUMER_TYPE = "consumer"
SHARE_TYPE = "share"
"""Kafka's names of the kinds of groups (`GroupType`)."""

UNKNOWN_MEMBER = ""
"""The member id of somebody who has none yet."""

Protocols = tuple[tuple[str, bytes], ...]
"""The assignors that a member supports, best first, each with the member's subscription as that assignor reads it.

The bytes are the clients' own affair and are passed through untouched (KIP-429 and others live in them).
"""


@dataclass(frozen=True, slots=True)
class MemberIdentity:
    """Who speaks, as every request of a member says it. `instance_id` is a static member's name (KIP-345)."""

    member_id: str
    instance_id: str | None = None
    generation: int = NO_GENERATION


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """JoinGroup. `new_member_id` is what somebody without a member id shall be called, if it comes to that.

    `needs_known_id`: whoever has no id is given one and has to come again with it (version 4, KIP-394).
    `skips_assignment`: a leader that comes back may be told not to assign anew (version 9, KIP-814).
    """

    member: MemberIdentity
    new_member_id: str
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: Protocols
    needs_known_id: bool = False
    skips_assignment: bool = False


@dataclass(frozen=True, slots=True)
class JoinedMember:
    """One member as the leader is told of it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinReply:
    """The answer to JoinGroup; only the leader is told who the members are."""

    error: ErrorCode
    member_id: str
    generation: int = NO_GENERATION
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: tuple[JoinedMember, ...] = ()
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """SyncGroup; the leader's carries what each member gets. Protocols are given from version 5 on (KIP-559)."""

    member: MemberIdentity
    assignments: Mapping[str, bytes]
    protocol_type: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class SyncReply:
    """The answer to SyncGroup."""

    error: ErrorCode
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class CommitOffset:
    """One offset of an OffsetCommit. `expires_ms` (since 1970) is set when the client asked for a retention."""

    offset: int
    leader_epoch: int = NO_EPOCH
    metadata: str = ""
    commit_timestamp_ms: int = NO_TIMESTAMP
    expires_ms: int = NO_TIMESTAMP


NO_COMMIT = CommitOffset(NO_OFFSET)
"""What OffsetFetch says of a partition for which nothing was committed."""


@dataclass(frozen=True, slots=True)
class DescribedMember:
    """A member as DescribeGroups shows it; metadata and assignment only while the group is stable."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class DescribedGroup:
    """A group as DescribeGroups and ListGroups show it."""

    group_id: str
    state: str
    protocol_type: str
    protocol: str = ""
    members: tuple[DescribedMember, ...] = ()
    group_type: str = CLASSIC_TYPE


CommitReply = Mapping[TopicPartition, ErrorCode]
"""The answer to OffsetCommit and OffsetDelete, partition by partition."""

UNSTABLE = CommitOffset(NO_OFFSET, metadata="unstable")
"""What OffsetFetch says of a partition whose offset an open transaction may still change."""

Reply = JoinReply | SyncReply | ErrorCode | CommitReply | Mapping[TopicPartition, CommitOffset] | DescribedGroup | None
"""Whatever a group answers; LeaveGroup answers a tuple of errors."""
