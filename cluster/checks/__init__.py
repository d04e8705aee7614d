"""Was it right? One oracle a file: each watches the trace and says what must never be.

Outsiders take oracles from the registry by the name that scenarios use.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.checks.aborted_never_read import AbortedNeverRead
from cluster.checks.committed_offsets_kept import CommittedOffsetsKept
from cluster.checks.consumers_below_high_watermark import ConsumersBelowHighWatermark
from cluster.checks.contract import Adversity, Permission
from cluster.checks.copied_exactly_once import CopiedExactlyOnce
from cluster.checks.high_watermark_monotonic import HighWatermarkMonotonic
from cluster.checks.judgement import Judgement, weigh
from cluster.checks.no_duplicates import NoDuplicates
from cluster.checks.no_lost_acks import NoLostAcks
from cluster.checks.no_stuck_lso import NoStuckLso
from cluster.checks.one_active_controller import OneActiveControllerPerEpoch
from cluster.checks.one_leader_per_epoch import OneLeaderPerEpoch
from cluster.checks.one_owner_at_a_time import OneOwnerAtATime
from cluster.checks.one_owner_per_generation import OneOwnerPerGeneration
from cluster.checks.oracle import Evidence, Oracle, ReplicaBatch, ReplicaLog, Violation
from cluster.checks.per_partition_order import PerPartitionOrder
from cluster.checks.read_committed_below_lso import ReadCommittedBelowLso
from cluster.checks.replicas_identical import ReplicasIdentical
from cluster.checks.setting import (
    ClientSetting,
    Setting,
    SettingError,
    TopicSetting,
    setting_from_json,
    setting_to_json,
)
from cluster.checks.single_value_per_offset import SingleValuePerOffset
from cluster.checks.transactions_atomic import TransactionsAtomic

ORACLES: Mapping[str, type[Oracle]] = {
    oracle.name: oracle
    for oracle in (
        NoLostAcks,
        NoDuplicates,
        PerPartitionOrder,
        SingleValuePerOffset,
        OneLeaderPerEpoch,
        OneActiveControllerPerEpoch,
        HighWatermarkMonotonic,
        ConsumersBelowHighWatermark,
        ReplicasIdentical,
        OneOwnerPerGeneration,
        OneOwnerAtATime,
        CommittedOffsetsKept,
        TransactionsAtomic,
        AbortedNeverRead,
        ReadCommittedBelowLso,
        NoStuckLso,
        CopiedExactlyOnce,
    )
}
"""Every oracle by its name."""

__all__ = [
    "ORACLES",
    "Adversity",
    "ClientSetting",
    "Evidence",
    "Judgement",
    "Oracle",
    "Permission",
    "ReplicaBatch",
    "ReplicaLog",
    "Setting",
    "SettingError",
    "TopicSetting",
    "Violation",
    "setting_from_json",
    "setting_to_json",
    "weigh",
]
