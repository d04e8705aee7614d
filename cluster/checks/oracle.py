"""What every oracle is: something that watches the trace and says what must never be.

Here: the interface, what an oracle finds, and the evidence that is gathered at the end of a run.
Each oracle has a file of its own; all are linear in the number of events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from cluster.base.ids import TopicPartition
from cluster.base.trace import Traced
from cluster.checks.cluster_model import ClusterModel
from cluster.checks.setting import Setting
from cluster.records import Record

VIOLATIONS_KEPT_MAX = 100
"""Violations that one oracle describes; beyond, it only counts."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be: when, what, and where it can be looked up. `offset` is -1 when none is meant."""

    time_us: int
    message: str
    partition: TopicPartition | None = None
    offset: int = -1
    value: str = ""


class ReplicaBatch(Protocol):
    """A record batch as a replica's disk holds it."""

    @property
    def base_offset(self) -> int: ...
    @property
    def last_offset(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def crc(self) -> int: ...
    @property
    def values(self) -> tuple[str, ...]: ...
    @property
    def records(self) -> Sequence[Record]: ...


class ReplicaLog(Protocol):
    """A replica as its disk holds it; the batches are in the order of their offsets.

    It claims to begin at `log_start_offset`, its files begin at `head_offset` (-1 without any). `has_gaps`: compaction
    may have left offsets out.
    """

    @property
    def log_start_offset(self) -> int: ...
    @property
    def head_offset(self) -> int: ...
    @property
    def has_gaps(self) -> bool: ...
    @property
    def batches(self) -> Sequence[ReplicaBatch]: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a run has ended, beyond its trace.

    `read_back` says whether fresh clients read every partition to its end; without that, an oracle that asks
    what was kept has no answer. `replicas` holds every replica's log by partition and node,
    `high_watermarks` the leader's high watermark when they were read, `stable_offsets` its last stable offset.
    """

    time_us: int
    read_back: bool = False
    replicas: Mapping[TopicPartition, Mapping[str, ReplicaLog]] = field(default_factory=dict)
    high_watermarks: Mapping[TopicPartition, int] = field(default_factory=dict)
    stable_offsets: Mapping[TopicPartition, int] = field(default_factory=dict)


class Oracle:
    """The base of every oracle. `kinds` are the events that it must be shown; no others are.

    `uses_model` asks for a model of the cluster that has taken each event in before the oracle sees it.
    `permitted_as` names the anomaly of the contract whose permission excuses its violations; empty when nothing does.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()
    needs_read_back: ClassVar[bool] = False
    uses_model: ClassVar[bool] = False
    permitted_as: ClassVar[str] = ""

    def __init__(self) -> None:
        self.setting = Setting()
        self.model = ClusterModel(self.setting)
        self.violations: list[Violation] = []
        self.count = 0

    def begin(self, setting: Setting, model: ClusterModel) -> None:
        """Learn what is configured, and the model that other oracles read too; called before the first event."""
        self.setting = setting
        self.model = model

    def on_event(self, traced: Traced) -> None:
        """Take one event of `kinds` in."""

    def at_end(self, evidence: Evidence) -> None:
        """Judge what can only be judged when all is over."""

    def violated(self, violation: Violation) -> None:
        """Note a violation."""
        self.count += 1
        if len(self.violations) < VIOLATIONS_KEPT_MAX:
            self.violations.append(violation)
