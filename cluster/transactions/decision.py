"""What the transactions of a shard decide: what to write, what changes with it, and who is answered then.

Here: the decision, and the facts that go in and out of it, free of the versions in which they travel. Not here: the
rules (`requests`), and the coordinator that writes and answers (`cluster.broker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from cluster.base.answers import Answer, LogRecord, batches_of
from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.transactions.transaction import NO_PRODUCER_ID, Transaction


@dataclass(frozen=True, slots=True)
class Settings:
    """The configs that transactions go by. Times in milliseconds."""

    timeout_ms_max: int = 900_000
    id_expiration_ms: int = 604_800_000


@dataclass(frozen=True, slots=True)
class Decision:
    """Records to write, one for each transaction that changes, and what follows.

    `after` are the transactions as they will be; None for one that is gone. They do not depend on each other. With
    `waits_for_commit` the answers leave when everything this shard has written so far is committed.
    """

    records: Sequence[LogRecord] = ()
    answers: Sequence[Answer] = ()
    after: Sequence[tuple[str, Transaction | None]] = ()
    waits_for_commit: bool = True

    def pieces(self, batch_bytes_max: int) -> Sequence[Decision]:
        """Return the decisions to carry out one after the other until one fails; the answers come with the last."""
        if len(self.records) <= 1:
            return (self,)
        after = iter(self.after)
        batches = batches_of(self.records, batch_bytes_max)
        pieces = [Decision(records, after=tuple(islice(after, len(records)))) for records in batches]
        pieces[-1] = replace(pieces[-1], answers=self.answers, waits_for_commit=self.waits_for_commit)
        return pieces


@dataclass(frozen=True, slots=True)
class InitRequest:
    """InitProducerId. `producer_id` and `epoch` are those of a producer that wants its epoch raised (KIP-360), or -1.

    `spare_producer_id` is an id that nobody has, for the case that one is needed.
    """

    transactional_id: str
    timeout_ms: int
    producer_id: int = NO_PRODUCER_ID
    epoch: int = NO_EPOCH
    spare_producer_id: int = NO_PRODUCER_ID


@dataclass(frozen=True, slots=True)
class AddRequest:
    """AddPartitionsToTxn or AddOffsetsToTxn. `client_version` as in `EndRequest`."""

    transactional_id: str
    producer_id: int
    epoch: int
    partitions: Sequence[TopicPartition]
    client_version: int = 0


@dataclass(frozen=True, slots=True)
class EndRequest:
    """EndTxn. `client_version` is 2 for a producer that changes its epoch with every transaction (KIP-890), else 0."""

    transactional_id: str
    producer_id: int
    epoch: int
    is_commit: bool
    client_version: int = 0
    spare_producer_id: int = NO_PRODUCER_ID


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a transaction: an error, or the transaction as it is from now on.

    When it is the very one from before, nothing has to be written. `producer_id` and `epoch` are what its producer is
    told to be from now on.
    """

    error: ErrorCode = ErrorCode.NONE
    transaction: Transaction | None = None
    producer_id: int = NO_PRODUCER_ID
    epoch: int = NO_EPOCH


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to InitProducerId and EndTxn. `ending`: its markers are to be written now."""

    error: ErrorCode
    producer_id: int = NO_PRODUCER_ID
    epoch: int = NO_EPOCH
    ending: Transaction | None = None
