"""A shard's clock goes on ticking whatever becomes of one tick."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lone_broker import EPOCH_MS, LoneBroker, on_broker
from test_transaction_apis import PROPERTIES, Transactor

from cluster.base.ids import TopicPartition
from cluster.groups import CommitOffset, GroupShard, MemberIdentity

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
