"""The records of `__consumer_offsets`, in Kafka's format (schemas `GroupMetadataKey/Value`, `OffsetCommitKey/Value`).

Here: keys and values as bytes, both ways, so that Kafka's dump tool reads what Fencepost wrote. A key begins with its
version, which also says what it is: 0 and 1 an offset, 2 a group. Values are written as Kafka writes them: groups in
version 3, offsets in version 3, or 1 when they expire on their own; all versions up to 4 are read.
Keys of other versions belong to the new protocol (`consumer.record_codec`) or to others, which are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.groups.consumer.record_codec import ConsumerKey, read_consumer_key
from cluster.groups.group import Group, Member
from cluster.groups.requests import NO_TIMESTAMP, CommitOffset
from cluster.groups.states import GroupState
from cluster.wire import INT16, INT32, INT64, Cursor, MalformedMessage, string

OFFSET_KEY_VERSIONS = (0, 1)
GROUP_KEY_VERSION = 2
_OFFSET_VALUE_VERSION = 3
_EXPIRING_OFFSET_VALUE_VERSION = 1
_GROUP_VALUE_VERSION = 3
_FLEXIBLE_FROM = 4
_VALUE_VERSION_MAX = 4


@dataclass(frozen=True, slots=True)
class OffsetKey:
    """What an offset is for."""

    group_id: str
    partition: TopicPartition


@dataclass(frozen=True, slots=True)
class GroupKey:
    """Which group a value describes."""

    group_id: str


def write_offset_key(group_id: str, partition: TopicPartition) -> bytes:
    """Return the key of a committed offset."""
    return b"".join(
        (INT16.pack(1), string(group_id, False), string(partition.topic, False), INT32.pack(partition.partition))
    )


def write_group_key(group_id: str) -> bytes:
    """Return the key of a group."""
    return INT16.pack(GROUP_KEY_VERSION) + string(group_id, False)


def read_key(data: bytes) -> OffsetKey | GroupKey | ConsumerKey | None:
    """Return what a key stands for; None for one that is no business of this coordinator. Raises MalformedMessage."""
    cursor = Cursor(data)
    version = cursor.number(INT16)
    if version in OFFSET_KEY_VERSIONS:
        group_id = cursor.text(False)
        return OffsetKey(group_id, TopicPartition(cursor.text(False), cursor.number(INT32)))
    if version == GROUP_KEY_VERSION:
        return GroupKey(cursor.text(False))
    return read_consumer_key(version, cursor)


def write_offset(commit: CommitOffset) -> bytes:
    """Return the value of a committed offset. Only the version that can expire has no place for the leader epoch."""
    if commit.expires_ms != NO_TIMESTAMP:
        head = INT16.pack(_EXPIRING_OFFSET_VALUE_VERSION) + INT64.pack(commit.offset)
        times = INT64.pack(commit.commit_timestamp_ms) + INT64.pack(commit.expires_ms)
        return head + string(commit.metadata, False) + times
    head = INT16.pack(_OFFSET_VALUE_VERSION) + INT64.pack(commit.offset) + INT32.pack(commit.leader_epoch)
    return head + string(commit.metadata, False) + INT64.pack(commit.commit_timestamp_ms)


def read_offset(data: bytes) -> CommitOffset:
    """Read the value of a committed offset, versions 0 to 4. Raises MalformedMessage."""
    cursor = Cursor(data)
    version = _version(cursor)
    flexible = version >= _FLEXIBLE_FROM
    offset = cursor.number(INT64)
    leader_epoch = cursor.number(INT32) if version >= 3 else NO_EPOCH
    metadata = cursor.text(flexible)
    committed_ms = cursor.number(INT64)
    expires_ms = cursor.number(INT64) if version == 1 else NO_TIMESTAMP
    return CommitOffset(offset, leader_epoch, metadata, committed_ms, expires_ms)


def write_group(group: Group) -> bytes:
    """Return the value of a group: what its next coordinator has to know."""
    parts = [
        INT16.pack(_GROUP_VALUE_VERSION),
        string(group.protocol_type or "", False),
        INT32.pack(group.generation),
        string(group.protocol, False),
        string(group.leader, False),
        INT64.pack(group.state_timestamp_ms),
        INT32.pack(len(group.members)),
    ]
    for member in group.members.values():
        parts += (
            string(member.member_id, False),
            string(member.instance_id, False),
            string(member.client_id, False),
            string(member.client_host, False),
            INT32.pack(member.rebalance_timeout_ms),
            INT32.pack(member.session_timeout_ms),
            _data(member.metadata_for(group.protocol)),
            _data(member.assignment),
        )
    return b"".join(parts)


def read_group(group_id: str, data: bytes) -> Group:
    """Read the value of a group, versions 0 to 4: stable, or empty without members. Raises MalformedMessage.

    Of the protocols that a member supports only the chosen one was written; it joins with the others again.
    """
    cursor = Cursor(data)
    version = _version(cursor)
    flexible = version >= _FLEXIBLE_FROM
    protocol_type = cursor.text(flexible)
    generation = cursor.number(INT32)
    protocol = cursor.string(flexible)
    leader = cursor.string(flexible)
    timestamp_ms = cursor.number(INT64) if version >= 2 else NO_TIMESTAMP
    members = [_read_member(cursor, version, protocol or "") for _ in cursor.elements(flexible)]
    return Group(
        group_id,
        GroupState.STABLE if members else GroupState.EMPTY,
        protocol_type or None,
        generation,
        protocol,
        leader,
        {member.member_id: member for member in members},
        state_timestamp_ms=timestamp_ms,
    )


def _read_member(cursor: Cursor, version: int, protocol: str) -> Member:
    flexible = version >= _FLEXIBLE_FROM
    member_id = cursor.text(flexible)
    instance_id = cursor.string(flexible) if version >= 3 else None
    client_id = cursor.text(flexible)
    client_host = cursor.text(flexible)
    rebalance_timeout_ms = cursor.number(INT32) if version >= 1 else -1
    session_timeout_ms = cursor.number(INT32)
    subscription = bytes(cursor.data(flexible) or b"")
    assignment = bytes(cursor.data(flexible) or b"")
    if flexible:
        cursor.tags()
    return Member(
        member_id,
        instance_id,
        client_id,
        client_host,
        session_timeout_ms,
        rebalance_timeout_ms if rebalance_timeout_ms >= 0 else session_timeout_ms,
        ((protocol, subscription),),
        assignment,
    )


def _version(cursor: Cursor) -> int:
    version = cursor.number(INT16)
    if not 0 <= version <= _VALUE_VERSION_MAX:
        raise MalformedMessage(f"a value of version {version}; 0 to {_VALUE_VERSION_MAX} are known")
    return version


def _data(content: bytes) -> bytes:
    return INT32.pack(len(content)) + content
