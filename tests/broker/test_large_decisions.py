"""What is forgotten at once may be more than one batch holds; it is forgotten all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from lone_broker import EPOCH_MS, LoneBroker, on_broker
from test_transaction_apis import PROPERTIES, Transactor

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.groups import CommitOffset, MemberIdentity
from cluster.transactions import InitRequest

COUNT = 100
TIGHT = {**PROPERTIES, "message.max.bytes": "1200"}
NOBODY = MemberIdentity("")


async def commit_many(broker: LoneBroker, topic: str) -> None:
    """Let group `g` commit offsets of many partitions, each in a batch of its own."""
    for number in range(COUNT):
        commits = {TopicPartition(topic, number): CommitOffset(7, commit_timestamp_ms=EPOCH_MS)}
        answer = await broker.context.groups.ask(
            "g", lambda shard, token, now, commits=commits: shard.commit(token, "g", NOBODY, commits, now)
        )
        assert set(answer.values()) == {ErrorCode.NONE}


def committed(broker: LoneBroker) -> Any:
    return broker.context.groups.look_up("g", lambda shard: shard.fetch(0, "g", None)).answers[0].reply


def with_many_offsets(test: Any, **properties: str) -> None:
    async def run(broker: LoneBroker) -> None:
        await Transactor(broker).prepare()
        await commit_many(broker, "orders")
        assert len(committed(broker)) == COUNT
        await test(broker)
        assert not committed(broker)

    on_broker(run, TIGHT | properties)


def test_a_group_is_deleted_with_more_offsets_than_a_batch_holds() -> None:
    async def test(broker: LoneBroker) -> None:
        answer = await broker.context.groups.ask("g", lambda shard, token, now: shard.delete(token, "g"))
        assert answer is ErrorCode.NONE
        assert not broker.context.groups.look_up("g", lambda shard: shard.listed())

    with_many_offsets(test)


def test_more_offsets_of_a_deleted_topic_than_a_batch_holds_are_forgotten() -> None:
    async def test(broker: LoneBroker) -> None:
        broker.context.groups.tell_all(lambda shard: shard.forget_topics(["orders"]))

    with_many_offsets(test)


def test_more_offsets_expire_than_a_batch_holds() -> None:
    async def test(broker: LoneBroker) -> None:
        await asyncio.sleep(8 * 60)
        assert not broker.context.groups.look_up("g", lambda shard: shard.listed())

    expiry = {"offsets.retention.minutes": "5", "offsets.retention.check.interval.ms": "60000"}
    with_many_offsets(test, **expiry)


def test_more_transactional_ids_expire_than_a_batch_holds() -> None:
    async def run(broker: LoneBroker) -> None:
        await Transactor(broker).prepare()
        transactions = broker.context.transactions
        for number in range(COUNT):
            request = InitRequest(f"{number}".rjust(50, "t"), 60_000, spare_producer_id=1000 + number)
            await transactions.decide(
                request.transactional_id,
                lambda shard, token, now, request=request: shard.initialise(token, request, now),
            )
        await asyncio.sleep(150)
        assert not [each for shard in transactions.shards() for each in shard.listed()]

    expiry = {
        "transactional.id.expiration.ms": "60000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "100000",
    }
    on_broker(run, TIGHT | expiry)
