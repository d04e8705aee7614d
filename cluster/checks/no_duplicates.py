"""no-duplicates: no value is stored twice.

A producer without idempotence retries what it got no answer for, so Kafka does not promise this without
`enable.idempotence`. Jepsen's "duplicate": one value at two or more offsets of a partition.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordConsumed, Traced
from cluster.checks.oracle import Oracle, Violation


class NoDuplicates(Oracle):
    """In the final reading back, every value has one offset."""

    name = "no-duplicates"
    kinds = (RecordConsumed.kind,)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._offsets: dict[tuple[TopicPartition, str], int] = {}

    def on_event(self, traced: Traced) -> None:
        """Note a second offset of a value."""
        event = traced.event
        if not isinstance(event, RecordConsumed) or not event.final:
            return
        partition = TopicPartition(event.topic, event.partition)
        first = self._offsets.setdefault((partition, event.value), event.offset)
        if first != event.offset:
            message = f"{event.value} is at {partition}@{first} and again at @{event.offset}"
            self.violated(Violation(traced.time_us, message, partition, event.offset, event.value))
