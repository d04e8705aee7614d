"""Replication: partitions led and followed, in-sync replicas, high watermarks, truncation by leader epoch."""

from cluster.replication.follower_session import FollowerSession
from cluster.replication.leader_feed import FIRST_BACKOFF_MS, LeaderFeed
from cluster.replication.leadership import Leadership
from cluster.replication.outcomes import (
    AppendOutcome,
    EpochOutcome,
    FollowerFetch,
    FollowerVerdict,
    IsrAnswer,
    IsrProposal,
    OffsetOutcome,
    ReadOutcome,
)
from cluster.replication.partition import ACKS_ALL, Partition
from cluster.replication.reads import READ_COMMITTED
from cluster.replication.replicas import Replicas
from cluster.replication.roles import PartitionRole
from cluster.replication.waiters import Waiter, Watch

__all__ = [
    "ACKS_ALL",
    "FIRST_BACKOFF_MS",
    "READ_COMMITTED",
    "AppendOutcome",
    "EpochOutcome",
    "FollowerFetch",
    "FollowerSession",
    "FollowerVerdict",
    "IsrAnswer",
    "IsrProposal",
    "LeaderFeed",
    "Leadership",
    "OffsetOutcome",
    "Partition",
    "PartitionRole",
    "ReadOutcome",
    "Replicas",
    "Waiter",
    "Watch",
]
