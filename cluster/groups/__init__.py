"""Groups: the classic and the new consumer group protocol, and committed offsets, as decisions over records."""

from cluster.base.moments import Moment
from cluster.groups.consumer.assignors import ASSIGNORS
from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember
from cluster.groups.consumer.partitions import Partitions, TopicIdPartition, by_topic, named
from cluster.groups.consumer.record_codec import ConsumerKey, Subject
from cluster.groups.consumer.requests import (
    NOT_SAID,
    DescribedConsumer,
    DescribedConsumerGroup,
    HeartbeatReply,
    HeartbeatRequest,
)
from cluster.groups.consumer.states import ConsumerGroupState, MemberState
from cluster.groups.consumer.turn import Topics
from cluster.groups.decision import Decision, Settings
from cluster.groups.group import Group, Member
from cluster.groups.record_codec import GroupKey, OffsetKey, read_group, read_key, read_offset
from cluster.groups.requests import (
    NO_COMMIT,
    UNSTABLE,
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
from cluster.groups.share.group import SharedTopic, ShareGroup
from cluster.groups.share.heartbeat import ShareHeartbeat
from cluster.groups.states import TRANSITIONS, GroupEvent, GroupState, next_state
from cluster.groups.subscription import CONSUMER_PROTOCOL, assigned_partitions

__all__ = [
    "ASSIGNORS",
    "CONSUMER_PROTOCOL",
    "NOT_SAID",
    "NO_COMMIT",
    "TRANSITIONS",
    "UNSTABLE",
    "CommitOffset",
    "ConsumerGroup",
    "ConsumerGroupState",
    "ConsumerKey",
    "ConsumerMember",
    "Decision",
    "DescribedConsumer",
    "DescribedConsumerGroup",
    "DescribedGroup",
    "DescribedMember",
    "Group",
    "GroupEvent",
    "GroupKey",
    "GroupShard",
    "GroupState",
    "HeartbeatReply",
    "HeartbeatRequest",
    "JoinReply",
    "JoinRequest",
    "JoinedMember",
    "Member",
    "MemberIdentity",
    "MemberState",
    "Moment",
    "OffsetKey",
    "Partitions",
    "Settings",
    "ShareGroup",
    "ShareHeartbeat",
    "SharedTopic",
    "Subject",
    "SyncReply",
    "SyncRequest",
    "TopicIdPartition",
    "Topics",
    "assigned_partitions",
    "by_topic",
    "named",
    "next_state",
    "read_group",
    "read_key",
    "read_offset",
]
