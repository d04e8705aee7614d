"""The states of a transactional id and the table of its transitions (Kafka: `TransactionState`).

Here: the state machine, as data. Not here: what happens on a transition (`requests`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class TransactionState(Enum):
    """What the transaction of a transactional id is doing; the value is its name in ListTransactions."""

    EMPTY = "Empty"
    """No transaction since the producer was initialised."""

    ONGOING = "Ongoing"
    """Partitions were added."""

    PREPARE_COMMIT = "PrepareCommit"
    """It will be committed, whatever happens: markers are being written."""

    PREPARE_ABORT = "PrepareAbort"
    """It will be aborted, whatever happens: markers are being written."""

    COMPLETE_COMMIT = "CompleteCommit"
    """Every partition has its marker."""

    COMPLETE_ABORT = "CompleteAbort"
    """Every partition has its marker."""

    DEAD = "Dead"
    """It expired. Nobody ever sees such a transactional id: it is no longer there."""

    PREPARE_EPOCH_FENCE = "PrepareEpochFence"
    """Its producer's epoch was raised, and it is about to be aborted; never written, as both happen in one decision."""


class TransactionEvent(Enum):
    """What changes a transaction's state."""

    INITIALISED = "initialised"
    """A producer came, or came back (InitProducerId)."""

    ADDED = "added"
    """A partition, or a group's offsets, are part of it."""

    COMMIT = "commit"
    """Its producer wants it to count."""

    ABORT = "abort"
    """Its producer gives it up, or it was fenced."""

    FENCE = "fence"
    """It takes too long, or its producer's successor has come."""

    COMPLETED = "completed"
    """All markers are written."""

    EXPIRED = "expired"
    """Nothing was heard of it for `transactional.id.expiration.ms`."""


_AT_REST = {
    TransactionEvent.INITIALISED: TransactionState.EMPTY,
    TransactionEvent.ADDED: TransactionState.ONGOING,
    # Also without a partition, so that the epoch is raised (KIP-890).
    TransactionEvent.ABORT: TransactionState.PREPARE_ABORT,
    TransactionEvent.EXPIRED: TransactionState.DEAD,
}

TRANSITIONS: Mapping[TransactionState, Mapping[TransactionEvent, TransactionState]] = {
    TransactionState.EMPTY: _AT_REST,
    TransactionState.ONGOING: {
        TransactionEvent.ADDED: TransactionState.ONGOING,
        TransactionEvent.COMMIT: TransactionState.PREPARE_COMMIT,
        TransactionEvent.ABORT: TransactionState.PREPARE_ABORT,
        TransactionEvent.FENCE: TransactionState.PREPARE_EPOCH_FENCE,
    },
    TransactionState.PREPARE_EPOCH_FENCE: {TransactionEvent.ABORT: TransactionState.PREPARE_ABORT},
    TransactionState.PREPARE_COMMIT: {TransactionEvent.COMPLETED: TransactionState.COMPLETE_COMMIT},
    TransactionState.PREPARE_ABORT: {TransactionEvent.COMPLETED: TransactionState.COMPLETE_ABORT},
    TransactionState.COMPLETE_COMMIT: _AT_REST,
    TransactionState.COMPLETE_ABORT: _AT_REST,
    TransactionState.DEAD: {},
}
"""The next state by present state and event; a pair that is missing is a bug of the caller."""


def next_state(state: TransactionState, event: TransactionEvent) -> TransactionState:
    """Return the state after `event`. Raises AssertionError for a transition that is not in the table."""
    after = TRANSITIONS[state].get(event)
    assert after is not None, f"a transaction that is {state.value} cannot take {event.value}"
    return after
