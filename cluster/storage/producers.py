"""What a log remembers of idempotent producers, so that a retry is not written twice (KIP-98).

Here: the last batches of every producer and the rules for the next one (Kafka's ProducerStateManager,
ProducerAppendInfo and ProducerStateEntry). Not here: the snapshot file (`snapshots`), transactions.

A producer numbers its records. Its next batch must continue where its last one ended. A batch equal to one of
the last five is a retry whose answer was lost: it is answered with the offsets of the original. Anything else
means that records went missing in between, and is refused. A producer that the log does not know, because its
records were deleted or its state expired, may start with any number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH
from cluster.base.limits import PRODUCER_BATCHES_REMEMBERED
from cluster.records import BatchHeader
from cluster.records.header import SEQUENCE_MAX

NO_SEQUENCE = -1


class BatchSequence(NamedTuple):
    """One appended batch of a producer: its sequence numbers and where it lies. Ends are inclusive."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp: int


class ProducerState:
    """One producer in one log: its epoch and its last five batches, oldest first."""

    __slots__ = ("batches", "epoch", "last_timestamp")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: list[BatchSequence] = []
        self.last_timestamp = -1

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest record, -1 when the epoch has written nothing yet."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE


class ProducerStates:
    """The producers of one log, by producer id."""

    def __init__(self) -> None:
        self._states: dict[int, ProducerState] = {}

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[tuple[int, ProducerState]]:
        """Yield producer ids and their states, by id."""
        return iter(sorted(self._states.items()))

    def get(self, producer_id: int) -> ProducerState | None:
        """Return what is known of a producer."""
        return self._states.get(producer_id)

    def check(self, header: BatchHeader) -> BatchSequence | None:
        """Judge a producer's next batch: None when it is to be appended, the original when it is a retry of one.

        Raises KafkaError: INVALID_PRODUCER_EPOCH when a newer incarnation of the producer has written,
        OUT_OF_ORDER_SEQUENCE_NUMBER when it does not continue where the last batch ended.
        """
        state = self._states.get(header.producer_id)
        if state is None:
            return None
        epoch, first_sequence = header.producer_epoch, header.base_sequence
        if epoch < state.epoch:
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {header.producer_id} has epoch {epoch}, but epoch {state.epoch} has written already",
            )
        if epoch > state.epoch:
            if first_sequence != 0:
                _refuse_sequence(header, f"a new epoch ({epoch} after {state.epoch}) starts with sequence 0")
            return None
        last_sequence = header.last_sequence
        for batch in state.batches:
            if batch.first_sequence == first_sequence and batch.last_sequence == last_sequence:
                return batch
        expected = (state.last_sequence + 1) & SEQUENCE_MAX
        if first_sequence != expected:
            _refuse_sequence(header, f"expected {expected}")
        return None

    def update(self, header: BatchHeader) -> None:
        """Remember a batch that is in the log now; the header has a producer id and its final offsets."""
        state = self._states.get(header.producer_id)
        if state is None:
            state = self._states[header.producer_id] = ProducerState(header.producer_epoch)
        elif header.producer_epoch > state.epoch:
            state.epoch = header.producer_epoch
            state.batches = []
        state.last_timestamp = header.max_timestamp
        if header.is_control or header.producer_epoch < state.epoch:
            return
        offsets = (header.base_offset, header.last_offset, header.max_timestamp)
        state.batches.append(BatchSequence(header.base_sequence, header.last_sequence, *offsets))
        if len(state.batches) > PRODUCER_BATCHES_REMEMBERED:
            del state.batches[0]

    def restore(self, producer_id: int, state: ProducerState) -> None:
        """Take over a producer from a snapshot."""
        assert state.epoch > NO_EPOCH
        self._states[producer_id] = state

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forget producers whose newest record is `expiration_ms` old or older (producer.id.expiration.ms)."""
        oldest = now_ms - expiration_ms
        self._states = {id_: state for id_, state in self._states.items() if state.last_timestamp > oldest}

    def clear(self) -> None:
        """Forget everybody."""
        self._states.clear()


def _refuse_sequence(header: BatchHeader, reason: str) -> None:
    raise KafkaError(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        f"producer {header.producer_id} sent a batch with sequence {header.base_sequence}: {reason}",
    )
