"""A Produce request of a transaction: its coordinator is asked before the leader appends (KIP-890).

Here: which partitions have to be asked about, keeping the request while that is done, and what its producer is told.
Not here: the question (`transaction_membership`), appending (`produce`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.partitions import find_partition
from cluster.broker.request import Slot
from cluster.broker.transaction_membership import UNANSWERED, admit
from cluster.records import iterate_headers
from cluster.replication import Partition
from cluster.wire import ProduceRequest

ABORTABLE_SINCE = 11
ADDS_SINCE = 12
"""From this version on producers leave it to the leader to add partitions to their transaction."""

Refusals = Mapping[TopicPartition, tuple[ErrorCode, str]]
Producer = tuple[int, int]
"""A producer id and an epoch."""


def unknown_partitions(context: BrokerContext, message: ProduceRequest) -> dict[Producer, list[Partition]]:
    """Return by producer the partitions led here whose transaction is not known to be open."""
    found: dict[Producer, list[Partition]] = {}
    for key, parts in message.topics:
        for number, records in parts:
            partition = find_partition(context, key, number)
            if records is None or isinstance(partition, ErrorCode) or not partition.is_leader:
                continue
            for _, header in iterate_headers(records):
                producer = (header.producer_id, header.producer_epoch)
                if header.is_transactional and not partition.log.producers.has_open(*producer):
                    found.setdefault(producer, []).append(partition)
                break
    return found


def must_wait(context: BrokerContext, message: ProduceRequest) -> int | None:
    """Return the producer whose request has to wait for its coordinator, or for an earlier one; None when none has."""
    for _, parts in message.topics:
        for _, records in parts:
            for _, header in iterate_headers(records or b""):
                if header.is_transactional and context.producer_queues.is_waiting(header.producer_id):
                    return header.producer_id
                break
    return next((producer_id for producer_id, _ in unknown_partitions(context, message)), None)


async def produce_later(
    context: BrokerContext,
    version: int,
    producer_id: int,
    decode: Callable[[], ProduceRequest],
    append: Callable[[ProduceRequest, Refusals], None],
    *,
    slot: Slot,
) -> None:
    """Ask the coordinator in the producer's turn, then append what may be appended.

    When that fails the connection is closed, as for any other request: its other replies must not wait for ever.
    """
    before, own = context.producer_queues.enter(producer_id)
    has_appended = False
    try:
        if before is not None:
            await before
        message = decode()
        refusals = await _ask(context, version, message)
        append(message, refusals)
        has_appended = True
    finally:
        if not has_appended:
            slot.refuse("its handler failed")
        context.producer_queues.leave(producer_id, own)


async def _ask(context: BrokerContext, version: int, message: ProduceRequest) -> Refusals:
    refusals: dict[TopicPartition, tuple[ErrorCode, str]] = {}
    for producer, partitions in unknown_partitions(context, message).items():
        adds = version >= ADDS_SINCE
        errors = await admit(context, message.transactional_id or "", producer, partitions, adds=adds)
        for name, error in errors.items():
            if error is not ErrorCode.NONE:
                refusals[name] = (_told(error, version), f"its coordinator answered {error.name}")
    return refusals


def _told(error: ErrorCode, version: int) -> ErrorCode:
    """Return what a producer is told: an error that it knows how to survive, where there is one."""
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    if error is ErrorCode.TRANSACTION_ABORTABLE and version < ABORTABLE_SINCE:
        return ErrorCode.INVALID_TXN_STATE
    if error in UNANSWERED or (error is ErrorCode.CONCURRENT_TRANSACTIONS and version < ADDS_SINCE):
        return ErrorCode.NOT_ENOUGH_REPLICAS
    return error
