"""Committed offsets: who may commit, read and delete them, and what is written.

Here: the rules of OffsetCommit, OffsetFetch and OffsetDelete. Not here: the offsets (`committed_offsets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.base.answers import LogRecord
from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.groups.consumer.group import ConsumerGroup
from cluster.groups.decision import AnyGroup, Turn
from cluster.groups.membership import find_present_member
from cluster.groups.record_codec import write_offset, write_offset_key
from cluster.groups.requests import UNKNOWN_MEMBER, CommitOffset, MemberIdentity
from cluster.groups.share.group import ShareGroup
from cluster.groups.states import GroupState
from cluster.groups.subscription import CONSUMER_PROTOCOL, subscribed_topics


def commit_refusal(
    group: AnyGroup, identity: MemberIdentity, *, speaks_epochs: bool = False, in_transaction: bool = False
) -> ErrorCode:
    """Return why somebody may not commit for a group, or NONE (Kafka: `Group.validateOffsetCommit`).

    Whoever is no member, such as an admin or a consumer that assigns itself, may commit for an empty group only. A
    producer that does not say for which member it commits is fenced by its own epoch, and needs no group for that.
    """
    if isinstance(group, ShareGroup):
        return ErrorCode.GROUP_ID_NOT_FOUND
    if isinstance(group, ConsumerGroup):
        return _consumer_commit_refusal(group, identity, speaks_epochs or in_transaction)
    is_anonymous = identity.generation < 0 and identity.member_id == UNKNOWN_MEMBER and identity.instance_id is None
    if identity.generation < 0 and group.state is GroupState.EMPTY:
        return ErrorCode.NONE
    if is_anonymous:
        return ErrorCode.NONE if in_transaction else ErrorCode.UNKNOWN_MEMBER_ID
    member = find_present_member(group, identity)
    if isinstance(member, ErrorCode):
        return member
    # It has joined the next generation and not yet learned what it owns there.
    is_between = group.state is GroupState.COMPLETING and not in_transaction
    return ErrorCode.REBALANCE_IN_PROGRESS if is_between else ErrorCode.NONE


def _consumer_commit_refusal(group: ConsumerGroup, identity: MemberIdentity, speaks_epochs: bool) -> ErrorCode:
    if identity.generation < 0 and not group.members:
        return ErrorCode.NONE
    member = group.members.get(identity.member_id)
    if member is not None and member.classic is None and not speaks_epochs:
        return ErrorCode.UNSUPPORTED_VERSION
    return _epoch_refusal(group, identity)


def _epoch_refusal(group: ConsumerGroup, identity: MemberIdentity) -> ErrorCode:
    """Refuse who is no member, and a member in another epoch than its own: it does not know what it owns."""
    member = group.members.get(identity.member_id)
    if member is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    if member.epoch == identity.generation:
        return ErrorCode.NONE
    return ErrorCode.STALE_MEMBER_EPOCH if member.classic is None else ErrorCode.ILLEGAL_GENERATION


def fetch_refusal(group: AnyGroup | None, identity: MemberIdentity | None) -> ErrorCode:
    """Return why somebody may not be told offsets, or NONE. Only members of the new protocol say who they are."""
    if not isinstance(group, ConsumerGroup) or identity is None:
        return ErrorCode.NONE
    is_anonymous = identity.member_id == UNKNOWN_MEMBER and identity.generation < 0
    return ErrorCode.NONE if is_anonymous else _epoch_refusal(group, identity)


def take_commit_as_life_sign(turn: Turn, identity: MemberIdentity) -> None:
    """A member that commits is alive."""
    member = turn.group.members.get(identity.member_id)
    if member is not None:
        turn.group = turn.group.with_member(member.heard(turn.now_ms))


def commit_records(
    group_id: str, commits: Mapping[TopicPartition, CommitOffset], metadata_bytes_max: int
) -> tuple[list[LogRecord], dict[TopicPartition, ErrorCode]]:
    """Return the records of a commit, and each partition's answer; a note that is too long spoils only its own."""
    records: list[LogRecord] = []
    errors: dict[TopicPartition, ErrorCode] = {}
    for partition, commit in commits.items():
        if len(commit.metadata.encode()) > metadata_bytes_max:
            errors[partition] = ErrorCode.OFFSET_METADATA_TOO_LARGE
            continue
        errors[partition] = ErrorCode.NONE
        records.append((write_offset_key(group_id, partition), write_offset(commit)))
    return records, errors


def deletion_refusals(
    group: AnyGroup, partitions: Sequence[TopicPartition]
) -> ErrorCode | dict[TopicPartition, ErrorCode]:
    """Return why offsets may not be deleted: of the whole group, or of those partitions whose topics it reads."""
    read: frozenset[str] | None
    if isinstance(group, ConsumerGroup):
        read = frozenset(group.subscribed_topics())
    elif group.state is GroupState.EMPTY:
        return dict.fromkeys(partitions, ErrorCode.NONE)
    elif group.protocol_type != CONSUMER_PROTOCOL:
        return ErrorCode.NON_EMPTY_GROUP
    else:
        read = subscribed_topics(group)
    return {
        partition: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if read is None or partition.topic in read else ErrorCode.NONE
        for partition in partitions
    }
