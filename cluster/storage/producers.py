"""What a log remembers of producers: a retry is not written twice, and open transactions are known (KIP-98).

Here: the last batches of every producer and the rules for the next one (Kafka's ProducerStateManager,
ProducerAppendInfo and ProducerStateEntry), and where its transaction begins. Not here: the snapshot file (`snapshots`),
aborted transactions (`transaction_index`), and who decides how a transaction ends (`cluster.transactions`).

A producer numbers its records. Its next batch must continue where its last one ended. A batch equal to one of
the last five is a retry whose answer was lost: it is answered with the offsets of the original. Anything else
means that records went missing in between, and is refused. A producer that the log does not know, because its
records were deleted or its state expired, may start with any number.

A transaction is **open** from its first record here to its marker, and **unsettled** until the marker is committed:
before, a marker may still be truncated. Readers of committed records stop where the first such transaction begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH, NO_OFFSET
from cluster.base.limits import PRODUCER_BATCHES_REMEMBERED
from cluster.records import BatchHeader, EndMarker
from cluster.records.header import SEQUENCE_MAX, TRANSACTIONAL_FLAG
from cluster.storage.transaction_index import AbortedTransaction

NO_SEQUENCE = -1


class BatchSequence(NamedTuple):
    """One appended batch of a producer: its sequence numbers and where it lies. Ends are inclusive."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp: int


class ProducerState:
    """One producer in one log: its epoch and its last five batches, oldest first.

    `transaction_start` is the offset of the first record of its open transaction, -1 without one; `coordinator_epoch`
    the epoch of whoever wrote its last marker.
    """

    __slots__ = ("batches", "coordinator_epoch", "epoch", "last_timestamp", "transaction_start")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: list[BatchSequence] = []
        self.last_timestamp = -1
        self.coordinator_epoch = NO_EPOCH
        self.transaction_start = NO_OFFSET

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest record, -1 when the epoch has written nothing yet."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE


