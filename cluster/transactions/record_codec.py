"""The records of `__transaction_state`, in Kafka's format (schemas `TransactionLogKey`, `TransactionLogValue`).

Here: keys and values as bytes, both ways, so that Kafka's dump tool reads what Fencepost wrote. Values are written in
version 1, the flexible one that Kafka writes with transaction.version 2; versions 0 and 1 are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct

from cluster.base.ids import TopicPartition
from cluster.transactions.states import TransactionState
from cluster.transactions.transaction import NO_PRODUCER_ID, Transaction
from cluster.wire import INT16, INT32, INT64, Cursor, MalformedMessage, length, string, tagged

_KEY_VERSION = 0
_VALUE_VERSION = 1
_NO_TAGS = b"\x00"
_PREVIOUS_PRODUCER_ID, _NEXT_PRODUCER_ID, _CLIENT_VERSION = 0, 1, 2
_HEAD = Struct(">qhib")
"""Producer id, epoch, timeout, state."""

_TIMES = Struct(">qq")

_STATE_NUMBERS: Mapping[TransactionState, int] = {
    TransactionState.EMPTY: 0,
    TransactionState.ONGOING: 1,
    TransactionState.PREPARE_COMMIT: 2,
    TransactionState.PREPARE_ABORT: 3,
    TransactionState.COMPLETE_COMMIT: 4,
    TransactionState.COMPLETE_ABORT: 5,
    TransactionState.DEAD: 6,
    TransactionState.PREPARE_EPOCH_FENCE: 7,
}
_STATES: Mapping[int, TransactionState] = {number: state for state, number in _STATE_NUMBERS.items()}


def write_key(transactional_id: str) -> bytes:
    """Return the key of a transactional id."""
    return INT16.pack(_KEY_VERSION) + string(transactional_id, False)


def read_key(data: bytes) -> str | None:
    """Return the transactional id that a key stands for; None for another version. Raises MalformedMessage."""
    cursor = Cursor(data)
    return cursor.text(False) if cursor.number(INT16) == _KEY_VERSION else None


def write_transaction(transaction: Transaction) -> bytes:
    """Return the value of a transactional id: what its next coordinator has to know."""
    head = (transaction.producer_id, transaction.epoch, transaction.timeout_ms, _STATE_NUMBERS[transaction.state])
    tags: list[tuple[int, bytes]] = []
    for tag, number in (
        (_PREVIOUS_PRODUCER_ID, transaction.previous_producer_id),
        (_NEXT_PRODUCER_ID, transaction.next_producer_id),
    ):
        if number != NO_PRODUCER_ID:
            tags.append((tag, INT64.pack(number)))
    if transaction.client_version:
        tags.append((_CLIENT_VERSION, INT16.pack(transaction.client_version)))
    times = _TIMES.pack(transaction.update_ms, transaction.start_ms)
    return b"".join(
        (INT16.pack(_VALUE_VERSION), _HEAD.pack(*head), _partitions(transaction.partitions), times, tagged(tags))
    )


def _partitions(partitions: Sequence[TopicPartition]) -> bytes:
    topics: dict[str, list[int]] = {}
    for partition in partitions:
        topics.setdefault(partition.topic, []).append(partition.partition)
    parts = [length(len(topics), True)]
    for name, numbers in topics.items():
        parts += (string(name, True), length(len(numbers), True), *map(INT32.pack, numbers), _NO_TAGS)
    return b"".join(parts)


def read_transaction(transactional_id: str, data: bytes) -> Transaction:
    """Read the value of a transactional id. Raises MalformedMessage."""
    cursor = Cursor(data)
    version = cursor.number(INT16)
    if version not in (0, _VALUE_VERSION):
        raise MalformedMessage(f"a value of version {version}; 0 and {_VALUE_VERSION} are known")
    flexible = version >= _VALUE_VERSION
    producer_id, epoch, timeout_ms, number = cursor.numbers(_HEAD)
    if number not in _STATES:
        raise MalformedMessage(f"a transaction in state {number}")
    partitions: list[TopicPartition] = []
    for _ in range(max(cursor.count(flexible), 0)):  # version 0 has null where nothing was added
        name = cursor.text(flexible)
        partitions += [TopicPartition(name, cursor.number(INT32)) for _ in cursor.elements(flexible)]
        if flexible:
            cursor.tags()
    update_ms, start_ms = cursor.numbers(_TIMES)
    tags = dict(cursor.tags()) if flexible else {}
    previous, following = (
        Cursor(tags[tag]).number(INT64) if tag in tags else NO_PRODUCER_ID
        for tag in (_PREVIOUS_PRODUCER_ID, _NEXT_PRODUCER_ID)
    )
    return Transaction(
        transactional_id,
        producer_id,
        epoch,
        previous_producer_id=previous,
        next_producer_id=following,
        timeout_ms=timeout_ms,
        state=_STATES[number],
        partitions=tuple(sorted(partitions)),
        start_ms=start_ms,
        update_ms=update_ms,
        client_version=Cursor(tags[_CLIENT_VERSION]).number(INT16) if _CLIENT_VERSION in tags else 0,
    )
