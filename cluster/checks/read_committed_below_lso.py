"""read-committed-below-lso: who reads committed records is given nothing before it is decided how its transaction ends.

A record of a transaction is not given to such a reader before its producer has asked to end the transaction: below the
last stable offset there is nothing that is undecided.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordConsumed, Traced
from cluster.base.transaction_trace import TransactionDecided
from cluster.checks.oracle import Oracle, Violation


class ReadCommittedBelowLso(Oracle):
    """No consumer of committed records is ahead of the producer's decision."""

    name = "read-committed-below-lso"
    kinds = (TransactionDecided.kind, RecordConsumed.kind)

    def __init__(self) -> None:
        super().__init__()
        self._decided: set[str] = set()

    def on_event(self, traced: Traced) -> None:
        """Compare what is given with what has been decided."""
        event = traced.event
        if isinstance(event, TransactionDecided):
            self._decided.add(f"{event.transactional_id}.{event.attempt}")
        elif isinstance(event, RecordConsumed) and (event.committed_only or event.final):
            _, at, attempt = event.value.rpartition("@")
            if at and attempt not in self._decided:
                partition = TopicPartition(event.topic, event.partition)
                message = f"{traced.node} was given {event.value} at {partition}@{event.offset} before it was decided"
                self.violated(Violation(traced.time_us, message, partition, event.offset, event.value))
