"""Trace events: a typed, ordered account of every step that a learner or a checker would ask about.

Here: what can happen, as frozen facts. Not here: their stamp and their JSON form (`traced`), where events are kept
(`cluster.runtime`), or what they add up to (`cluster.report`, `cluster.checks`).

A tracer stamps each event with a time in microseconds and the name of the node it happened on.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.facts import unguarded
from cluster.base.traced import Traced, TraceEvent

__all__ = ["TraceEvent", "Traced"]  # handed on; what is defined here needs no mention

# --- nodes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeStarted(TraceEvent):
    """A node's process began to run."""

    node_id: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeReady(TraceEvent):
    """A broker was unfenced and accepts clients."""

    broker_epoch: int


@dataclass(frozen=True, slots=True)
class NodeStopped(TraceEvent):
    """A node ended in good order."""


# --- Raft and the controller -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RaftRoleChanged(TraceEvent):
    """A voter became follower, pre-candidate, candidate or leader; index and term of its last entry say what it has."""

    term: int
    role: str
    leader: int
    last_index: int = -1
    last_term: int = -1


@dataclass(frozen=True, slots=True)
class RaftVoted(TraceEvent):
    """A voter granted its vote, after making it durable."""

    term: int
    candidate: int


@dataclass(frozen=True, slots=True)
class RaftCommitted(TraceEvent):
    """A voter learned that entries up to `index` are committed."""

    term: int
    index: int


@dataclass(frozen=True, slots=True)
class RaftSynced(TraceEvent):
    """A voter's disk holds its log up to the entry (index, term): only now may it count as stored there."""

    index: int
    term: int


@dataclass(frozen=True, slots=True)
class ControllerActivated(TraceEvent):
    """A controller became the active one, with its Raft term as controller epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ControllerResigned(TraceEvent):
    """A controller stopped being the active one, by its own knowledge."""

    epoch: int


@dataclass(frozen=True, slots=True)
class BrokerStateChanged(TraceEvent):
    """This node applied a change of a broker: registered, fenced, unfenced, shutting-down or unregistered."""

    broker: int
    broker_epoch: int
    state: str
    metadata_offset: int


@dataclass(frozen=True, slots=True)
class PartitionMetadataApplied(TraceEvent):
    """This node learned a partition's state from the metadata log: its **view**, which may be old."""

    topic: str
    partition: int
    leader: int
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    elr: tuple[int, ...]
    metadata_offset: int
    last_known_elr: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicConfigApplied(TraceEvent):
    """This node learned what is set on a topic itself, each config as `name=value`."""

    topic: str
    configs: tuple[str, ...]
    metadata_offset: int


@dataclass(frozen=True, slots=True)
class TopicDeleted(TraceEvent):
    """This node learned that a topic is gone."""

    topic: str
    metadata_offset: int


# --- replication -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartitionRoleChanged(TraceEvent):
    """A replica on this node became leader, follower or offline under a leader epoch, with the log that it has."""

    topic: str
    partition: int
    role: str
    leader_epoch: int
    log_end_offset: int
    high_watermark: int


@unguarded
@dataclass(frozen=True, slots=True)
class BatchAppended(TraceEvent):
    """Records entered this node's log; `role` says whether it led or copied. `leader_epoch` is the batch's."""

    topic: str
    partition: int
    role: str
    base_offset: int
    last_offset: int
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class LogTruncated(TraceEvent):
    """A replica cut its tail: `from_offset` was its log end offset, `to_offset` is now."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class LogStartMoved(TraceEvent):
    """A replica deleted its head, by retention, by DeleteRecords or because its leader did; records begin here now."""

    topic: str
    partition: int
    role: str
    log_start_offset: int


@dataclass(frozen=True, slots=True)
class CompactionBegan(TraceEvent):
    """A replica begins to compact its log, which is dirty in [first_dirty_offset, end_offset)."""

    topic: str
    partition: int
    first_dirty_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class CompactionAbandoned(TraceEvent):
    """A replica left its log as it was: the log was cut meanwhile, could not be read, or went away."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class LogCompacted(TraceEvent):
    """A replica compacted its log, which was dirty from `first_dirty_offset` on, up to `end_offset`.

    Sizes are of the whole log, before and after.
    """

    topic: str
    partition: int
    first_dirty_offset: int
    end_offset: int
    before_bytes: int
    after_bytes: int


