"""Coordinators: state kept in the partitions of an internal topic, by whoever leads them."""

from cluster.broker.coordinator.failures import coordinator_error
from cluster.broker.coordinator.hosted_shard import Decided, HostedShard, Shard, ShardState
from cluster.broker.coordinator.runtime import CoordinatorHost, CoordinatorRuntime
from cluster.broker.coordinator.topic import (
    CONSUMER_OFFSETS,
    INTERNAL_TOPICS,
    SHARE_GROUP_STATE,
    TRANSACTION_STATE,
    InternalTopic,
    key_hash,
)

__all__ = [
    "CONSUMER_OFFSETS",
    "INTERNAL_TOPICS",
    "SHARE_GROUP_STATE",
    "TRANSACTION_STATE",
    "CoordinatorHost",
    "CoordinatorRuntime",
    "Decided",
    "HostedShard",
    "InternalTopic",
    "Shard",
    "ShardState",
    "coordinator_error",
    "key_hash",
]
