"""One transactional id, as a frozen fact (Kafka: `TransactionMetadata`).

Here: the fact and questions about it. Not here: what changes it (`requests`). It is never changed in place: a decision
makes the next one, and whoever could not write what the decision says simply keeps the one it had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.transactions.states import TransactionEvent, TransactionState, next_state

NO_PRODUCER_ID = -1
NO_TIMESTAMP = -1
EPOCH_MAX = 2**15 - 1
"""Fences only: no producer is ever given the last epoch, so that there is always one more to fence it with."""

ENDING = (TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT)
"""How it ends is decided, and not yet carried out everywhere."""

AT_REST = (TransactionState.EMPTY, TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT)
"""Nothing is under way."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transactional id, its producer, and its transaction. Times are milliseconds since 1970.

    `partitions` are kept in order. `next_producer_id` takes the place of `producer_id` when the transaction has ended,
    because epochs are used up. `last_epoch` is the epoch before the present one, for producers whose answer was lost.
    `client_version` is 2 when the producer changes its epoch with every transaction (KIP-890), else 0.
    """

    transactional_id: str
    producer_id: int
    epoch: int = NO_EPOCH
    last_epoch: int = NO_EPOCH
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    timeout_ms: int = 0
    state: TransactionState = TransactionState.EMPTY
    partitions: tuple[TopicPartition, ...] = ()
    start_ms: int = NO_TIMESTAMP
    update_ms: int = NO_TIMESTAMP
    client_version: int = 0

    @property
    def is_ending(self) -> bool:
        """Whether how it ends is decided, and not yet carried out everywhere."""
        return self.state in ENDING

    @property
    def is_epoch_exhausted(self) -> bool:
        """Whether the producer cannot be given another epoch (Kafka: `isEpochExhausted`)."""
        return self.epoch >= EPOCH_MAX - 1

    @property
    def is_commit(self) -> bool:
        """Whether it was, or will be, committed."""
        return self.state in (TransactionState.PREPARE_COMMIT, TransactionState.COMPLETE_COMMIT)

    def has_timed_out(self, wall_ms: int) -> bool:
        """Whether it has been going on for longer than its producer said it would."""
        return self.state is TransactionState.ONGOING and self.start_ms + self.timeout_ms < wall_ms

    def has_expired(self, wall_ms: int, expiration_ms: int) -> bool:
        """Whether nothing was heard of it for so long that it may be forgotten."""
        return self.state in AT_REST and self.update_ms + expiration_ms <= wall_ms

    def become(self, event: TransactionEvent, wall_ms: int) -> Transaction:
        """Return it in its next state; an event that the state does not know is a bug."""
        return replace(self, state=next_state(self.state, event), update_ms=wall_ms)

    def with_partitions(self, added: Iterable[TopicPartition]) -> Transaction:
        """Return it with more partitions."""
        return replace(self, partitions=tuple(sorted({*self.partitions, *added})))
