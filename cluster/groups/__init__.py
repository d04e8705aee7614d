"""Groups: the classic consumer group protocol and committed offsets, as decisions over records."""

from cluster.groups.decision import Answer, Decision, Moment, Settings
from cluster.groups.group import Group, Member
from cluster.groups.record_codec import GroupKey, OffsetKey, read_group, read_key, read_offset
from cluster.groups.requests import (
    NO_COMMIT,
    CommitOffset,
    DescribedGroup,
    DescribedMember,
    JoinedMember,
    JoinReply,
    JoinRequest,
    MemberIdentity,
    SyncReply,
    SyncRequest,
)
from cluster.groups.shard import GroupShard
from cluster.groups.states import TRANSITIONS, GroupEvent, GroupState, next_state
from cluster.groups.subscription import CONSUMER_PROTOCOL, assigned_partitions

__all__ = [
    "CONSUMER_PROTOCOL",
    "NO_COMMIT",
    "TRANSITIONS",
    "Answer",
    "CommitOffset",
    "Decision",
    "DescribedGroup",
    "DescribedMember",
    "Group",
    "GroupEvent",
    "GroupKey",
    "GroupShard",
    "GroupState",
    "JoinReply",
    "JoinRequest",
    "JoinedMember",
    "Member",
    "MemberIdentity",
    "Moment",
    "OffsetKey",
    "Settings",
    "SyncReply",
    "SyncRequest",
    "assigned_partitions",
    "next_state",
    "read_group",
    "read_key",
    "read_offset",
]