class ProducerStates:
    """The producers of one log, by producer id."""

    def __init__(self) -> None:
        self._states: dict[int, ProducerState] = {}
        self._open: dict[int, int] = {}  # producer ids by the first offset of their transaction, in its order
        self._unsettled: list[tuple[int, int]] = []  # first offset and marker, in the order of the markers
        self._expected: dict[int, object] = {}  # producers whose coordinator is being asked, see `expect`
        self._admitted: dict[int, None] = {}  # producers that may begin a transaction here
        self._expected_before: dict[int, object] = {}  # questions that `expire` has seen

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
        OUT_OF_ORDER_SEQUENCE_NUMBER when it does not continue where the last batch ended, INVALID_TXN_STATE when it
        has a transaction open and this batch is no part of it, or when the batch would begin a transaction of which
        its coordinator has not been asked (`admit`). A coordinator's batch has no sequence number.
        """
        state = self._states.get(header.producer_id)
        if header.is_transactional and header.producer_id not in self._admitted:
            self._refuse_unknown(header, state)
        if state is None:
            return None
        epoch, first_sequence = header.producer_epoch, header.base_sequence
        if epoch < state.epoch:
            _refuse_epoch(header.producer_id, epoch, state)
        if state.transaction_start >= 0 and not header.is_transactional:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE,
                f"producer {header.producer_id} has a transaction open since offset {state.transaction_start}",
            )
        if first_sequence == NO_SEQUENCE:
            return None
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
        if header[5] & TRANSACTIONAL_FLAG and state.transaction_start < 0:
            state.transaction_start = header[0]
            self._forget_question(header[9])
            self._open[header[0]] = header[9]
        if header[11] == NO_SEQUENCE:
            return
        offsets = (header.base_offset, header.last_offset, header.max_timestamp)
        state.batches.append(BatchSequence(header.base_sequence, header.last_sequence, *offsets))
        if len(state.batches) > PRODUCER_BATCHES_REMEMBERED:
            del state.batches[0]

    def restore(self, producer_id: int, state: ProducerState) -> None:
        """Take over a producer from a snapshot."""
        assert state.epoch > NO_EPOCH
        self._states[producer_id] = state
        if state.transaction_start >= 0:
            self._open[state.transaction_start] = producer_id
            self._open = dict(sorted(self._open.items()))

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forget producers whose newest record is `expiration_ms` old or older (producer.id.expiration.ms)."""
        oldest = now_ms - expiration_ms
        self._states = {
            id_: state
            for id_, state in self._states.items()
            if state.last_timestamp > oldest or state.transaction_start >= 0
        }
        self._expire_questions()

    def _expire_questions(self) -> None:
        """Forget questions that were there the last time and led to nothing: whoever comes again asks again."""
        for producer_id, token in self._expected_before.items():
            if self._expected.get(producer_id) is token:
                self._forget_question(producer_id)
        self._expected_before = dict(self._expected)

    # --- transactions -----------------------------------------------------------------------------

    @property
    def all_settled(self) -> bool:
        """Whether no transaction is open or waits for its marker to be committed."""
        return not self._open and not self._unsettled

    def stable_offset(self, high_watermark: int) -> int:
        """Return the last stable offset under a high watermark: below it, the end of every transaction is committed."""
        self.settle(high_watermark)
        starts = [high_watermark, *(first for first, _ in self._unsettled)]
        starts.append(next(iter(self._open), high_watermark))
        return min(starts)

    def settle(self, high_watermark: int) -> None:
        """Take note that markers below the high watermark stay."""
        unsettled = self._unsettled
        while unsettled and unsettled[0][1] < high_watermark:
            del unsettled[0]

    def has_open(self, producer_id: int, epoch: int) -> bool:
        """Whether a producer has a transaction open under an epoch: it need not be asked for again."""
        state = self._states.get(producer_id)
        return state is not None and state.transaction_start >= 0 and state.epoch == epoch

    def check_marker(self, marker: EndMarker, is_strict: bool) -> None:
        """Judge a marker. Raises KafkaError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.

        `is_strict`: the marker's epoch is newer than that of the transaction it ends (KIP-890), so that one that comes
        late cannot end the next one.
        """
        state = self._states.get(marker.producer_id)
        if state is None:
            return
        is_late = is_strict and marker.producer_epoch == state.epoch and state.transaction_start >= 0
        if marker.producer_epoch < state.epoch or is_late:
            _refuse_epoch(marker.producer_id, marker.producer_epoch, state)
        if marker.coordinator_epoch < state.coordinator_epoch:
            raise KafkaError(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"a coordinator of epoch {marker.coordinator_epoch} writes after one of {state.coordinator_epoch}",
            )

    def end(self, header: BatchHeader, marker: EndMarker) -> AbortedTransaction | None:
        """Take note of a marker that is in the log now; return the transaction that it aborts, when there is one."""
        self.update(header)
        state = self._states[marker.producer_id]
        state.coordinator_epoch = max(state.coordinator_epoch, marker.coordinator_epoch)
        self._forget_question(marker.producer_id)
        first_offset, state.transaction_start = state.transaction_start, NO_OFFSET
        if first_offset < 0:
            return None
        del self._open[first_offset]
        self._unsettled.append((first_offset, header.base_offset))
        if marker.is_commit:
            return None
        stable = next(iter(self._open), header.next_offset)
        return AbortedTransaction(marker.producer_id, first_offset, header.base_offset, stable)

    def expect(self, producer_id: int) -> object:
        """Begin to ask whether a producer has a transaction open; return what `admit` wants to see then.

        A marker that comes in between ends what was asked about: what is appended after it would hang (KIP-890).
        """
        return self._expected.setdefault(producer_id, object())

    def admit(self, producer_id: int, token: object) -> bool:
        """Let a producer begin a transaction; False when a marker has come since `expect` returned this token."""
        if self._expected.get(producer_id) is not token:
            return False
        self._admitted[producer_id] = None
        return True

    def _forget_question(self, producer_id: int) -> None:
        self._expected.pop(producer_id, None)
        self._admitted.pop(producer_id, None)

    def _refuse_unknown(self, header: BatchHeader, state: ProducerState | None) -> None:
        if state is None or state.transaction_start < 0:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE, f"producer {header.producer_id} has no transaction that is known here"
            )


def _refuse_epoch(producer_id: int, epoch: int, state: ProducerState) -> None:
    raise KafkaError(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"producer {producer_id} has epoch {epoch}, but epoch {state.epoch} has written already",
    )


def _refuse_sequence(header: BatchHeader, reason: str) -> None:
    raise KafkaError(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        f"producer {header.producer_id} sent a batch with sequence {header.base_sequence}: {reason}",
    )
