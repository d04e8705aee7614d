"""What may be asked of a transactional id, as decisions over its present state (Kafka: `TransactionCoordinator`).

Here: InitProducerId, AddPartitionsToTxn, EndTxn, fencing and completion, each a function from a transaction to its
next. Not here: where transactions are kept (`shard`), markers (`cluster.broker.transaction_coordinator`).

Two kinds of producers. Older ones keep their epoch from one transaction to the next, so that a request that comes late
can be taken for one of the next transaction. With version 2 (KIP-890) every end raises the epoch, and a late request
is recognised by it; when epochs are used up, the producer gets another id.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.transactions.decision import AddRequest, EndRequest, InitRequest, Outcome
from cluster.transactions.states import TransactionEvent, TransactionState
from cluster.transactions.transaction import EPOCH_MAX, NO_PRODUCER_ID, NO_TIMESTAMP, Transaction

EPOCH_PER_TRANSACTION = 2
"""The version of producers that change their epoch with every transaction (transaction.version, KIP-890)."""


# --- InitProducerId -----------------------------------------------------------------------------------


def initialise(known: Transaction | None, request: InitRequest, wall_ms: int) -> Outcome:
    """Give a producer its id and an epoch under which nobody else writes; abort what its predecessor left open."""
    if known is None:
        if request.spare_producer_id == NO_PRODUCER_ID:
            return Outcome(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        new = Transaction(request.transactional_id, request.spare_producer_id, 0, timeout_ms=request.timeout_ms)
        return _given(replace(new, update_ms=wall_ms))
    if request.producer_id != NO_PRODUCER_ID and not _is_its_producer(known, request):
        return Outcome(ErrorCode.PRODUCER_FENCED)
    if known.is_ending:
        return Outcome(ErrorCode.CONCURRENT_TRANSACTIONS)
    if known.state is TransactionState.ONGOING:
        # The producer asks again, and gets an epoch of its own then.
        return Outcome(ErrorCode.CONCURRENT_TRANSACTIONS, fence(known, wall_ms))
    return _raise_epoch(known, request, wall_ms)


def _is_its_producer(known: Transaction, request: InitRequest) -> bool:
    was_replaced = request.producer_id == known.previous_producer_id and request.epoch >= EPOCH_MAX - 1
    return request.producer_id == known.producer_id or was_replaced


def _raise_epoch(known: Transaction, request: InitRequest, wall_ms: int) -> Outcome:
    knows_epoch = request.epoch != NO_EPOCH
    fresh = replace(
        known.become(TransactionEvent.INITIALISED, wall_ms),
        timeout_ms=request.timeout_ms,
        partitions=(),
        start_ms=NO_TIMESTAMP,
        next_producer_id=NO_PRODUCER_ID,
    )
    if known.is_epoch_exhausted and request.epoch in (NO_EPOCH, known.epoch):
        if request.spare_producer_id == NO_PRODUCER_ID:
            return Outcome(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return _given(
            replace(
                fresh,
                producer_id=request.spare_producer_id,
                previous_producer_id=known.producer_id,
                epoch=0,
                last_epoch=known.epoch if knows_epoch else NO_EPOCH,
            )
        )
    if not knows_epoch:
        return _given(replace(fresh, epoch=known.epoch + 1, last_epoch=NO_EPOCH))
    if request.epoch == known.epoch:
        return _given(replace(fresh, epoch=known.epoch + 1, last_epoch=known.epoch))
    if request.epoch == known.last_epoch:  # its answer was lost
        return _given(replace(fresh, epoch=known.epoch, last_epoch=known.last_epoch))
    return Outcome(ErrorCode.PRODUCER_FENCED)


def _given(transaction: Transaction) -> Outcome:
    return Outcome(ErrorCode.NONE, transaction, transaction.producer_id, transaction.epoch)


def fence(ongoing: Transaction, wall_ms: int) -> Transaction:
    """Return an ongoing transaction as it is when its producer is shut out and it is about to be aborted."""
    fenced = ongoing.become(TransactionEvent.FENCE, wall_ms).become(TransactionEvent.ABORT, wall_ms)
    steps = 2 if ongoing.client_version >= EPOCH_PER_TRANSACTION else 1
    return replace(fenced, epoch=min(ongoing.epoch + steps, EPOCH_MAX), last_epoch=NO_EPOCH)


# --- AddPartitionsToTxn, AddOffsetsToTxn --------------------------------------------------------------


def _identity_error(known: Transaction | None, producer_id: int, epoch: int) -> ErrorCode:
    if known is None or known.producer_id != producer_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    return ErrorCode.NONE if known.epoch == epoch else ErrorCode.PRODUCER_FENCED


def add_partitions(known: Transaction | None, request: AddRequest, wall_ms: int) -> Outcome:
    """Make partitions part of the transaction, which begins with the first of them."""
    error = _identity_error(known, request.producer_id, request.epoch)
    if known is None or error is not ErrorCode.NONE:
        return Outcome(error)
    if known.is_ending:
        return Outcome(ErrorCode.CONCURRENT_TRANSACTIONS)
    is_ongoing = known.state is TransactionState.ONGOING
    if is_ongoing and all(partition in known.partitions for partition in request.partitions):
        return Outcome(ErrorCode.NONE, known)
    begun = known if is_ongoing else replace(known, partitions=(), start_ms=wall_ms, last_epoch=NO_EPOCH)
    added = begun.become(TransactionEvent.ADDED, wall_ms).with_partitions(request.partitions)
    return Outcome(ErrorCode.NONE, replace(added, client_version=request.client_version))


def verify_partitions(known: Transaction | None, request: AddRequest) -> dict[TopicPartition, ErrorCode]:
    """Return for each partition whether it is part of the transaction (KIP-890): TRANSACTION_ABORTABLE when not."""
    error = _identity_error(known, request.producer_id, request.epoch)
    if known is None or error is not ErrorCode.NONE:
        return dict.fromkeys(request.partitions, error)
    if known.is_ending:
        return dict.fromkeys(request.partitions, ErrorCode.CONCURRENT_TRANSACTIONS)
    members = known.partitions if known.state is TransactionState.ONGOING else ()
    return {
        partition: ErrorCode.NONE if partition in members else ErrorCode.TRANSACTION_ABORTABLE
        for partition in request.partitions
    }


# --- EndTxn -------------------------------------------------------------------------------------------


def end(known: Transaction | None, request: EndRequest, wall_ms: int) -> Outcome:
    """Commit or abort. A request that is repeated because its answer was lost gets the same answer again."""
    if known is None:
        return Outcome(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if request.client_version >= EPOCH_PER_TRANSACTION:
        return _end_with_new_epoch(known, request, wall_ms)
    error = _identity_error(known, request.producer_id, request.epoch)
    if error is not ErrorCode.NONE:
        return Outcome(error)
    if known.state is TransactionState.ONGOING:
        ended = known.become(_ending(request), wall_ms)
        return _given(replace(ended, client_version=request.client_version))
    if known.state is TransactionState.EMPTY:
        return Outcome(ErrorCode.INVALID_TXN_STATE)
    return _repeated(known, request)


def _ending(request: EndRequest) -> TransactionEvent:
    return TransactionEvent.COMMIT if request.is_commit else TransactionEvent.ABORT


def _repeated(known: Transaction, request: EndRequest) -> Outcome:
    if known.is_commit != request.is_commit:
        return Outcome(ErrorCode.INVALID_TXN_STATE)
    if known.is_ending:
        return Outcome(ErrorCode.CONCURRENT_TRANSACTIONS)
    return Outcome(ErrorCode.NONE, known, known.producer_id, known.epoch)


def _end_with_new_epoch(known: Transaction, request: EndRequest, wall_ms: int) -> Outcome:
    was_replaced = (
        known.previous_producer_id == request.producer_id and request.epoch == EPOCH_MAX - 1 and known.epoch == 0
    )
    is_repeated = was_replaced or known.epoch == request.epoch + 1
    if known.producer_id != request.producer_id and not was_replaced:
        return Outcome(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if known.is_ending:
        return _repeated(known, request) if is_repeated else Outcome(ErrorCode.PRODUCER_FENCED)
    is_complete = known.state in (TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT)
    if is_complete and is_repeated:
        return _repeated(known, request)
    if known.epoch != request.epoch:
        return Outcome(ErrorCode.PRODUCER_FENCED)
    is_ongoing = known.state is TransactionState.ONGOING
    if request.is_commit and not is_ongoing:
        return Outcome(ErrorCode.INVALID_TXN_STATE)
    if known.is_epoch_exhausted and request.spare_producer_id == NO_PRODUCER_ID:
        return Outcome(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    ended = replace(
        known.become(_ending(request), wall_ms),
        epoch=known.epoch + 1,
        last_epoch=known.epoch,
        start_ms=known.start_ms if is_ongoing else wall_ms,
        client_version=request.client_version,
        next_producer_id=request.spare_producer_id if known.is_epoch_exhausted else NO_PRODUCER_ID,
    )
    if ended.next_producer_id != NO_PRODUCER_ID:
        return Outcome(ErrorCode.NONE, ended, ended.next_producer_id, 0)
    return _given(ended)


def complete(ending: Transaction, wall_ms: int) -> Transaction:
    """Return a transaction of which every partition has its marker."""
    completed = replace(
        ending.become(TransactionEvent.COMPLETED, wall_ms), partitions=(), next_producer_id=NO_PRODUCER_ID
    )
    if ending.next_producer_id == NO_PRODUCER_ID:
        return completed
    return replace(completed, previous_producer_id=ending.producer_id, producer_id=ending.next_producer_id, epoch=0)
