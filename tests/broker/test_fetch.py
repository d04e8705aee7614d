"""Fetch: what consumers may see, how much at once, and how long they wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import LoneBroker, alone, batch, on_broker, three_replicas, turns

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.records import read_records

FETCH = 1


def fetch(*wanted: Any, max_wait_ms: int = 500, min_bytes: int = 1, max_bytes: int = 1 << 20, **more: Any) -> Any:
    """The fields of a request; `wanted` are (topic, offset) or (topic, offset, fields of the partition)."""
    topics = []
    for topic, offset, *extra in wanted:
        part = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **(extra[0] if extra else {})}
        name = {"topic_id": topic} if isinstance(topic, UUID) else {"topic": topic}
        topics.append({**name, "partitions": [part]})
    wait = timedelta(milliseconds=max_wait_ms)
    return {"max_wait": wait, "min_bytes": min_bytes, "max_bytes": max_bytes, "topics": topics, **more}


def parts(reply: Any) -> list[Any]:
    return [part for topic in reply.responses for part in topic.partitions]


def part_of(reply: Any) -> Any:
    (part,) = parts(reply)
    return part


def values(part: Any) -> list[bytes | None]:
    return [record.value for record in read_records(memoryview(part.records or b""))]


def error_of(part: Any) -> str:
    return ErrorCode(part.error_code.value).name


def append(broker: LoneBroker, topic: str, *records: bytes) -> None:
    clock = broker.world.clock
    outcome = broker.partition(topic).append(
        memoryview(bytearray(batch(*records))), 1, clock.monotonic_ms(), clock.wall_ms()
    )
    assert outcome.error is ErrorCode.NONE


@pytest.mark.parametrize("version", range(4, 19))
def test_what_was_produced_is_fetched_in_every_version(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = broker.add_topic("orders")
        append(broker, "orders", b"a", b"b")
        append(broker, "orders", b"c")
        reply = await broker.client().ask(FETCH, version, fetch((topic_id if version >= 13 else "orders", 0)))
        part = part_of(reply)
        assert values(part) == [b"a", b"b", b"c"]
        assert (part.high_watermark, part.last_stable_offset, error_of(part)) == (3, 3, "NONE")

    on_broker(run)


def test_a_fetch_at_the_end_waits_for_the_next_record() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        client.send(FETCH, 12, fetch(("orders", 0), max_wait_ms=5000))
        before = broker.loop.time()
        broker.loop.call_later(0.3, append, broker, "orders", b"a")
        reply = await client.reply()
        assert values(part_of(reply)) == [b"a"]
        assert broker.loop.time() - before < 0.35
        assert len(broker.context.deadlines) == 0
        assert broker.replicas.watches._by_partition == {}, "nobody listens any more"

    on_broker(run)


def test_a_fetch_that_finds_nothing_is_answered_when_its_time_is_up() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        before = broker.loop.time()
        reply = await broker.client().ask(FETCH, 12, fetch(("orders", 0), max_wait_ms=400))
        assert values(part_of(reply)) == []
        assert 0.39 <= broker.loop.time() - before <= 0.45

    on_broker(run)


def test_a_fetch_waits_until_there_are_as_many_bytes_as_it_wants() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        client.send(FETCH, 12, fetch(("orders", 0), max_wait_ms=5000, min_bytes=200))
        read_bytes = broker.disk.read_bytes
        append(broker, "orders", b"a")
        await turns()
        assert client.replies() == []
        assert broker.disk.read_bytes == read_bytes, "what cannot be enough was read"
        append(broker, "orders", b"b" * 150)
        assert len(values(part_of(await client.reply()))) == 2

    on_broker(run)


def test_a_consumer_sees_nothing_above_the_high_watermark() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        append(broker, "orders", b"a")
        for isolation_level in (0, 1):
            question = fetch(("orders", 0), max_wait_ms=0, isolation_level=isolation_level)
            part = part_of(await client.ask(FETCH, 12, question))
            assert (values(part), part.high_watermark, error_of(part)) == ([], 0, "NONE")
        client.send(FETCH, 12, fetch(("orders", 0), max_wait_ms=5000))
        await turns()
        broker.change_partition("orders", 0, isr=(NodeId(1),))
        assert values(part_of(await client.reply())) == [b"a"]

    on_broker(run)


def test_the_first_batch_comes_whatever_its_size_and_the_limits_hold_for_the_rest() -> None:
    async def run(broker: LoneBroker) -> None:
        for topic in ("a", "b"):
            broker.add_topic(topic)
            for _ in range(3):
                append(broker, topic, b"x" * 1000)
        client = broker.client()
        wanted = (("a", 0), ("b", 0))
        small = parts(await client.ask(FETCH, 12, fetch(*wanted, max_bytes=10)))
        assert [len(values(part)) for part in small] == [1, 0]
        some = parts(await client.ask(FETCH, 12, fetch(*wanted, max_bytes=2500)))
        assert [len(values(part)) for part in some] == [2, 0]
        limit = {"partition_max_bytes": 1100}
        each = parts(await client.ask(FETCH, 12, fetch(("a", 0, limit), ("b", 0, limit))))
        assert [len(values(part)) for part in each] == [1, 1]

    on_broker(run)


def test_errors_are_answered_at_once_each_for_its_partition() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("mine", alone(UUID(int=5), leader_epoch=3))
        broker.add_topic("theirs", three_replicas(UUID(int=6), leader=2, leader_epoch=4))
        wanted = (
            ("nothing", 0),
            ("theirs", 0),
            ("mine", 99),
            ("mine", 0, {"current_leader_epoch": 2}),
            ("mine", 0, {"current_leader_epoch": 9}),
        )
        before = broker.loop.time()
        reply = await broker.client().ask(FETCH, 12, fetch(*wanted, max_wait_ms=5000))
        assert broker.loop.time() - before < 0.1
        assert [error_of(part) for part in parts(reply)] == [
            "UNKNOWN_TOPIC_OR_PARTITION",
            "NOT_LEADER_OR_FOLLOWER",
            "OFFSET_OUT_OF_RANGE",
            "FENCED_LEADER_EPOCH",
            "UNKNOWN_LEADER_EPOCH",
        ]
        leaders = [(part.current_leader.leader_id, part.current_leader.leader_epoch) for part in parts(reply)]
        assert leaders == [(-1, -1), (2, 4), (-1, -1), (1, 3), (-1, -1)]
        reply = await broker.client().ask(FETCH, 16, fetch((UUID(int=6), 0), (UUID(int=8), 0)))
        assert [error_of(part) for part in parts(reply)] == ["NOT_LEADER_OR_FOLLOWER", "UNKNOWN_TOPIC_ID"]
        assert [(node.node_id, node.port) for node in reply.node_endpoints] == [(2, 9092)]

    on_broker(run)


def test_a_leader_that_is_deposed_answers_its_waiting_fetches() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        client.send(FETCH, 12, fetch(("orders", 0), max_wait_ms=5000))
        await turns()
        broker.change_partition("orders", 0, leader=NodeId(2), leader_epoch=1)
        assert error_of(part_of(await client.reply(100))) == "NOT_LEADER_OR_FOLLOWER"

    on_broker(run)


def test_a_log_that_diverged_says_where() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)))
        append(broker, "orders", b"a")
        broker.change_partition("orders", 0, leader_epoch=5)
        append(broker, "orders", b"b")
        question = fetch(("orders", 2, {"last_fetched_epoch": 0}), max_wait_ms=5000)
        part = part_of(await broker.client().ask(FETCH, 12, question))
        assert (part.diverging_epoch.epoch, part.diverging_epoch.end_offset) == (0, 1)
        assert values(part) == []

    on_broker(run)


def test_a_client_that_goes_while_it_waits_leaves_nothing_behind() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        client.send(FETCH, 12, fetch(("orders", 0), max_wait_ms=5000))
        append(broker, "orders", b"a")  # it moves in the very turn in which the client goes
        client.connection.connection_lost(None)
        await turns()
        assert len(broker.context.deadlines) == 0
        assert client.replies() == []

    on_broker(run)
