"""transactions-atomic: all records of a transaction can be read by readers of committed records, or none.

A transaction whose producer was told that it is committed is there as a whole, one that was aborted is not there at
all, and one of unknown outcome is whole or absent. Judged on the final reading back, which reads committed records.
"""

from __future__ import annotations

from cluster.base.trace import RecordConsumed, Traced
from cluster.base.transaction_trace import TransactionResolved
from cluster.checks.oracle import Evidence, Oracle, Violation


class TransactionsAtomic(Oracle):
    """Every transaction is read back as a whole or not at all."""

    name = "transactions-atomic"
    kinds = (TransactionResolved.kind, RecordConsumed.kind)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._resolved: list[tuple[int, TransactionResolved]] = []
        self._read: set[str] = set()

    def on_event(self, traced: Traced) -> None:
        """Remember what was written together, and what was read back."""
        event = traced.event
        if isinstance(event, TransactionResolved):
            self._resolved.append((traced.time_us, event))
        elif isinstance(event, RecordConsumed) and event.final:
            self._read.add(event.value)

    def at_end(self, evidence: Evidence) -> None:
        """Count for each transaction what is there of it."""
        for time_us, event in self._resolved:
            found = sum(value in self._read for value in event.values)
            wanted = {"committed": (len(event.values),), "aborted": (0,)}.get(event.outcome, (0, len(event.values)))
            if found not in wanted:
                text = f"transaction {event.attempt} of {event.transactional_id} was {event.outcome}"
                message = f"{text}, and {found} of its {len(event.values)} records can be read"
                self.violated(Violation(time_us, message, value=event.values[0]))
