"""Every oracle by the name that scenarios use, and those that count in every run."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.checks.aborted_never_read import AbortedNeverRead
from cluster.checks.acks_all_committed import AcksAllMeansCommitted
from cluster.checks.candidate_completeness import IsrHasAllCommitted, LeaderCandidateCompleteness
from cluster.checks.commits_fenced_by_generation import CommitsFencedByGeneration
from cluster.checks.committed_kept_somewhere import CommittedKeptSomewhere
from cluster.checks.committed_offsets_kept import CommittedOffsetsKept
from cluster.checks.compaction_keeps_latest import CompactionKeepsTheLatest
from cluster.checks.consistent_read import ConsistentRead
from cluster.checks.consumers_below_high_watermark import ConsumersBelowHighWatermark
from cluster.checks.copied_exactly_once import CopiedExactlyOnce
from cluster.checks.epochs_never_go_back import EpochsNeverGoBack
from cluster.checks.high_watermark_monotonic import HighWatermarkMonotonic
from cluster.checks.leader_completeness import LeaderCompleteness
from cluster.checks.liveness import EverySendAnswered, MetadataConverges
from cluster.checks.log_matching import LogMatching
from cluster.checks.maximal_isr_covers import MaximalIsrCovers
from cluster.checks.metadata_log_matching import MetadataLogMatching
from cluster.checks.min_isr_to_commit import CommitNeedsMinIsr
from cluster.checks.no_duplicates import NoDuplicates
from cluster.checks.no_lost_acks import NoLostAcks
from cluster.checks.no_stuck_lso import NoStuckLso
from cluster.checks.one_active_controller import OneActiveControllerPerEpoch
from cluster.checks.one_leader_per_epoch import OneLeaderPerEpoch
from cluster.checks.one_owner_at_a_time import OneOwnerAtATime
from cluster.checks.one_owner_per_generation import OneOwnerPerGeneration
from cluster.checks.one_writer_per_log import OneWriterPerLog
from cluster.checks.oracle import Oracle
from cluster.checks.per_partition_order import PerPartitionOrder
from cluster.checks.raft_commits import RaftCommitIndexMonotonic, RaftCommitsHeldByMajority, RaftLeaderCompleteness
from cluster.checks.raft_terms import RaftOneVotePerTerm, RaftTermsMonotonic
from cluster.checks.read_committed_below_lso import ReadCommittedBelowLso
from cluster.checks.recovery_quorum import MinIsrRecoveryQuorum
from cluster.checks.replicas_identical import ReplicasIdentical
from cluster.checks.single_value_per_offset import SingleValuePerOffset
from cluster.checks.transactions_atomic import TransactionsAtomic
from cluster.checks.valid_isr_and_elr import LeaderInIsr, ValidIsrAndElr
from cluster.checks.weak_isr import WeakIsr

_WHITE_BOX: tuple[type[Oracle], ...] = (
    OneLeaderPerEpoch,
    OneActiveControllerPerEpoch,
    HighWatermarkMonotonic,
    EpochsNeverGoBack,
    LeaderCompleteness,
    LeaderCandidateCompleteness,
    LogMatching,
    MetadataLogMatching,
    MaximalIsrCovers,
    CommittedKeptSomewhere,
    MinIsrRecoveryQuorum,
    ConsistentRead,
    ValidIsrAndElr,
    LeaderInIsr,
    OneWriterPerLog,
    WeakIsr,
    CommitNeedsMinIsr,
    AcksAllMeansCommitted,
    ConsumersBelowHighWatermark,
    RaftTermsMonotonic,
    RaftOneVotePerTerm,
    RaftCommitsHeldByMajority,
    RaftLeaderCompleteness,
    RaftCommitIndexMonotonic,
    EverySendAnswered,
    MetadataConverges,
)

WHITE_BOX = tuple(oracle.name for oracle in _WHITE_BOX)
"""What the brokers' own design demands in every run; a violation is a bug unless the configuration permits the loss."""

_NAMED: tuple[type[Oracle], ...] = (
    NoLostAcks,
    NoDuplicates,
    PerPartitionOrder,
    SingleValuePerOffset,
    ReplicasIdentical,
    IsrHasAllCommitted,
    OneOwnerPerGeneration,
    OneOwnerAtATime,
    CommittedOffsetsKept,
    CommitsFencedByGeneration,
    TransactionsAtomic,
    AbortedNeverRead,
    ReadCommittedBelowLso,
    NoStuckLso,
    CopiedExactlyOnce,
    CompactionKeepsTheLatest,
)
"""What a scenario asks for by name."""

ORACLES: Mapping[str, type[Oracle]] = {oracle.name: oracle for oracle in (*_WHITE_BOX, *_NAMED)}
"""Every oracle by its name."""
