"""Trace events of transactions: what coordinators decide, leaders write, and workloads are told (see `trace`)."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.trace import TraceEvent


@dataclass(frozen=True, slots=True)
class TransactionEnded(TraceEvent):
    """A leader wrote a marker at `offset`: a producer's transaction in this partition is committed or aborted.

    `last_stable_offset` is where readers of committed records stop just then; the marker is not replicated yet.
    """

    topic: str
    partition: int
    offset: int
    producer_id: int
    producer_epoch: int
    is_commit: bool
    last_stable_offset: int


@dataclass(frozen=True, slots=True)
class TransactionStateChanged(TraceEvent):
    """A transaction has another state or epoch, by its coordinator's knowledge; that may not be committed yet."""

    transactional_id: str
    state: str
    producer_id: int
    producer_epoch: int


@dataclass(frozen=True, slots=True)
class TransactionDecided(TraceEvent):
    """A workload is about to ask that a transaction be committed or aborted; `attempt` counts its transactions."""

    transactional_id: str
    attempt: int
    is_commit: bool


@dataclass(frozen=True, slots=True)
class TransactionResolved(TraceEvent):
    """A workload knows what became of a transaction: committed, aborted, or unknown. `values` are its records'."""

    transactional_id: str
    attempt: int
    outcome: str
    values: tuple[str, ...]
