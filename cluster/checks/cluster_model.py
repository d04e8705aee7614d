"""What the cluster is, by the word of its own nodes: one fold over the trace that white-box oracles share.

Here: every replica's log as runs of epochs, its role and high watermark, what each leader believes of its ISR, the
newest metadata, and what has been committed (the **true high watermark**: the highest that any leader has announced,
with the records that it meant). Not here: judgement.

A restarted node's log is what it says when it takes its role. A topic that was deleted is forgotten at once, and
what slower nodes still say about it is ignored until they have learned of the deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.base.trace import (
    BatchAppended,
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    NodeStopped,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    StepFired,
    TopicConfigApplied,
    TopicDeleted,
    Traced,
)
from cluster.checks.contract import DISK_DAMAGES, UNSYNCED_LOSSES
from cluster.checks.epoch_runs import EpochRuns
from cluster.checks.setting import Setting

Key = tuple[str, int]
"""Topic and number of a partition; equal to a `TopicPartition`, and cheaper to make."""

_ENDED = ("killed", "stopped", "powered-off")


@dataclass(slots=True)
class ReplicaModel:
    """One replica on one node. `is_open`: its process runs and has said how long its log is.

    `lost` has the log as it was each time before the node's disk came back with less, where it may.
    """

    node: str
    log: EpochRuns = field(default_factory=EpochRuns)
    lost: list[EpochRuns] = field(default_factory=list)
    role: str = "offline"
    leader_epoch: int = -1
    high_watermark: int = 0
    is_open: bool = False
    isr: tuple[int, ...] = ()
    pending_isr: tuple[int, ...] | None = None
    partition_epoch: int = -1

    @property
    def maximal_isr(self) -> tuple[int, ...]:
        """Whom this leader must wait for: the ISR that it knows and those it has asked for (KIP-497)."""
        return self.isr if self.pending_isr is None else (*self.isr, *self.pending_isr)


@dataclass(slots=True)
class PartitionModel:
    """One partition: its replicas by node, its newest metadata, and what was committed under it."""

    replicas: dict[str, ReplicaModel] = field(default_factory=dict)
    metadata: PartitionMetadataApplied | None = None
    committed: EpochRuns = field(default_factory=EpochRuns)
    diverged_at: int | None = None
    """Set while an event is handled whose leader commits something else than was committed before."""


class ClusterModel:
    """Feed it every event of `kinds` in order, before the oracles that read it."""

    kinds = (
        BatchAppended.kind,
        HighWatermarkAdvanced.kind,
        IsrChangeAnswered.kind,
        IsrChangeRequested.kind,
        LogTruncated.kind,
        NodeFaulted.kind,
        NodeStarted.kind,
        NodeStopped.kind,
        PartitionMetadataApplied.kind,
        PartitionRoleChanged.kind,
        StepFired.kind,
        TopicConfigApplied.kind,
        TopicDeleted.kind,
    )

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.names: Mapping[int, str] = setting.names
        self.partitions: dict[Key, PartitionModel] = {}
        self._min_isr: dict[str, int] = {}
        self._config_offsets: dict[str, int] = {}
        self._deleted_at: dict[str, list[int]] = {}
        self._stale: dict[tuple[str, str], None] = {}
        self._lost_unsynced: dict[str, None] = {}
        self._damaged: dict[str, None] = {}
        self._handlers: dict[str, Callable[[Traced, Any], None]] = {
            BatchAppended.kind: self._on_appended,
            HighWatermarkAdvanced.kind: self._on_high_watermark,
            IsrChangeAnswered.kind: self._on_isr_answered,
            IsrChangeRequested.kind: self._on_isr_requested,
            LogTruncated.kind: self._on_truncated,
            NodeFaulted.kind: self._on_faulted,
            NodeStarted.kind: self._on_started,
            NodeStopped.kind: self._on_stopped,
            PartitionMetadataApplied.kind: self._on_metadata,
            PartitionRoleChanged.kind: self._on_role,
            StepFired.kind: self._on_step,
            TopicConfigApplied.kind: self._on_config,
            TopicDeleted.kind: self._on_deleted,
        }

    # --- questions ---------------------------------------------------------------------------------

    def partition(self, key: Key) -> PartitionModel:
        """A partition's model, empty when nothing was said of it."""
        known = self.partitions.get(key)
        if known is None:
            known = self.partitions[key] = PartitionModel()
        return known

    def replica(self, key: Key, node: str) -> ReplicaModel:
        """A replica's model."""
        replicas = self.partition(key).replicas
        known = replicas.get(node)
        if known is None:
            known = replicas[node] = ReplicaModel(node)
        return known

    def member(self, partition: PartitionModel, number: int) -> ReplicaModel | None:
        """The replica on a broker, when its process runs and its log is known."""
        replica = partition.replicas.get(self.names.get(number, ""))
        return replica if replica is not None and replica.is_open else None

    def min_isr(self, topic: str, replica_count: int) -> int:
        """How many copies a commit needs, never more than there are replicas."""
        configured = self._min_isr.get(topic)
        if configured is None:
            configured = self.setting.topic(topic).min_insync_replicas
        return min(configured, replica_count)

    def is_ignored(self, node: str, topic: str) -> bool:
        """Whether a node still speaks of a topic that has been deleted."""
        return bool(self._stale) and (node, topic) in self._stale

    def life(self, topic: str, metadata_offset: int) -> int:
        """How many deletions of topics of this name lie below a metadata offset."""
        return sum(offset < metadata_offset for offset in self._deleted_at.get(topic, ()))

    # --- the fold ----------------------------------------------------------------------------------

    def on_event(self, traced: Traced) -> None:
        """Take one event in."""
        self._handlers[traced.event.kind](traced, traced.event)

    def _on_appended(self, traced: Traced, event: BatchAppended) -> None:
        if self._stale and (traced.node, event.topic) in self._stale:
            return
        replica = self.replica((event.topic, event.partition), traced.node)
        replica.log.append(event.base_offset, event.last_offset, event.leader_epoch)

    def _on_truncated(self, traced: Traced, event: LogTruncated) -> None:
        if self.is_ignored(traced.node, event.topic):
            return
        replica = self.replica((event.topic, event.partition), traced.node)
        replica.log.truncate(event.to_offset)
        replica.high_watermark = min(replica.high_watermark, event.to_offset)

    def _on_high_watermark(self, traced: Traced, event: HighWatermarkAdvanced) -> None:
        if self._stale and (traced.node, event.topic) in self._stale:
            return
        partition = self.partition((event.topic, event.partition))
        partition.diverged_at = None
        replica = self.replica((event.topic, event.partition), traced.node)
        replica.high_watermark = event.high_watermark
        if event.role != "leader":
            return
        committed = partition.committed
        overlap = min(event.high_watermark, committed.end)
        if overlap > 0 and replica.log.epoch_at(overlap - 1) != committed.epoch_at(overlap - 1):
            different = replica.log.first_difference(committed, overlap)
            if different is not None:
                partition.diverged_at = different
                committed.truncate(different)
        if event.high_watermark > committed.end:
            committed.extend_from(replica.log, event.high_watermark)

    def _on_role(self, traced: Traced, event: PartitionRoleChanged) -> None:
        if self.is_ignored(traced.node, event.topic):
            return
        replica = self.replica((event.topic, event.partition), traced.node)
        if event.log_end_offset < replica.log.end:
            if self._may_forget(traced.node, event.topic):
                replica.lost.append(replica.log.copy())
            replica.log.truncate(event.log_end_offset)  # a loss of power; nothing else shortens a log unseen
        elif event.log_end_offset > replica.log.end:
            replica.log.restart(event.log_end_offset)
        replica.role = event.role
        replica.leader_epoch = event.leader_epoch
        replica.is_open = event.role != "offline"
        replica.pending_isr = None
        known = self.partition((event.topic, event.partition)).metadata
        if known is not None and event.role == "leader" and not replica.isr:
            replica.isr = known.isr

    def _on_metadata(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        partition = self.partition((event.topic, event.partition))
        known = partition.metadata
        if known is None or event.metadata_offset > known.metadata_offset:
            partition.metadata = event
        if not self.is_ignored(traced.node, event.topic) and traced.node in partition.replicas:
            replica = partition.replicas[traced.node]
        elif self.names.get(event.leader) == traced.node:
            replica = self.replica((event.topic, event.partition), traced.node)
        else:
            return
        if event.partition_epoch > replica.partition_epoch:
            replica.isr, replica.pending_isr = event.isr, None
            replica.partition_epoch = event.partition_epoch

    def _on_isr_requested(self, traced: Traced, event: IsrChangeRequested) -> None:
        self.replica((event.topic, event.partition), traced.node).pending_isr = event.isr

    def _on_isr_answered(self, traced: Traced, event: IsrChangeAnswered) -> None:
        replica = self.replica((event.topic, event.partition), traced.node)
        if event.error == "NONE" and replica.pending_isr is not None:
            if event.partition_epoch > replica.partition_epoch:
                replica.isr, replica.partition_epoch = replica.pending_isr, event.partition_epoch
            replica.pending_isr = None
        elif event.error in ("INELIGIBLE_REPLICA", "OPERATION_NOT_ATTEMPTED"):
            replica.pending_isr = None

    def _on_config(self, traced: Traced, event: TopicConfigApplied) -> None:
        if event.metadata_offset <= self._config_offsets.get(event.topic, -1):
            return
        self._config_offsets[event.topic] = event.metadata_offset
        values = dict(pair.split("=", 1) for pair in event.configs)
        if "min.insync.replicas" in values:
            self._min_isr[event.topic] = int(values["min.insync.replicas"])
        else:
            self._min_isr.pop(event.topic, None)

    # --- nodes and topics come and go --------------------------------------------------------------

    def _on_started(self, traced: Traced, event: NodeStarted) -> None:
        self._closed(traced.node)

    def _on_stopped(self, traced: Traced, event: NodeStopped) -> None:
        self._closed(traced.node)

    def _on_faulted(self, traced: Traced, event: NodeFaulted) -> None:
        if event.state in _ENDED:
            self._closed(event.target)
        if event.state == "powered-off":
            self._lost_unsynced[event.target] = None

    def _on_step(self, traced: Traced, event: StepFired) -> None:
        if event.action in DISK_DAMAGES:
            self._damaged.update(dict.fromkeys(event.targets))
        elif event.action in UNSYNCED_LOSSES:
            self._lost_unsynced.update(dict.fromkeys(event.targets))

    def _may_forget(self, node: str, topic: str) -> bool:
        """Whether something befell a node by which a log may end before what it had acknowledged."""
        is_synced = self.setting.topic(topic).flush_messages == 1
        return node in self._damaged or (node in self._lost_unsynced and not is_synced)

    def _closed(self, node: str) -> None:
        for partition in self.partitions.values():
            replica = partition.replicas.get(node)
            if replica is not None:
                replica.is_open, replica.role = False, "offline"
                replica.isr, replica.pending_isr, replica.partition_epoch = (), None, -1

    def _on_deleted(self, traced: Traced, event: TopicDeleted) -> None:
        self._stale.pop((traced.node, event.topic), None)
        deletions = self._deleted_at.setdefault(event.topic, [])
        if event.metadata_offset in deletions:
            return
        deletions.append(event.metadata_offset)
        for key in [key for key in self.partitions if key[0] == event.topic]:
            for node in self.partitions[key].replicas:
                if node != traced.node:
                    self._stale[(node, event.topic)] = None
            del self.partitions[key]
