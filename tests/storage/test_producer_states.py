"""Idempotent producers: which batch is new, which is a retry, which is refused (Kafka's ProducerStateManagerTest)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import DIRECTORY, NOW_MS, SMALL_SEGMENTS, append, batch_of, configs, open_log, read_all, remembered
from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.records import build_batch, read_header
from cluster.storage import Appended, Log, ProducerStates
from cluster.storage.snapshots import read_snapshot, snapshot_path, write_snapshot

SEQUENCE_MAX = 2**31 - 1
PRODUCER = 17


def send(log: Log, sequence: int, count: int = 1, epoch: int = 0, now_ms: int = NOW_MS) -> Appended:
    return append(log, batch_of(count, producer=(PRODUCER, epoch, sequence)), now_ms=now_ms)


def refusal(log: Log, sequence: int, count: int = 1, epoch: int = 0) -> ErrorCode:
    end = log.log_end_offset
    with pytest.raises(KafkaError) as raised:
        send(log, sequence, count, epoch)
    assert log.log_end_offset == end
    return raised.value.code


def test_a_retry_is_answered_with_the_offsets_of_the_original() -> None:
    log = open_log(MemoryDisk())
    originals = [send(log, sequence, count=2) for sequence in range(0, 10, 2)]
    content = read_all(log)
    for sequence, original in zip(range(0, 10, 2), originals, strict=True):
        retry = send(log, sequence, count=2)
        assert retry.duplicate and not original.duplicate
        assert (retry.first_offset, retry.last_offset) == (original.first_offset, original.last_offset)
    assert read_all(log) == content


def test_only_the_last_five_batches_can_be_retried() -> None:
    log = open_log(MemoryDisk())
    for sequence in range(6):
        send(log, sequence)
    assert refusal(log, 0) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert send(log, 1).duplicate


def test_a_batch_must_continue_where_the_last_one_ended() -> None:
    log = open_log(MemoryDisk())
    send(log, 0, count=3)
    assert refusal(log, 4) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(log, 1, count=2) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, "a part of a batch is not that batch"
    assert refusal(log, 0, count=2) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert not send(log, 3).duplicate


def test_a_new_epoch_starts_at_zero_and_fences_the_old_one() -> None:
    log = open_log(MemoryDisk())
    send(log, 0, epoch=3)
    assert refusal(log, 1, epoch=4) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert send(log, 0, epoch=4).first_offset == 1
    assert refusal(log, 1, epoch=3) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert refusal(log, 0, epoch=3) is ErrorCode.INVALID_PRODUCER_EPOCH, "not even a retry"


def test_a_producer_that_the_log_does_not_know_may_start_anywhere() -> None:
    """Its records may have been deleted by retention (Kafka accepts it since KIP-360)."""
    assert send(open_log(MemoryDisk()), 1234).first_offset == 0


def test_sequences_wrap_round_to_zero() -> None:
    log = open_log(MemoryDisk())
    send(log, SEQUENCE_MAX - 1, count=2)
    assert not send(log, 0).duplicate
    assert send(log, SEQUENCE_MAX - 1, count=2).duplicate

    log = open_log(MemoryDisk())
    send(log, SEQUENCE_MAX - 1, count=4)
    state = log.producers.get(PRODUCER)
    assert state is not None and state.last_sequence == 1
    assert send(log, SEQUENCE_MAX - 1, count=4).duplicate
    assert refusal(log, 3) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert not send(log, 2).duplicate


def test_a_follower_remembers_what_the_leader_accepted() -> None:
    leader, follower = open_log(MemoryDisk()), open_log(MemoryDisk())
    for sequence in range(8):
        send(leader, sequence)
    follower.append_as_follower(read_all(leader), NOW_MS)
    assert remembered(follower.producers) == remembered(leader.producers)
    assert send(follower, 7).duplicate, "when it leads"


@pytest.mark.parametrize("is_clean", [False, True], ids=["killed", "closed"])
def test_producers_are_remembered_over_a_restart(is_clean: bool) -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    for sequence in range(30):
        send(log, sequence)
    if is_clean:
        log.close()
    again = open_log(disk)
    assert remembered(again.producers) == remembered(log.producers)
    assert [send(again, sequence).duplicate for sequence in range(25, 31)] == [True] * 5 + [False]


def test_a_snapshot_spares_reading_the_history() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    for sequence in range(100):
        send(log, sequence)
    roll = log.segments[-1].base_offset
    snapshot = read_snapshot(disk, DIRECTORY, roll)
    assert snapshot is not None and snapshot.get(PRODUCER) is not None
    # Only what a snapshot can know: this producer has written nothing that is still in the log.
    write_snapshot(disk, DIRECTORY, roll, _one_producer(99))
    assert [producer_id for producer_id, _ in open_log(disk).producers] == [PRODUCER, 99]


def _one_producer(producer_id: int) -> ProducerStates:
    states = ProducerStates()
    states.update(read_header(batch_of(1, producer=(producer_id, 0, 0))))
    return states


@given(cut=st.integers(0, 200), flip=st.integers(0, 200))
@settings(deadline=None)
def test_a_damaged_snapshot_is_not_believed(cut: int, flip: int) -> None:
    disk = MemoryDisk()
    write_snapshot(disk, DIRECTORY, 5, _one_producer(3))
    content = disk.files[snapshot_path(DIRECTORY, 5)]
    assert remembered(read_snapshot(disk, DIRECTORY, 5) or ProducerStates()) == remembered(_one_producer(3))
    if cut < len(content):
        del content[cut:]
    else:
        content[flip % len(content)] ^= 1
    assert read_snapshot(disk, DIRECTORY, 5) is None


def test_idle_producers_are_forgotten() -> None:
    disk = MemoryDisk()
    given_configs = Configs({**SMALL_SEGMENTS.values, "producer.id.expiration.ms": "5000"})
    log = open_log(disk, given_configs)
    send(log, 0)
    assert len(open_log(disk, given_configs, NOW_MS + 4999).producers) == 1
    assert len(open_log(disk, given_configs, NOW_MS + 5000).producers) == 0
    append(log, batch_of(1), now_ms=NOW_MS + 599_999)
    assert len(log.producers) == 1, "looked after every ten minutes"
    append(log, batch_of(1), now_ms=NOW_MS + 600_000)
    assert len(log.producers) == 0


def test_a_transaction_marker_raises_the_epoch_and_has_no_sequence() -> None:
    log = open_log(MemoryDisk(), configs())
    send(log, 0, epoch=1)
    marker = build_batch(
        [(b"\0\0\0\1", b"\0\0\0\0\0\0", ())],
        base_offset=1,
        leader_epoch=0,
        timestamp_ms=NOW_MS,
        producer_id=PRODUCER,
        producer_epoch=2,
        transactional=True,
        control=True,
    )
    log.append_as_follower(marker, NOW_MS)
    state = log.producers.get(PRODUCER)
    assert state is not None and (state.epoch, state.last_sequence) == (2, -1)
    assert refusal(log, 1, epoch=1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert not send(log, 0, epoch=2).duplicate


@given(
    tries=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=30),
    start=st.sampled_from([0, SEQUENCE_MAX - 5]),
)
@settings(deadline=None, max_examples=50)
def test_a_producer_that_retries_writes_every_record_once(tries: list[tuple[int, bool]], start: int) -> None:
    """Whatever answers get lost: each batch is sent again until it is answered, and is in the log once."""
    log = open_log(MemoryDisk())
    sequence, records = start, 0
    for count, is_answered in tries:
        assert send(log, sequence, count).first_offset == records
        if not is_answered:
            assert send(log, sequence, count).first_offset == records
        sequence = (sequence + count) % (SEQUENCE_MAX + 1)
        records += count
    assert log.log_end_offset == records
