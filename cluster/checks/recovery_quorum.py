"""min-isr-recovery-quorum: a partition that nobody is safe to lead remembers whom to wait for.

MinIsrRecoveryQuorum of the KIP-966 specification asks for as many last known eligible replicas as min.insync.replicas.
Kafka, and Fencepost with it, keeps one: the last known leader. So the claim here is: without ISR and ELR there is one.
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import PartitionMetadataApplied, Traced
from cluster.checks.oracle import Oracle, Violation


class MinIsrRecoveryQuorum(Oracle):
    """Look at each version of a partition's metadata."""

    name = "min-isr-recovery-quorum"
    kinds = (PartitionMetadataApplied.kind,)

    def on_event(self, traced: Traced) -> None:
        """Judge one version."""
        event = traced.event
        assert isinstance(event, PartitionMetadataApplied)
        if not event.isr and not event.elr and (event.leader != NO_NODE or not event.last_known_elr):
            where = TopicPartition(event.topic, event.partition)
            message = f"{where} has neither ISR nor ELR and does not say who led last"
            self.violated(Violation(traced.time_us, message, where))
