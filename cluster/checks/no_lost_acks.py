"""no-lost-acks: what a producer was told is stored can be read when all is over.

Kafka promises this "as long as at least one in sync replica is alive" for acks=all. A scenario may expect it to
fail: that is how acks=1 is shown. Jepsen calls the anomaly "unseen".
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordConsumed, Traced
from cluster.checks.oracle import Evidence, Oracle, Violation


class NoLostAcks(Oracle):
    """Every acknowledged value is in the final reading back of its partition."""

    name = "no-lost-acks"
    kinds = (RecordAcknowledged.kind, RecordConsumed.kind)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._acked: dict[tuple[TopicPartition, str], Traced] = {}
        self._read: set[tuple[TopicPartition, str]] = set()

    def on_event(self, traced: Traced) -> None:
        """Remember what was acknowledged, and what was read back."""
        event = traced.event
        if isinstance(event, RecordAcknowledged):
            self._acked[(TopicPartition(event.topic, event.partition), event.value)] = traced
        elif isinstance(event, RecordConsumed) and event.final:
            self._read.add((TopicPartition(event.topic, event.partition), event.value))

    def at_end(self, evidence: Evidence) -> None:
        """Compare, in the order of the acknowledgements."""
        for (partition, value), traced in self._acked.items():
            if (partition, value) in self._read:
                continue
            assert isinstance(traced.event, RecordAcknowledged)
            message = f"{value} was acknowledged to {traced.node} at {partition}@{traced.event.offset} and is gone"
            self.violated(Violation(traced.time_us, message, partition, traced.event.offset, value))
