"""What a partition needs from the broker it lives on, as a protocol.

Here: the face that `Replicas` shows to its partitions, so that tests can host a single one.
"""

from __future__ import annotations

from typing import Protocol

from cluster.base.ids import NodeId, TopicPartition
from cluster.base.ports import Tracer
from cluster.replication.waiters import Watches


class PartitionHost(Protocol):
    """The broker around a partition. A partition gives its name, not itself: the broker knows it under that."""

    node_id: NodeId
    tracer: Tracer
    watches: Watches
    lag_time_max_ms: int

    def may_be_in_sync(self, node: NodeId, broker_epoch: int) -> bool:
        """Whether a broker may enter an ISR: known under this epoch, neither fenced nor shutting down (KIP-903)."""

    def is_live(self, node: NodeId) -> bool:
        """Whether a broker is known and not fenced."""

    def isr_change_wanted(self, topic_partition: TopicPartition) -> None:
        """The partition has a proposal for the controller in `pending_isr_change`."""

    def disk_failed(self, topic_partition: TopicPartition, error: Exception) -> None:
        """Take the partition offline: its disk does not do what it is asked."""
