"""What a share coordinator keeps, whom it refuses, and in which bytes: those of Kafka's own serialisers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from cluster.base.answers import LogRecord
from cluster.base.errors import ErrorCode
from cluster.sharing import RecordState, ShareDecision, SharePartitionKey, ShareShard, ShareState, StateBatch
from cluster.sharing.record_codec import StateKey, read_key, read_snapshot, read_update, write_key, write_snapshot
from cluster.wire import INT16, INT32, INT64, MalformedMessage

TOPIC = UUID("11223344-5566-7788-99aa-bbccddeeff00")
KEY = SharePartitionKey("g", TOPIC, 4)
STATE = ShareState(1, 2, 100, (StateBatch(100, 109, RecordState.AVAILABLE, 1),), 3)

# Written by the serialisers of Kafka 4.0 (kafka-share-coordinator), from the same facts.
KAFKA_KEY = bytes.fromhex("0000000167112233445566778899aabbccddeeff0000000004")
KAFKA_SNAPSHOT = bytes.fromhex("0000000300000001000000020000000000000064020000000000000064000000000000006d0000010000")


class Log:
    """A shard, and what it wrote."""

    def __init__(self) -> None:
        self.shard = ShareShard()
        self.records: list[LogRecord] = []

    def take(self, decision: ShareDecision) -> Any:
        self.records += decision.records
        self.shard.accept(decision)
        (answer,) = decision.answers
        return answer.reply

    def moved(self) -> Log:
        successor = Log()
        successor.records = list(self.records)
        for key, value in self.records:
            successor.shard.replay(key, value)
        return successor

    def read(self, leader_epoch: int = -1, start_offset: int = -1) -> Any:
        return self.take(self.shard.read(0, KEY, leader_epoch, start_offset))

    def write(self, state: ShareState) -> Any:
        return self.take(self.shard.write(0, KEY, state))


def test_records_are_byte_for_byte_as_kafka_writes_them() -> None:
    assert write_key(KEY) == KAFKA_KEY and read_key(KAFKA_KEY) == StateKey(KEY)
    assert write_snapshot(STATE) == KAFKA_SNAPSHOT and read_snapshot(KAFKA_SNAPSHOT) == STATE
    assert KEY.text == "g:ESIzRFVmd4iZqrvM3e7_AA:4", "as Kafka's Uuid is written"


def test_a_change_that_another_coordinator_wrote_is_read() -> None:
    batch = INT64.pack(100) + INT64.pack(100) + b"\2" + INT16.pack(1) + b"\0"
    update = INT16.pack(0) + b"\0\5" + INT32.pack(7) + INT64.pack(-1) + b"\2" + batch + b"\0"
    after = read_update(update, STATE)
    assert (after.leader_epoch, after.start_offset) == (7, 100)
    assert after.batches[0] == StateBatch(100, 100, RecordState.ACKNOWLEDGED, 1)
    assert after.batches[1].state is RecordState.AVAILABLE


@pytest.mark.parametrize("broken", [b"", KAFKA_SNAPSHOT[:-4], b"\0\7" + KAFKA_SNAPSHOT[2:], KAFKA_KEY])
def test_a_broken_value_is_said(broken: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ShareShard().replay(KAFKA_KEY, broken)


def test_what_is_written_is_read_by_the_next_coordinator() -> None:
    log = Log()
    assert log.read(0) == ShareState(), "the group has read nothing yet"
    assert log.read(-1, 5) == ShareState(), "whoever merely looks lets nobody begin"
    assert log.read(0, 5).start_offset == 5
    assert log.read(0, 9).start_offset == 5, "it has begun"
    log.write(ShareState(0, 0, 7, (StateBatch(8, 9, RecordState.ACKNOWLEDGED, 1),)))
    found = log.moved().read()
    assert (found.start_offset, found.batches) == (7, (StateBatch(8, 9, RecordState.ACKNOWLEDGED, 1),))
    assert read_key(b"\0\7whatever") is None


def test_an_earlier_leader_can_neither_read_nor_write() -> None:
    log = Log()
    log.read(3, 5)
    assert log.read(4).leader_epoch == 4
    assert log.read(3) is ErrorCode.FENCED_LEADER_EPOCH
    assert log.write(ShareState(0, 3, 9)) is ErrorCode.FENCED_LEADER_EPOCH
    assert log.moved().read().start_offset == 5
    assert log.read().leader_epoch == 4, "whoever merely looks fences nobody"


def test_a_leader_that_missed_a_reset_cannot_undo_it() -> None:
    log = Log()
    log.read(0, 5)
    log.take(log.shard.begin(0, KEY, 2))
    assert log.write(ShareState(0, 0, 9)) is ErrorCode.FENCED_STATE_EPOCH
    assert (log.read().start_offset, log.read().state_epoch) == (2, 1)


def test_what_is_deleted_is_gone() -> None:
    log = Log()
    assert log.take(log.shard.delete(0, KEY)) is ErrorCode.NONE and not log.records
    log.read(0, 5)
    assert log.take(log.shard.delete(0, KEY)) is ErrorCode.NONE
    assert log.write(ShareState(0, 0, 9)) is ErrorCode.FENCED_STATE_EPOCH, "its leader does not know yet"
    assert log.moved().read() == ShareState()
