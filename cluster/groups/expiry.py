"""Committed offsets expire when nobody has needed them for `offsets.retention.minutes` (KIP-211).

Here: which ones (Kafka: `OffsetExpirationCondition`), as pure functions. Not here: when it is looked (`shard`).

Offsets of topics that the group reads never expire. Of an empty classic group all expire together, counted from when
its last member left; of other groups each counts from its own commit. A retention that the client asked for with an
old version of OffsetCommit takes precedence. A group that is empty goes with its last offset.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.base.ids import TopicPartition
from cluster.groups.consumer.group import ConsumerGroup
from cluster.groups.decision import AnyGroup
from cluster.groups.group import Group
from cluster.groups.requests import NO_TIMESTAMP, CommitOffset
from cluster.groups.share.group import ShareGroup
from cluster.groups.states import GroupState
from cluster.groups.subscription import CONSUMER_PROTOCOL, subscribed_topics


def expired(
    group: AnyGroup, offsets: Mapping[TopicPartition, CommitOffset], now_wall_ms: int, retention_ms: int
) -> list[TopicPartition]:
    """Return the partitions whose committed offsets are to be forgotten by `now_wall_ms` (since 1970)."""
    empty_since_ms = NO_TIMESTAMP
    if isinstance(group, ShareGroup):
        return []  # it commits no offsets
    if isinstance(group, ConsumerGroup):
        read = frozenset(group.subscribed_topics())
    elif group.protocol_type is None:  # offsets of somebody who is no member
        read = frozenset()
    elif group.state is GroupState.EMPTY:
        read, empty_since_ms = frozenset(), group.state_timestamp_ms
    elif group.protocol_type == CONSUMER_PROTOCOL and group.state is GroupState.STABLE:
        found = subscribed_topics(group)
        if found is None:
            return []
        read = found
    else:
        return []
    return [
        partition
        for partition, commit in offsets.items()
        if partition.topic not in read and _is_expired(commit, empty_since_ms, now_wall_ms, retention_ms)
    ]


def _is_expired(commit: CommitOffset, empty_since_ms: int, now_wall_ms: int, retention_ms: int) -> bool:
    if commit.expires_ms != NO_TIMESTAMP:
        return now_wall_ms >= commit.expires_ms
    since_ms = commit.commit_timestamp_ms if empty_since_ms == NO_TIMESTAMP else empty_since_ms
    return now_wall_ms - since_ms >= retention_ms


def is_empty(group: AnyGroup) -> bool:
    """Whether a group has no members and none are expected: it may be deleted."""
    if isinstance(group, Group):
        return group.state is GroupState.EMPTY and not group.pending
    return not group.members
