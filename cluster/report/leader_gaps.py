"""How long partitions had no leader: the price of a failover, which producers feel as silence.

Here: the sum, while the run goes on, and the stretches, from its trace. Not here: how they are told or drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import NodeFaulted, NodeStarted, PartitionMetadataApplied, Traced
from cluster.report.cluster_view import ClusterView
from cluster.report.run_clock import RunClock

_DOWN = ("killed", "stopped", "powered-off")


class LeaderGaps:
    """Adds up the time without a leader, over all partitions of a view that has taken each event in already."""

    kinds: ClassVar[tuple[str, ...]] = (NodeFaulted.kind, NodeStarted.kind, PartitionMetadataApplied.kind)
    """The events that it must be shown."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._since_us: dict[TopicPartition, int] = {}
        self._total_us = 0

    def on_event(self, traced: Traced) -> None:
        """Note where leaders were lost or found."""
        if traced.event.kind not in self.kinds:
            return
        for partition in self._view.partitions:
            if self._view.leader(partition) is None:
                self._since_us.setdefault(partition, traced.time_us)
            elif partition in self._since_us:
                self._total_us += traced.time_us - self._since_us.pop(partition)

    def total_us(self, now_us: int) -> int:
        """Partition-microseconds without a leader until now."""
        return self._total_us + sum(now_us - since_us for since_us in self._since_us.values())


@dataclass(frozen=True, slots=True)
class LeaderGap:
    """A stretch in which a partition had no running leader, by the newest committed metadata."""

    partition: str
    begin_s: float
    end_s: float


def leader_gaps(trace: Iterable[Traced], clock: RunClock, topics: Sequence[str]) -> tuple[LeaderGap, ...]:
    """Return the stretches without a leader of every partition of some topics, between the faults and the heal."""
    fold = _LeaderFold(clock, topics)
    for traced in trace:
        if clock.heal_us < traced.time_us:
            break
        fold.on_event(traced)
    fold.close()
    return tuple(fold.gaps)


class _LeaderFold:
    def __init__(self, clock: RunClock, topics: Sequence[str]) -> None:
        self.gaps: list[LeaderGap] = []
        self._clock = clock
        self._topics = topics
        self._names: dict[int, str] = {}
        self._down: dict[str, bool] = {}
        self._newest: dict[TopicPartition, PartitionMetadataApplied] = {}
        self._since: dict[TopicPartition, float] = {}

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, NodeStarted):
            self._names[event.node_id] = traced.node
            self._down[traced.node] = False
        elif isinstance(event, NodeFaulted):
            self._down[event.target] = event.state in _DOWN
        elif isinstance(event, PartitionMetadataApplied) and event.topic in self._topics:
            partition = TopicPartition(event.topic, event.partition)
            known = self._newest.get(partition)
            if known is None or known.metadata_offset < event.metadata_offset:
                self._newest[partition] = event
        else:
            return
        self._look(self._clock.seconds(traced.time_us))

    def close(self) -> None:
        for partition, begin_s in self._since.items():
            self.gaps.append(LeaderGap(str(partition), begin_s, self._clock.seconds(self._clock.heal_us)))

    def _look(self, now_s: float) -> None:
        if now_s < 0:
            return
        for partition, event in self._newest.items():
            name = self._names.get(event.leader, "")
            if event.leader == NO_NODE or self._down.get(name, False):
                self._since.setdefault(partition, now_s)
            elif partition in self._since:
                begin_s = self._since.pop(partition)
                if now_s > begin_s:
                    self.gaps.append(LeaderGap(str(partition), begin_s, now_s))
