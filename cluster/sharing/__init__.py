"""Share groups (KIP-932): the records of a partition on their way to many members, and how far a group has come."""

from cluster.sharing.shard import ShareDecision, ShareShard
from cluster.sharing.share_partition import (
    ACCEPT,
    GAP,
    REJECT,
    RELEASE,
    RENEW,
    Acknowledgement,
    Acquired,
    ShareLimits,
    SharePartition,
)
from cluster.sharing.state import SharePartitionKey, ShareState, StateBatch
from cluster.sharing.states import TRANSITIONS, RecordEvent, RecordState, next_record_state

__all__ = [
    "ACCEPT",
    "GAP",
    "REJECT",
    "RELEASE",
    "RENEW",
    "TRANSITIONS",
    "Acknowledgement",
    "Acquired",
    "RecordEvent",
    "RecordState",
    "ShareDecision",
    "ShareLimits",
    "SharePartition",
    "SharePartitionKey",
    "ShareShard",
    "ShareState",
    "StateBatch",
    "next_record_state",
]
