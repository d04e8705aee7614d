"""The cluster as the trace tells it: one fold over events, read by selectors, expressions and reports.

Here: the newest committed metadata, what each node believes, each replica's log end and high watermark, and
what clients were told. Not here: judgement (`cluster.checks`) or the language of questions (`cluster.scenario`).

The view is omniscient, as an experimenter's is: `leader(orders-0)` is the leader by the newest committed
metadata that any node has applied, not what some client believes. `view(b1)` asks for one node's belief.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.base.group_trace import GroupStateChanged
from cluster.base.ids import NO_EPOCH, NO_NODE, TopicPartition
from cluster.base.trace import (
    BatchAppended,
    CompactionAbandoned,
    CompactionBegan,
    ControllerActivated,
    ControllerResigned,
    HighWatermarkAdvanced,
    LogCompacted,
    LogTruncated,
    NodeFaulted,
    NodeReady,
    NodeStarted,
    NodeStopped,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftRoleChanged,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    TopicDeleted,
    Traced,
)
from cluster.base.transaction_trace import TransactionEnded, TransactionStateChanged

RUNNING_STATES = ("started", "resumed", "paused", "running")
"""States of a machine in which its process exists; a paused leader still leads, as far as anyone knows."""


@dataclass(slots=True)
class ReplicaView:
    """One replica on one node: its role, how far its log and its high watermark reach, and its compactions."""

    role: str = "offline"
    leader_epoch: int = NO_EPOCH
    log_end_offset: int = 0
    high_watermark: int = 0
    is_compacting: bool = False
    compactions: int = 0


@dataclass(slots=True)
class NodeView:
    """One node: the state of its process and what it believes."""

    state: str = "running"
    has_started: bool = False
    ready: bool = False
    partitions: dict[TopicPartition, PartitionMetadataApplied] = field(default_factory=dict)
    replicas: dict[TopicPartition, ReplicaView] = field(default_factory=dict)
    quorum_leader: int = NO_NODE

    @property
    def is_running(self) -> bool:
        """Whether its process exists, paused or not."""
        return self.state in RUNNING_STATES


@dataclass(slots=True)
class ClientView:
    """What one client did and was told."""

    sent: int = 0
    acked: int = 0
    failed: int = 0
    unknown: int = 0
    consumed: int = 0
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """Of a consumer: the offset that it will be given next."""

    ack_times_us: list[int] = field(default_factory=list)
    consume_times_us: list[int] = field(default_factory=list)


class ClusterView:
    """The state of a cluster, folded from its trace. Feed it every event, in order."""

    def __init__(
        self,
        node_ids: Mapping[str, int],
        brokers: Sequence[str],
        controllers: Sequence[str],
        clients: Sequence[str] = (),
        racks: Mapping[str, str] | None = None,
        *,
        passing: Sequence[str] = (),
    ) -> None:
        self.brokers = tuple(brokers)
        self.controllers = tuple(controllers)
        self.clients = tuple(clients)
        self.racks: Mapping[str, str] = racks or {}
        self.names: Mapping[int, str] = {number: name for name, number in node_ids.items()}
        self.nodes: dict[str, NodeView] = {name: NodeView() for name in node_ids}
        # `passing`: clients that come for one errand; their records count, but nobody can name them.
        self.workloads: dict[str, ClientView] = {name: ClientView() for name in (*clients, *passing)}
        self.partitions: dict[TopicPartition, PartitionMetadataApplied] = {}
        self.groups: dict[str, GroupStateChanged] = {}
        self.transactions: dict[str, str] = {}
        """States of transactional ids, as their coordinators last told them."""

        self.last_stable: dict[TopicPartition, int] = {}
        """Where readers of committed records stopped when a transaction last ended."""

        self.now_us = 0
        self._controller: tuple[int, str] | None = None
        self._controller_epoch = NO_EPOCH
        self._handlers: dict[str, Callable[[Traced, Any], None]] = {
            NodeStarted.kind: self._on_node_started,
            NodeReady.kind: self._on_node_ready,
            NodeStopped.kind: self._on_node_stopped,
            NodeFaulted.kind: self._on_node_faulted,
            ControllerActivated.kind: self._on_controller_activated,
            ControllerResigned.kind: self._on_controller_resigned,
            RaftRoleChanged.kind: self._on_raft_role,
            PartitionMetadataApplied.kind: self._on_partition_metadata,
            TopicDeleted.kind: self._on_topic_deleted,
            PartitionRoleChanged.kind: self._on_partition_role,
            BatchAppended.kind: self._on_batch_appended,
            LogTruncated.kind: self._on_log_truncated,
            HighWatermarkAdvanced.kind: self._on_high_watermark,
            CompactionBegan.kind: self._on_compaction,
            CompactionAbandoned.kind: self._on_compaction,
            LogCompacted.kind: self._on_compaction,
            RecordSent.kind: self._on_record_sent,
            RecordAcknowledged.kind: self._on_record_acknowledged,
            RecordFailed.kind: self._on_record_failed,
            RecordUnknown.kind: self._on_record_unknown,
            RecordConsumed.kind: self._on_record_consumed,
            GroupStateChanged.kind: self._on_group,
            TransactionEnded.kind: self._on_transaction_ended,
            TransactionStateChanged.kind: self._on_transaction_state,
        }

    # --- questions ---------------------------------------------------------------------------------

    def active_controller(self) -> str | None:
        """The controller of the highest epoch that has not resigned and whose process runs."""
        return None if self._controller is None else self._controller[1]

    def behind(self) -> tuple[str, ...]:
        """The running nodes that do not know the newest metadata of every partition."""
        return tuple(
            name
            for name, node in self.nodes.items()
            if node.has_started and node.is_running and not self._is_up_to_date(node)
        )

    def _is_up_to_date(self, node: NodeView) -> bool:
        for partition, newest in self.partitions.items():
            known = node.partitions.get(partition)
            if known is None or known.metadata_offset < newest.metadata_offset:
                return False
        return True

    def controller_epoch(self) -> int | None:
        """The highest epoch in which a controller was active; None before the first."""
        return None if self._controller_epoch == NO_EPOCH else self._controller_epoch

    def leader(self, partition: TopicPartition) -> str | None:
        """The leader by the newest committed metadata, when its process runs: a dead leader leads nobody."""
        known = self.partitions.get(partition)
        if known is None or known.leader == NO_NODE:
            return None
        name = self.names[known.leader]
        return name if self.nodes[name].is_running else None

    def leader_epoch(self, partition: TopicPartition) -> int | None:
        """The newest committed leader epoch."""
        known = self.partitions.get(partition)
        return None if known is None else known.leader_epoch

    def replicas(self, partition: TopicPartition) -> tuple[str, ...]:
        """The assigned replicas, preferred leader first."""
        known = self.partitions.get(partition)
        return () if known is None else self._named(known.replicas)

    def isr(self, partition: TopicPartition) -> tuple[str, ...]:
        """The in-sync replicas by the newest committed metadata."""
        known = self.partitions.get(partition)
        return () if known is None else self._named(known.isr)

    def elr(self, partition: TopicPartition) -> tuple[str, ...]:
        """The eligible leader replicas (KIP-966) by the newest committed metadata."""
        known = self.partitions.get(partition)
        return () if known is None else self._named(known.elr)

    def replica(self, node: str, partition: TopicPartition) -> ReplicaView | None:
        """One replica as its own node reports it; None when that node never said anything about it."""
        return self.nodes[node].replicas.get(partition)

    def compacting(self, partition: TopicPartition) -> tuple[str, ...]:
        """The running nodes that are compacting their replica just now."""
        return tuple(
            name
            for name, node in self.nodes.items()
            if node.is_running and (replica := node.replicas.get(partition)) is not None and replica.is_compacting
        )

    def compactions(self, partition: TopicPartition) -> int:
        """How often replicas have been compacted, of all nodes together."""
        replicas = [node.replicas.get(partition) for node in self.nodes.values()]
        return sum(replica.compactions for replica in replicas if replica is not None)

    def believed_leader(self, node: str, partition: TopicPartition) -> str | None:
        """Whom one node believes to lead, from the metadata it has applied."""
        known = self.nodes[node].partitions.get(partition)
        return None if known is None or known.leader == NO_NODE else self.names[known.leader]

    def zombie_leader(self, partition: TopicPartition) -> str | None:
        """A running node that acts as leader under an epoch that the cluster has left; the first by name."""
        known = self.partitions.get(partition)
        if known is None:
            return None
        for name, node in self.nodes.items():
            replica = node.replicas.get(partition)
            if replica and node.is_running and replica.role == "leader" and replica.leader_epoch < known.leader_epoch:
                return name
        return None

    def partition_count(self, topic: str) -> int:
        """How many partitions of a topic are known."""
        return sum(partition.topic == topic for partition in self.partitions)

    def replica_lag(self, partition: TopicPartition) -> int | None:
        """How far the log of the replica that is furthest behind is from its leader's; None without a leader."""
        leader = self.leader(partition)
        ends = [self.replica(name, partition) for name in self.replicas(partition)]
        own = None if leader is None else self.replica(leader, partition)
        return None if own is None else own.log_end_offset - min(end.log_end_offset if end else 0 for end in ends)

    def consumer_lag(self, client: str) -> int | None:
        """Committed records that a consumer has not been given yet; None before its first record."""
        positions = self.workloads[client].positions
        topics = list(dict.fromkeys(partition.topic for partition in positions))
        if not topics:
            return None
        lag = 0
        for partition in self.partitions:
            leader = self.leader(partition)
            replica = None if leader is None else self.replica(leader, partition)
            if partition.topic in topics and replica is not None:
                lag += max(0, replica.high_watermark - positions.get(partition, 0))
        return lag

    def acks_since(self, client: str, after_us: int, until_us: int) -> int:
        """Records of a client acknowledged in (after, until]."""
        times = self.workloads[client].ack_times_us
        return bisect_right(times, until_us) - bisect_right(times, after_us)

    def consumed_since(self, client: str, after_us: int, until_us: int) -> int:
        """Records given to a client in (after, until]."""
        times = self.workloads[client].consume_times_us
        return bisect_right(times, until_us) - bisect_right(times, after_us)

    def all_partitions_led(self) -> bool:
        """Whether every known partition has a running leader that has taken up its role."""
        return all(self._has_acting_leader(partition) for partition in sorted(self.partitions))

    def isr_full(self) -> bool:
        """Whether every replica of every known partition is in sync."""
        return all(len(known.isr) == len(known.replicas) for known in self.partitions.values())

    def _has_acting_leader(self, partition: TopicPartition) -> bool:
        leader = self.leader(partition)
        if leader is None:
            return False
        replica = self.nodes[leader].replicas.get(partition)
        return replica is not None and replica.role == "leader"

    def _named(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.names[number] for number in numbers)

    # --- the fold ----------------------------------------------------------------------------------

    def apply(self, traced: Traced) -> None:
        """Take one event in. Events of nodes and clients that this view was not told of are ignored."""
        self.now_us = traced.time_us
        handler = self._handlers.get(traced.event.kind)
        if handler is not None:
            handler(traced, traced.event)

    def _on_node_started(self, traced: Traced, event: NodeStarted) -> None:
        if traced.node in self.nodes:
            node = self.nodes[traced.node]
            # A new process believes nothing yet, but its logs are as long as they were, until it says otherwise.
            replicas = {tp: _at_rest(one) for tp, one in node.replicas.items()}
            self.nodes[traced.node] = NodeView(has_started=True, replicas=replicas)

    def _on_node_ready(self, traced: Traced, event: NodeReady) -> None:
        self.nodes[traced.node].ready = True

    def _on_node_stopped(self, traced: Traced, event: NodeStopped) -> None:
        self._node_is(traced.node, "stopped")

    def _on_node_faulted(self, traced: Traced, event: NodeFaulted) -> None:
        self._node_is(event.target, event.state)

    def _node_is(self, name: str, state: str) -> None:
        node = self.nodes.get(name)
        if node is None:
            return
        node.state = state
        if not node.is_running:
            node.ready = False
            if self._controller is not None and self._controller[1] == name:
                self._controller = None

    def _on_controller_activated(self, traced: Traced, event: ControllerActivated) -> None:
        if event.epoch >= self._controller_epoch:
            self._controller_epoch = event.epoch
            self._controller = (event.epoch, traced.node)

    def _on_controller_resigned(self, traced: Traced, event: ControllerResigned) -> None:
        if self._controller == (event.epoch, traced.node):
            self._controller = None

    def _on_raft_role(self, traced: Traced, event: RaftRoleChanged) -> None:
        self.nodes[traced.node].quorum_leader = event.leader

    def _on_partition_metadata(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        partition = TopicPartition(event.topic, event.partition)
        self.nodes[traced.node].partitions[partition] = event
        known = self.partitions.get(partition)
        if known is None or event.metadata_offset > known.metadata_offset:
            self.partitions[partition] = event

    def _on_topic_deleted(self, traced: Traced, event: TopicDeleted) -> None:
        for partition in [known for known in self.partitions if known.topic == event.topic]:
            if self.partitions[partition].metadata_offset < event.metadata_offset:
                del self.partitions[partition]
        for partition in [known for known in self.nodes[traced.node].partitions if known.topic == event.topic]:
            del self.nodes[traced.node].partitions[partition]

    def _replica(self, node: str, topic: str, partition: int) -> ReplicaView:
        replicas = self.nodes[node].replicas
        key = TopicPartition(topic, partition)
        known = replicas.get(key)
        if known is None:
            known = replicas[key] = ReplicaView()
        return known

    def _on_partition_role(self, traced: Traced, event: PartitionRoleChanged) -> None:
        replica = self._replica(traced.node, event.topic, event.partition)
        replica.role = event.role
        replica.leader_epoch = event.leader_epoch
        replica.log_end_offset = event.log_end_offset
        replica.high_watermark = event.high_watermark  # as it was kept on disk: without new records nothing moves it

    def _on_batch_appended(self, traced: Traced, event: BatchAppended) -> None:
        self._replica(traced.node, event.topic, event.partition).log_end_offset = event.last_offset + 1

    def _on_log_truncated(self, traced: Traced, event: LogTruncated) -> None:
        self._replica(traced.node, event.topic, event.partition).log_end_offset = event.to_offset

    def _on_high_watermark(self, traced: Traced, event: HighWatermarkAdvanced) -> None:
        self._replica(traced.node, event.topic, event.partition).high_watermark = event.high_watermark

    def _on_compaction(self, traced: Traced, event: CompactionBegan | CompactionAbandoned | LogCompacted) -> None:
        replica = self._replica(traced.node, event.topic, event.partition)
        replica.is_compacting = isinstance(event, CompactionBegan)
        replica.compactions += isinstance(event, LogCompacted)

    def _on_group(self, traced: Traced, event: GroupStateChanged) -> None:
        self.groups[event.group] = event

    def _on_transaction_ended(self, traced: Traced, event: TransactionEnded) -> None:
        self.last_stable[TopicPartition(event.topic, event.partition)] = event.last_stable_offset

    def _on_transaction_state(self, traced: Traced, event: TransactionStateChanged) -> None:
        self.transactions[event.transactional_id] = event.state

    def _on_record_sent(self, traced: Traced, event: RecordSent) -> None:
        if traced.node in self.workloads:
            self.workloads[traced.node].sent += 1

    def _on_record_acknowledged(self, traced: Traced, event: RecordAcknowledged) -> None:
        if traced.node in self.workloads:
            workload = self.workloads[traced.node]
            workload.acked += 1
            workload.ack_times_us.append(traced.time_us)

    def _on_record_failed(self, traced: Traced, event: RecordFailed) -> None:
        if traced.node in self.workloads:
            self.workloads[traced.node].failed += 1

    def _on_record_unknown(self, traced: Traced, event: RecordUnknown) -> None:
        if traced.node in self.workloads:
            self.workloads[traced.node].unknown += 1

    def _on_record_consumed(self, traced: Traced, event: RecordConsumed) -> None:
        if traced.node in self.workloads:
            workload = self.workloads[traced.node]
            workload.consumed += 1
            workload.positions[TopicPartition(event.topic, event.partition)] = event.offset + 1
            workload.consume_times_us.append(traced.time_us)


def _at_rest(replica: ReplicaView) -> ReplicaView:
    return ReplicaView(log_end_offset=replica.log_end_offset, compactions=replica.compactions)
