"""Produce: acknowledgements, errors, duplicates, time-outs, and the order of replies."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import LoneBroker, batch, on_broker, three_replicas, turns

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId

PRODUCE = 0


def produce(topic: Any, records: bytes | None, acks: int = -1, timeout_ms: int = 1000, partition: int = 0) -> Any:
    """The fields of a request for one partition, for any version."""
    name = {"topic_id": topic} if isinstance(topic, UUID) else {"name": topic}
    data = [{**name, "partition_data": [{"index": partition, "records": records}]}]
    return {"acks": acks, "timeout": timedelta(milliseconds=timeout_ms), "topic_data": data}


def result_of(reply: Any) -> Any:
    ((result,),) = [topic.partition_responses for topic in reply.responses]
    return result


def errors_of(replies: list[Any]) -> list[str]:
    return [ErrorCode(result_of(reply).error_code.value).name for reply in replies]


@pytest.mark.parametrize("acks", [1, -1])
@pytest.mark.parametrize("version", range(3, 14))
def test_what_is_produced_is_in_the_log_in_every_version(version: int, acks: int) -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = broker.add_topic("orders")
        client = broker.client()
        for expected in (0, 2):
            topic = topic_id if version >= 13 else "orders"
            reply = await client.ask(PRODUCE, version, produce(topic, batch(b"a", b"b"), acks))
            result = result_of(reply)
            assert (result.error_code.value, result.base_offset) == (0, expected)
        assert broker.partition("orders").log.log_end_offset == 4

    on_broker(run)


def test_acks_0_is_never_answered_and_the_next_reply_still_comes() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        client.send(PRODUCE, 7, produce("orders", batch(b"a"), 0))
        client.sent.pop()
        reply = await client.ask(PRODUCE, 7, produce("orders", batch(b"b"), 1))
        assert result_of(reply).base_offset == 1

    on_broker(run)


def test_an_error_under_acks_0_closes_the_connection() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        client.send(PRODUCE, 7, produce("nothing", batch(b"a"), 0))
        assert client.transport.is_closed

    on_broker(run)


def test_acks_all_waits_for_followers_and_holds_up_replies_but_not_requests() -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = UUID(int=9)
        broker.add_topic("orders", three_replicas(topic_id))
        client = broker.client()
        client.send(PRODUCE, 9, produce("orders", batch(b"a"), -1))
        client.send(PRODUCE, 9, produce("orders", batch(b"b"), 1))
        await turns()
        partition = broker.partition("orders")
        assert partition.log.log_end_offset == 2, "the second request was served"
        assert client.replies() == [], "its reply waits for the first one's"
        broker.change_partition("orders", 0, isr=(NodeId(1),))
        await turns()
        assert [result_of(reply).base_offset for reply in client.replies()] == [0, 1]

    on_broker(run)


def test_acks_all_that_is_not_committed_in_time_is_timed_out() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        before = broker.loop.time()
        reply = await client.ask(PRODUCE, 9, produce("orders", batch(b"a"), -1, timeout_ms=700))
        assert errors_of([reply]) == ["REQUEST_TIMED_OUT"]
        assert 0.69 <= broker.loop.time() - before <= 0.75
        assert len(broker.context.deadlines) == 0

    on_broker(run)


def test_too_few_replicas_are_refused_before_and_after_the_append() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        client.send(PRODUCE, 9, produce("orders", batch(b"a")))
        broker.change_partition("orders", 0, isr=(NodeId(1),))
        client.send(PRODUCE, 9, produce("orders", batch(b"b")))
        await turns()
        assert errors_of(client.replies()) == ["NOT_ENOUGH_REPLICAS_AFTER_APPEND", "NOT_ENOUGH_REPLICAS"]
        assert broker.partition("orders").log.log_end_offset == 1

    on_broker(run, {"min.insync.replicas": "2"})


def test_a_leader_that_is_deposed_says_who_leads_now_and_where() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        client.send(PRODUCE, 10, produce("orders", batch(b"a")))
        broker.change_partition("orders", 0, leader=NodeId(2), leader_epoch=1)
        client.send(PRODUCE, 10, produce("orders", batch(b"b")))
        await turns()
        replies = client.replies()
        assert errors_of(replies) == ["NOT_LEADER_OR_FOLLOWER"] * 2
        for reply in replies:
            leader = result_of(reply).current_leader
            assert (leader.leader_id, leader.leader_epoch) == (2, 1)
            assert [(node.node_id, node.host, node.port) for node in reply.node_endpoints] == [(2, "host-2", 9092)]

    on_broker(run)


def test_each_partition_has_its_own_error() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        damaged = bytearray(batch(b"a"))
        damaged[-1] ^= 1
        for topic, records, partition in (
            ("nothing", batch(b"a"), 0),
            ("orders", batch(b"a"), 5),
            ("orders", None, 0),
            ("orders", bytes(damaged), 0),
            ("orders", batch(b"a")[:40], 0),
        ):
            client.send(PRODUCE, 9, produce(topic, records, partition=partition))
        client.send(PRODUCE, 13, produce(UUID(int=77), batch(b"a")))
        client.send(PRODUCE, 9, produce("orders", batch(b"a"), acks=2))
        of_a_transaction = batch(b"a", transactional=True, producer_id=1, producer_epoch=0, base_sequence=0)
        client.send(PRODUCE, 9, produce("orders", of_a_transaction))  # of which nobody knows
        await turns()
        errors = errors_of(client.replies())
        assert errors[:3] == ["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_RECORD"]
        assert errors[3:5] == ["CORRUPT_MESSAGE", "CORRUPT_MESSAGE"]
        assert errors[5:] == ["UNKNOWN_TOPIC_ID", "INVALID_REQUIRED_ACKS", "INVALID_TXN_STATE"]
        assert broker.partition("orders").log.log_end_offset == 0

    on_broker(run)


def test_idempotent_batches_are_stored_once_and_in_order() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        first = batch(b"a", b"b", producer_id=5, producer_epoch=0, base_sequence=0)
        second = batch(b"c", producer_id=5, producer_epoch=0, base_sequence=2)
        gap = batch(b"d", producer_id=5, producer_epoch=0, base_sequence=9)
        stale = batch(b"e", producer_id=5, producer_epoch=1, base_sequence=0)
        old = batch(b"f", producer_id=5, producer_epoch=0, base_sequence=3)
        for records in (first, first, second, first, gap, stale, old):
            client.send(PRODUCE, 9, produce("orders", records))
        await turns()
        answers = [(ErrorCode(result_of(r).error_code.value).name, result_of(r).base_offset) for r in client.replies()]
        assert answers[:4] == [("NONE", 0), ("NONE", 0), ("NONE", 2), ("NONE", 0)]
        assert answers[4][0] == "OUT_OF_ORDER_SEQUENCE_NUMBER"
        assert answers[5] == ("NONE", 3)
        assert answers[6][0] == "INVALID_PRODUCER_EPOCH"

    on_broker(run)


def test_a_flush_that_is_due_comes_before_the_reply() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        broker.flush_gate = asyncio.Event()
        client = broker.client()
        client.send(PRODUCE, 9, produce("orders", batch(b"a"), acks=1))
        await turns()
        assert client.replies() == []
        broker.flush_gate.set()
        assert result_of(await client.reply()).base_offset == 0
        assert len(broker.flushed) == 1

    on_broker(run, {"log.flush.interval.messages": "1"})


def test_a_full_disk_is_a_storage_error_and_the_broker_lives() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        broker.disk.room_bytes = 0
        reply = await client.ask(PRODUCE, 9, produce("orders", batch(b"a")))
        assert errors_of([reply]) == ["KAFKA_STORAGE_ERROR"]

    on_broker(run)


def test_a_client_that_goes_leaves_nothing_behind() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        client.send(PRODUCE, 9, produce("orders", batch(b"a")))
        leadership = broker.partition("orders").leadership
        assert leadership is not None and len(leadership.waiters) == 1
        client.connection.connection_lost(None)
        assert len(leadership.waiters) == 0
        assert len(broker.context.deadlines) == 0

    on_broker(run)
