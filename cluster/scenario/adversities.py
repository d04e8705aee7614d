"""What befell a run's nodes, and how much of it a finding may be blamed on.

Here: reading a trace for losses of power and damage to disks. A partition's records are only lost where they were: on
its replicas, and, since transactions decide about records elsewhere, on those of the transactions' own topic.
Not here: what follows from it (`cluster.checks.contract`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.base.ids import TopicPartition
from cluster.base.trace import NodeFaulted, PartitionMetadataApplied, StepFired, Traced
from cluster.checks import DISK_DAMAGES, UNSYNCED_LOSSES, Adversity, Setting

TRANSACTIONS = "__transaction_state"


@dataclass(frozen=True, slots=True)
class _Blow:
    time_us: int
    node: str
    is_damage: bool  # else what was not synced is lost, and nothing more


class Adversities:
    """All that befell the nodes of one run."""

    def __init__(self, trace: Iterable[Traced], setting: Setting) -> None:
        self._setting = setting
        self._blows: list[_Blow] = []
        self._replicas: dict[TopicPartition, dict[str, None]] = {}
        for traced in trace:
            event = traced.event
            if isinstance(event, PartitionMetadataApplied):
                known = self._replicas.setdefault(TopicPartition(event.topic, event.partition), {})
                known.update((setting.names[number], None) for number in event.replicas if number in setting.names)
            elif isinstance(event, NodeFaulted) and event.state == "powered-off":
                self._blows.append(_Blow(traced.time_us, event.target, is_damage=False))
            elif isinstance(event, StepFired) and event.action in (*DISK_DAMAGES, *UNSYNCED_LOSSES):
                is_damage = event.action in DISK_DAMAGES
                self._blows += [_Blow(traced.time_us, node, is_damage) for node in event.targets]

    def on(self, partition: TopicPartition | None, until_us: int | None = None) -> Adversity:
        """Count the nodes that a partition's records may have been lost on, of what befell them up to a time.

        Without a partition, or when nobody told who its replicas were, every node counts.
        """
        concerned = self._concerned(partition)
        blows = [blow for blow in self._blows if until_us is None or blow.time_us <= until_us]
        damaged = dict.fromkeys(blow.node for blow in blows if blow.is_damage)
        dark = dict.fromkeys(blow.node for blow in blows if blow.node not in damaged)
        return Adversity(
            power_losses=sum(concerned is None or node in concerned for node in dark),
            damaged_disks=sum(concerned is None or node in concerned for node in damaged),
            damaged_voters=sum(node in self._setting.voters for node in damaged),
        )

    def _concerned(self, partition: TopicPartition | None) -> dict[str, None] | None:
        if partition is None or partition not in self._replicas:
            return None
        deciding = [tp for tp in self._replicas if tp == partition or tp.topic == TRANSACTIONS]
        return {name: None for tp in deciding for name in self._replicas[tp]}