@unguarded
@dataclass(frozen=True, slots=True)
class HighWatermarkAdvanced(TraceEvent):
    """A replica's high watermark moved; on the leader this is what makes records committed."""

    topic: str
    partition: int
    role: str
    high_watermark: int
    leader_epoch: int


@unguarded
@dataclass(frozen=True, slots=True)
class FollowerProgressed(TraceEvent):
    """A leader learned a follower's log end offset from its fetch."""

    topic: str
    partition: int
    follower: int
    log_end_offset: int
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class IsrChangeRequested(TraceEvent):
    """A leader asked the controller for another ISR (AlterPartition)."""

    topic: str
    partition: int
    isr: tuple[int, ...]
    leader_epoch: int
    partition_epoch: int


@dataclass(frozen=True, slots=True)
class IsrChangeAnswered(TraceEvent):
    """The controller accepted or refused; `error` is Kafka's name, NONE when accepted."""

    topic: str
    partition: int
    error: str
    partition_epoch: int


@dataclass(frozen=True, slots=True)
class ReplicaFenced(TraceEvent):
    """A request under an old or too new epoch was refused; `error` is Kafka's name."""

    topic: str
    partition: int
    error: str
    given_epoch: int
    current_epoch: int


# --- coordinators ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CoordinatorLoaded(TraceEvent):
    """A broker has read a partition of an internal topic that it leads, and coordinates what lies in it."""

    topic: str
    partition: int
    leader_epoch: int
    log_end_offset: int


@dataclass(frozen=True, slots=True)
class CoordinatorUnloaded(TraceEvent):
    """A broker coordinates what lies in this partition no more."""

    topic: str
    partition: int
    leader_epoch: int


# --- clients ---------------------------------------------------------------------------------------


@unguarded
@dataclass(frozen=True, slots=True)
class RecordSent(TraceEvent):
    """A workload handed a record to its producer. `value` is unique in the run: it is what a record is called.

    `key` is the record's own, empty when it has none. A tombstone has no value in the log, but is called something.
    """

    topic: str
    partition: int
    value: str
    key: str = ""
    tombstone: bool = False


@unguarded
@dataclass(frozen=True, slots=True)
class RecordAcknowledged(TraceEvent):
    """The producer was told that the record is stored at `offset` (-1 under acks=0)."""

    topic: str
    partition: int
    value: str
    offset: int


@dataclass(frozen=True, slots=True)
class RecordFailed(TraceEvent):
    """The producer was told that the record is not stored."""

    topic: str
    partition: int
    value: str
    error: str


@dataclass(frozen=True, slots=True)
class RecordUnknown(TraceEvent):
    """The producer gave up waiting: the record may or may not be in the log."""

    topic: str
    partition: int
    value: str
    error: str


@unguarded
@dataclass(frozen=True, slots=True)
class RecordConsumed(TraceEvent):
    """A consumer was given a record. `final` marks the reading back at the end of a run."""

    topic: str
    partition: int
    offset: int
    value: str
    final: bool = False
    committed_only: bool = False
    key: str = ""
    tombstone: bool = False


@dataclass(frozen=True, slots=True)
class ConsumerPlaced(TraceEvent):
    """A consumer was given other partitions: where it goes on says nothing about where it was.

    `by_group` says whether a group protocol chose them, or the client itself.
    """

    partitions: tuple[str, ...]
    by_group: bool


# --- the lab ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepFired(TraceEvent):
    """A step of the scenario fired; `targets` are the nodes that its selector meant just then."""

    step: str
    action: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepEnded(TraceEvent):
    """A fault was undone, or a `when` ran out of time; `outcome` is healed, met or timed-out."""

    step: str
    outcome: str


@dataclass(frozen=True, slots=True)
class NodeFaulted(TraceEvent):
    """The lab changed the state of a machine: killed, powered-off, paused, resumed, stopped, started."""

    target: str
    state: str


@dataclass(frozen=True, slots=True)
class PhaseBegan(TraceEvent):
    """The run entered a phase: start, faults, heal, recover, read-back, end."""

    phase: str
