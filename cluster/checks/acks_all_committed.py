"""acks-all-means-committed: a producer that asked for acks=all is answered when the record is committed.

The leader answers when its high watermark has passed the record, that is when everybody in sync has it; an answer
before is a promise that an election can break.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, Traced
from cluster.checks.oracle import Oracle, Violation


class AcksAllMeansCommitted(Oracle):
    """Compare each acknowledgement with the true high watermark."""

    name = "acks-all-means-committed"
    kinds = (RecordAcknowledged.kind,)
    uses_model = True

    def on_event(self, traced: Traced) -> None:
        """Judge one acknowledgement."""
        event = traced.event
        assert isinstance(event, RecordAcknowledged)
        if event.offset < 0 or self.setting.client(traced.node).acks != "all":
            return
        partition = self.model.partitions.get((event.topic, event.partition))
        end = 0 if partition is None else partition.committed.end
        if event.offset >= end:
            where = TopicPartition(event.topic, event.partition)
            message = f"{event.value} was acknowledged to {traced.node} at {where}@{event.offset}, committed is @{end}"
            self.violated(Violation(traced.time_us, message, where, event.offset, event.value))
