"""A shard lives on, or is known to be dead, whatever fails in it: a tick, a look at its transactions, its loading."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from lone_broker import EPOCH_MS, LoneBroker, on_broker
from test_transaction_apis import INIT_PRODUCER_ID, PROPERTIES, Transactor, name_of

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.base.limits import STRING_BYTES_MAX
from cluster.groups import CommitOffset, GroupShard, MemberIdentity
from cluster.transactions import TransactionShard

EXPIRY = {**PROPERTIES, "offsets.retention.minutes": "5", "offsets.retention.check.interval.ms": "330000"}


def test_time_goes_on_for_a_shard_that_failed_once_when_it_was_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tell = GroupShard.time_passed
    failures = [ZeroDivisionError()]

    def fail_once(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return tell(*given)

    async def run(broker: LoneBroker) -> None:
        await Transactor(broker).prepare()
        commits = {TopicPartition("orders", 0): CommitOffset(7, commit_timestamp_ms=EPOCH_MS)}
        await broker.context.groups.ask(
            "g", lambda shard, token, now: shard.commit(token, "g", MemberIdentity(""), commits, now)
        )
        monkeypatch.setattr(GroupShard, "time_passed", fail_once)
        await asyncio.sleep(340)
        assert not failures
        assert not broker.context.groups.look_up("g", lambda shard: shard.listed())
        assert [type(problem["exception"]) for problem in broker.loop.problems] == [ZeroDivisionError]

    on_broker(run, EXPIRY, may_fail=True)


def test_transactions_are_looked_after_though_a_look_or_one_of_them_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    look, fence = TransactionShard.timed_out, TransactionShard.fence
    failures = [ZeroDivisionError()]

    def fail_once(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return ["a bad one", *look(*given)]

    def fail_at_the_bad_one(shard: TransactionShard, token: int, transactional_id: str, *given: Any) -> Any:
        if transactional_id == "a bad one":
            raise LookupError
        return fence(shard, token, transactional_id, *given)

    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare(timeout_s=1.0)
        assert await producer.add() == "NONE"
        monkeypatch.setattr(TransactionShard, "timed_out", fail_once)
        monkeypatch.setattr(TransactionShard, "fence", fail_at_the_bad_one)
        await asyncio.sleep(2)
        known = broker.context.transactions.look_up("t", lambda shard: shard.get("t"))
        assert known is not None and known.state.value == "CompleteAbort"
        found = {type(problem["exception"]) for problem in broker.loop.problems}
        assert found == {ZeroDivisionError, LookupError}, "a bug is told"

    on_broker(run, PROPERTIES, may_fail=True)


def test_who_asks_a_shard_that_a_bug_kept_from_loading_looks_for_another_coordinator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    async def run(broker: LoneBroker) -> None:
        await Transactor(broker).prepare()
        monkeypatch.setattr(TransactionShard, "replay", fail)
        number = broker.context.transactions.topic.partition_for("t", broker.image)
        assert number is not None
        broker.change_partition("__transaction_state", number, leader=-1, leader_epoch=1)
        broker.change_partition("__transaction_state", number, leader=1, leader_epoch=2)
        await asyncio.sleep(0.1)
        with pytest.raises(KafkaError) as refused:
            broker.context.transactions.look_up("t", lambda shard: shard.get("t"))
        assert refused.value.code is ErrorCode.NOT_COORDINATOR, "loading would never end"
        assert [type(problem["exception"]) for problem in broker.loop.problems] == [ZeroDivisionError]

    on_broker(run, PROPERTIES, may_fail=True)


def test_an_id_that_no_record_can_hold_never_reaches_a_shard() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        fields = {"transactional_id": "t" * (STRING_BYTES_MAX + 1), "transaction_timeout": timedelta(minutes=1)}
        with pytest.raises(AssertionError, match="closed"):
            await broker.client().ask(INIT_PRODUCER_ID, 4, {**fields, "producer_id": -1, "producer_epoch": -1})
        fields["transactional_id"] = "t" * STRING_BYTES_MAX
        producer.client.send(INIT_PRODUCER_ID, 4, {**fields, "producer_id": -1, "producer_epoch": -1})
        assert name_of((await producer.client.reply()).error_code) == "NONE"

    on_broker(run, PROPERTIES)
