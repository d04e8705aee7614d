"""single-value-per-offset: nobody is ever shown two values at one offset of a partition.

Jepsen's "inconsistent offsets". It fails whenever acknowledged or consumed records are lost and their offsets are
given again.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordConsumed, Traced
from cluster.checks.oracle import Oracle, Violation


class SingleValuePerOffset(Oracle):
    """Acknowledgements and consumers agree on the value at every offset."""

    name = "single-value-per-offset"
    kinds = (RecordAcknowledged.kind, RecordConsumed.kind)

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[tuple[TopicPartition, int], str] = {}

    def on_event(self, traced: Traced) -> None:
        """Compare with what was first seen at the offset."""
        event = traced.event
        if not isinstance(event, RecordAcknowledged | RecordConsumed) or event.offset < 0:
            return
        partition = TopicPartition(event.topic, event.partition)
        first = self._values.setdefault((partition, event.offset), event.value)
        if first != event.value:
            message = f"{partition}@{event.offset} was {first}, and {traced.node} was shown {event.value}"
            self.violated(Violation(traced.time_us, message, partition, event.offset, event.value))
