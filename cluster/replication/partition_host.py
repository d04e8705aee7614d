"""What a partition needs from the broker it lives on, as a protocol.

Here: the face that `Replicas` shows to its partitions, so that tests can host a single one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cluster.base.ids import NodeId
from cluster.base.ports import Tracer
from cluster.replication.waiters import Watches

if TYPE_CHECKING:
    from cluster.replication.partition import Partition
    from cluster.replication.replica import Replica


class PartitionHost(Protocol):
    """The broker around a partition."""

    node_id: NodeId
    tracer: Tracer
    watches: Watches
    lag_time_max_ms: int

    def may_be_in_sync(self, node: NodeId, broker_epoch: int) -> bool:
        """Whether a broker may enter an ISR: known under this epoch, neither fenced nor shutting down (KIP-903)."""

    def isr_change_wanted(self, partition: Partition) -> None:
        """The partition has a proposal for the controller in `pending_isr_change`."""

    def disk_failed(self, partition: Replica, error: Exception) -> None:
        """The partition went offline: its disk does not do what it is asked."""
