"""copied-exactly-once: a workload that copies a topic in transactions copies every acknowledged record once.

Copies name their original and the attempt that made them (`p1-000123@t1.7`). Judged on the final reading back, which
reads committed records: a record without a copy was passed over, one with two was copied again after a crash.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordConsumed, Traced
from cluster.checks.oracle import Evidence, Oracle, Violation


class CopiedExactlyOnce(Oracle):
    """Every record of a topic that is copied has one copy."""

    name = "copied-exactly-once"
    kinds = (RecordAcknowledged.kind, RecordConsumed.kind)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._originals: dict[str, tuple[int, RecordAcknowledged]] = {}
        self._copies: dict[str, list[tuple[int, RecordConsumed]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Remember what was written, and what was read back of its copies."""
        event = traced.event
        if isinstance(event, RecordAcknowledged) and "@" not in event.value:
            self._originals[event.value] = (traced.time_us, event)
        elif isinstance(event, RecordConsumed) and event.final and "@" in event.value:
            self._copies.setdefault(event.value.partition("@")[0], []).append((traced.time_us, event))

    def at_end(self, evidence: Evidence) -> None:
        """Count the copies of each original, in the order of the acknowledgements."""
        copied = {self._originals[name][1].topic for name in self._copies if name in self._originals}
        for name, (time_us, event) in self._originals.items():
            if event.topic not in copied:
                continue
            found = self._copies.get(name, [])
            if not found:
                partition = TopicPartition(event.topic, event.partition)
                message = f"{name}, which is {partition}@{event.offset}, was not copied"
                self.violated(Violation(time_us, message, partition, event.offset, name))
            for again_us, copy in found[1:]:
                partition = TopicPartition(copy.topic, copy.partition)
                message = f"{name} was copied twice: as {found[0][1].value} and as {copy.value}"
                self.violated(Violation(again_us, message, partition, copy.offset, copy.value))
