"""per-partition-order: the records of one producer lie in a partition in the order in which they were sent.

Of a value that was stored more than once, the first place counts. Jepsen's "nonmonotonic send", judged on the
final reading back. Kafka promises it to an idempotent producer, and to one that has a single request in flight
as long as no request outlives its connection.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordConsumed, RecordSent, Traced
from cluster.checks.oracle import Oracle, Violation


class PerPartitionOrder(Oracle):
    """In the final reading back, first places of one producer's values rise with their order of sending."""

    name = "per-partition-order"
    kinds = (RecordSent.kind, RecordConsumed.kind)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._sent: dict[str, tuple[str, int]] = {}
        self._seen: set[tuple[TopicPartition, str]] = set()
        self._last: dict[tuple[TopicPartition, str], tuple[int, str]] = {}

    def on_event(self, traced: Traced) -> None:
        """Number what is sent; compare what is read back."""
        event = traced.event
        if isinstance(event, RecordSent):
            self._sent[event.value] = (traced.node, len(self._sent))
        elif isinstance(event, RecordConsumed) and event.final and event.value in self._sent:
            self._on_read(traced, event)

    def _on_read(self, traced: Traced, event: RecordConsumed) -> None:
        partition = TopicPartition(event.topic, event.partition)
        if (partition, event.value) in self._seen:
            return
        self._seen.add((partition, event.value))
        producer, number = self._sent[event.value]
        last_number, last_value = self._last.get((partition, producer), (-1, ""))
        if number < last_number:
            message = f"{event.value} was sent before {last_value} and lies behind it, at {partition}@{event.offset}"
            self.violated(Violation(traced.time_us, message, partition, event.offset, event.value))
        else:
            self._last[(partition, producer)] = (number, event.value)
