"""aborted-never-read: who reads committed records is never given one of a transaction that was aborted (Adya's G1a)."""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordConsumed, Traced
from cluster.base.transaction_trace import TransactionResolved
from cluster.checks.oracle import Evidence, Oracle, Violation


class AbortedNeverRead(Oracle):
    """No consumer of committed records is given an aborted one, whenever it became known that it was."""

    name = "aborted-never-read"
    kinds = (TransactionResolved.kind, RecordConsumed.kind)

    def __init__(self) -> None:
        super().__init__()
        self._aborted: set[str] = set()
        self._read: dict[str, list[tuple[Traced, RecordConsumed]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Remember what was aborted and what was given to whom."""
        event = traced.event
        if isinstance(event, TransactionResolved):
            if event.outcome == "aborted":
                self._aborted.update(event.values)
        elif isinstance(event, RecordConsumed) and (event.final or event.committed_only):
            self._read.setdefault(event.value, []).append((traced, event))

    def at_end(self, evidence: Evidence) -> None:
        """Compare, in the order of the reading."""
        for value in self._read:
            for traced, event in self._read[value] if value in self._aborted else ():
                partition = TopicPartition(event.topic, event.partition)
                message = f"{traced.node} was given {value} at {partition}@{event.offset}, which was aborted"
                self.violated(Violation(traced.time_us, message, partition, event.offset, value))
