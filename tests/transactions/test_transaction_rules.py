"""What a transactional id may be asked, state by state: who is fenced, who is told to ask again, which epoch is given.

The tables are Kafka's (`TransactionCoordinator`, `TransactionMetadata`), for producers of both kinds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.base.answers import LogRecord
from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.base.moments import Moment
from cluster.base.ports import SilentTracer
from cluster.transactions import (
    TRANSITIONS,
    AddRequest,
    Decision,
    EndRequest,
    InitRequest,
    Reply,
    Settings,
    Transaction,
    TransactionEvent,
    TransactionShard,
    TransactionState,
    next_state,
    read_transaction,
    write_transaction,
)

PARTITION = TopicPartition("orders", 0)
STATES = TransactionState
LAST_EPOCH = 2**15 - 2


class Coordinator:
    """A shard whose decisions are written at once, and the clock."""

    def __init__(self) -> None:
        self.shard = TransactionShard(Settings(id_expiration_ms=10_000), SilentTracer())
        self.now_ms = 1_000_000
        self.log: list[LogRecord] = []

    @property
    def now(self) -> Moment:
        return Moment(self.now_ms, self.now_ms)

    def take(self, decision: Decision) -> Reply:
        self.log += decision.records
        self.shard.accept(decision)
        reply: Reply = decision.answers[0].reply
        return reply

    def init(self, producer: tuple[int, int] = (-1, -1), spare: int = 7, timeout_ms: int = 60_000) -> Reply:
        request = InitRequest("t", timeout_ms, *producer, spare)
        return self.take(self.shard.initialise(1, request, self.now))

    def add(self, producer: tuple[int, int], version: int = 0) -> Reply:
        return self.take(self.shard.add_partitions(1, AddRequest("t", *producer, [PARTITION], version), self.now))

    def end(self, producer: tuple[int, int], is_commit: bool, version: int = 0, spare: int = -1) -> Reply:
        return self.take(self.shard.end(1, EndRequest("t", *producer, is_commit, version, spare), self.now))

    def complete(self) -> None:
        self.take(self.shard.complete(1, self.state, self.now))

    @property
    def state(self) -> Transaction:
        found = self.shard.get("t")
        assert found is not None
        return found

    def put(self, **changes: object) -> None:
        changed = replace(self.state, **changes)  # type: ignore[arg-type]
        self.shard.accept(Decision(after=(("t", changed),)))


def begun(version: int = 0) -> Coordinator:
    """A producer with id 7 and epoch 0 that has begun a transaction."""
    coordinator = Coordinator()
    assert coordinator.init() == Reply(ErrorCode.NONE, 7, 0)
    assert coordinator.add((7, 0), version).error is ErrorCode.NONE
    return coordinator


def test_the_table_knows_every_state_and_nothing_leaves_the_dead() -> None:
    assert set(TRANSITIONS) == set(TransactionState)
    assert not TRANSITIONS[STATES.DEAD]
    with pytest.raises(AssertionError):
        next_state(STATES.PREPARE_COMMIT, TransactionEvent.ABORT)


@pytest.mark.parametrize("is_commit", [True, False])
@pytest.mark.parametrize("version", [0, 2])
def test_a_transaction_ends_as_its_producer_says(version: int, is_commit: bool) -> None:
    coordinator = begun(version)
    reply = coordinator.end((7, 0), is_commit, version)
    epoch = 1 if version == 2 else 0
    assert (reply.error, reply.producer_id, reply.epoch) == (ErrorCode.NONE, 7, epoch)
    assert reply.ending is not None and reply.ending.partitions == (PARTITION,)
    assert coordinator.state.state is (STATES.PREPARE_COMMIT if is_commit else STATES.PREPARE_ABORT)
    assert coordinator.add((7, epoch)).error is ErrorCode.CONCURRENT_TRANSACTIONS
    assert coordinator.init().error is ErrorCode.CONCURRENT_TRANSACTIONS
    coordinator.complete()
    assert coordinator.state.state is (STATES.COMPLETE_COMMIT if is_commit else STATES.COMPLETE_ABORT)
    assert coordinator.add((7, epoch), version).error is ErrorCode.NONE


@pytest.mark.parametrize("version", [0, 2])
def test_an_end_that_is_repeated_gets_the_same_answer(version: int) -> None:
    coordinator = begun(version)
    first = coordinator.end((7, 0), True, version)
    again = coordinator.end((7, 0), True, version)
    assert again == Reply(ErrorCode.CONCURRENT_TRANSACTIONS), "and no second set of markers"
    coordinator.complete()
    assert coordinator.end((7, 0), True, version) == Reply(ErrorCode.NONE, first.producer_id, first.epoch)
    assert coordinator.end((7, 0), False, version).error is ErrorCode.INVALID_TXN_STATE


def test_a_producer_that_comes_back_aborts_what_it_left_open_and_gets_its_own_epoch() -> None:
    coordinator = begun()
    first = coordinator.init()
    assert first.error is ErrorCode.CONCURRENT_TRANSACTIONS and first.ending is not None
    assert (coordinator.state.state, coordinator.state.epoch) == (STATES.PREPARE_ABORT, 1)
    coordinator.complete()
    assert coordinator.init() == Reply(ErrorCode.NONE, 7, 2)
    assert coordinator.add((7, 0)).error is ErrorCode.PRODUCER_FENCED, "the zombie"
    assert coordinator.end((7, 0), True).error is ErrorCode.PRODUCER_FENCED


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_shut_out() -> None:
    coordinator = begun(2)
    coordinator.now_ms += 60_000
    assert coordinator.shard.timed_out(coordinator.now_ms) == []
    coordinator.now_ms += 1
    assert coordinator.shard.timed_out(coordinator.now_ms) == ["t"]
    assert coordinator.take(coordinator.shard.fence(1, "t", coordinator.now)).ending is not None
    assert coordinator.state.epoch == 2, "one epoch for the fence, one for the end"
    assert coordinator.end((7, 0), True, 2).error is ErrorCode.PRODUCER_FENCED


@pytest.mark.parametrize(
    ("producer", "expected"),
    [
        ((7, 0), Reply(ErrorCode.NONE, 7, 1)),
        ((8, 0), Reply(ErrorCode.PRODUCER_FENCED)),
        ((7, 5), Reply(ErrorCode.PRODUCER_FENCED)),
    ],
)
def test_only_the_producer_itself_may_raise_its_epoch(producer: tuple[int, int], expected: Reply) -> None:
    coordinator = Coordinator()
    coordinator.init()
    assert coordinator.init(producer) == expected


def test_a_raised_epoch_whose_answer_was_lost_is_told_again() -> None:
    coordinator = Coordinator()
    coordinator.init()
    assert coordinator.init((7, 0)) == Reply(ErrorCode.NONE, 7, 1)
    assert coordinator.init((7, 0)) == Reply(ErrorCode.NONE, 7, 1)
    assert coordinator.init((7, 1)) == Reply(ErrorCode.NONE, 7, 2)
    assert coordinator.init((7, 0)).error is ErrorCode.PRODUCER_FENCED


def test_when_epochs_are_used_up_the_producer_gets_another_id() -> None:
    coordinator = Coordinator()
    coordinator.init()
    coordinator.put(epoch=LAST_EPOCH)
    assert coordinator.shard.needs_producer_id("t")
    assert coordinator.init(spare=-1).error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert coordinator.init(spare=9) == Reply(ErrorCode.NONE, 9, 0)
    assert coordinator.init((7, LAST_EPOCH), spare=10) == Reply(ErrorCode.PRODUCER_FENCED)


def test_an_end_with_the_last_epoch_brings_another_id_and_can_be_repeated() -> None:
    coordinator = Coordinator()
    coordinator.init()
    coordinator.put(epoch=LAST_EPOCH)
    coordinator.add((7, LAST_EPOCH), 2)
    reply = coordinator.end((7, LAST_EPOCH), True, 2, spare=9)
    assert (reply.error, reply.producer_id, reply.epoch) == (ErrorCode.NONE, 9, 0)
    assert reply.ending is not None and (reply.ending.producer_id, reply.ending.epoch) == (7, LAST_EPOCH + 1)
    coordinator.complete()
    assert coordinator.end((7, LAST_EPOCH), True, 2) == Reply(ErrorCode.NONE, 9, 0)
    assert coordinator.add((9, 0), 2).error is ErrorCode.NONE


def test_an_abort_without_a_partition_raises_the_epoch_of_new_producers_only() -> None:
    coordinator = Coordinator()
    coordinator.init()
    assert coordinator.end((7, 0), False, 0).error is ErrorCode.INVALID_TXN_STATE
    assert coordinator.end((7, 0), True, 2).error is ErrorCode.INVALID_TXN_STATE
    reply = coordinator.end((7, 0), False, 2)
    assert (reply.error, reply.epoch) == (ErrorCode.NONE, 1)


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001])
def test_a_timeout_out_of_range_is_refused(timeout_ms: int) -> None:
    assert Coordinator().init(timeout_ms=timeout_ms).error is ErrorCode.INVALID_TRANSACTION_TIMEOUT


def test_what_is_asked_about_partitions_changes_nothing() -> None:
    coordinator = begun()
    other = TopicPartition("orders", 1)

    def ask(producer: tuple[int, int]) -> dict[TopicPartition, ErrorCode]:
        decision = coordinator.shard.verify_partitions(1, AddRequest("t", *producer, [PARTITION, other]))
        assert not decision.records and not decision.after
        found: dict[TopicPartition, ErrorCode] = decision.answers[0].reply
        return found

    assert ask((7, 0)) == {PARTITION: ErrorCode.NONE, other: ErrorCode.TRANSACTION_ABORTABLE}
    assert set(ask((7, 1)).values()) == {ErrorCode.PRODUCER_FENCED}
    assert set(ask((8, 0)).values()) == {ErrorCode.INVALID_PRODUCER_ID_MAPPING}
    coordinator.end((7, 0), True)
    assert set(ask((7, 0)).values()) == {ErrorCode.CONCURRENT_TRANSACTIONS}
    coordinator.complete()
    assert set(ask((7, 0)).values()) == {ErrorCode.TRANSACTION_ABORTABLE}


def test_an_id_that_is_not_used_is_forgotten_but_not_in_the_middle_of_something() -> None:
    coordinator = begun()
    coordinator.now_ms += 10_001
    assert not coordinator.shard.expire(coordinator.now_ms).records
    coordinator.end((7, 0), True)
    coordinator.complete()
    coordinator.now_ms += 10_000
    decision = coordinator.shard.expire(coordinator.now_ms)
    assert [value for _, value in decision.records] == [None]
    coordinator.shard.accept(decision)
    assert coordinator.shard.get("t") is None


def test_the_log_alone_makes_the_same_state() -> None:
    coordinator = begun(2)
    coordinator.end((7, 0), True, 2)
    successor = TransactionShard(Settings(), SilentTracer())
    for key, value in coordinator.log:
        successor.replay(key, value)
    assert [replace(each, last_epoch=0) for each in successor.listed()] == [replace(coordinator.state, last_epoch=0)]
    decision = successor.ending(1)
    assert [each.transactional_id for each in decision.answers[0].reply] == ["t"]


@given(
    st.builds(
        Transaction,
        st.just("t"),
        st.integers(0, 2**62),
        st.integers(0, 2**15 - 1),
        st.just(-1),
        st.integers(-1, 2**62),
        st.integers(-1, 2**62),
        st.integers(0, 2**31 - 1),
        st.sampled_from(TransactionState),
        st.lists(st.builds(TopicPartition, st.sampled_from(["a", "b"]), st.integers(0, 50)), unique=True).map(
            lambda found: tuple(sorted(found))
        ),
        st.integers(-1, 2**50),
        st.integers(-1, 2**50),
        st.sampled_from([0, 2]),
    )
)
def test_a_transaction_survives_the_log(transaction: Transaction) -> None:
    assert read_transaction("t", write_transaction(transaction)) == transaction
