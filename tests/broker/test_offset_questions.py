"""Where a partition begins and ends, what lies at a time, and where an epoch ended."""

from __future__ import annotations

from uuid import UUID

import pytest
from lone_broker import (
    EPOCH_MS,
    LoneBroker,
    alone,
    batch,
    error_of,
    on_broker,
    three_replicas,
)

LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH = 2, 23


def append(broker: LoneBroker, topic: str, *values: bytes, timestamp_ms: int = EPOCH_MS) -> None:
    records = memoryview(bytearray(batch(*values, timestamp_ms=timestamp_ms)))
    broker.partition(topic).append(records, 1, broker.world.clock.monotonic_ms(), broker.world.clock.wall_ms())


@pytest.mark.parametrize("version", range(1, 12))
def test_offsets_are_found_at_both_ends_and_by_time(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        for number in range(5):
            append(broker, "orders", b"x", timestamp_ms=EPOCH_MS + (number if number != 2 else 100) * 1000)
        expected = {-1: 5, -2: 0, EPOCH_MS + 500: 1, EPOCH_MS + 3500: 2, EPOCH_MS + 200_000: -1}
        if version >= 7:
            expected[-3] = 2
        client = broker.client()
        for timestamp, offset in expected.items():
            asked = {"replica_id": -1, "topics": [{"name": "orders", "partitions": [{"timestamp": timestamp}]}]}
            reply = await client.ask(LIST_OFFSETS, version, asked)
            (part,) = reply.topics[0].partitions
            assert (error_of(part), part.offset) == ("NONE", offset), timestamp
        unknown = {"replica_id": -1, "topics": [{"name": "orders", "partitions": [{"timestamp": -7}]}]}
        assert error_of((await client.ask(LIST_OFFSETS, version, unknown)).topics[0].partitions[0]) == (
            "UNSUPPORTED_VERSION"
        )

    on_broker(run)


def test_offsets_of_strange_partitions_are_errors_of_theirs() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("mine", alone(UUID(int=5), leader_epoch=3))
        broker.add_topic("theirs", three_replicas(UUID(int=6), leader=2))
        asked = [
            ("mine", [{"timestamp": -1, "current_leader_epoch": 1}]),
            ("theirs", [{"timestamp": -1}]),
            ("nothing", [{"timestamp": -1}]),
            ("mine", [{"timestamp": -1, "partition_index": 3}, {"timestamp": -2, "partition_index": 3}]),
        ]
        topics = [{"name": name, "partitions": parts} for name, parts in asked]
        reply = await broker.client().ask(LIST_OFFSETS, 7, {"replica_id": -1, "topics": topics})
        errors = [error_of(part) for topic in reply.topics for part in topic.partitions]
        assert errors == [
            "FENCED_LEADER_EPOCH",
            "NOT_LEADER_OR_FOLLOWER",
            "UNKNOWN_TOPIC_OR_PARTITION",
            "INVALID_REQUEST",
            "INVALID_REQUEST",
        ]

    on_broker(run)


@pytest.mark.parametrize("version", range(2, 5))
def test_the_end_of_an_epoch_is_known(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)))
        append(broker, "orders", b"a", b"b")
        broker.change_partition("orders", 0, leader_epoch=5)
        append(broker, "orders", b"c")
        parts = [{"leader_epoch": epoch, "current_leader_epoch": 5} for epoch in (0, 3, 5, 9)]
        asked = {"topics": [{"topic": "orders", "partitions": parts}, {"topic": "nothing", "partitions": parts[:1]}]}
        reply = await broker.client().ask(OFFSET_FOR_LEADER_EPOCH, version, asked)
        found = [(error_of(part), part.leader_epoch, part.end_offset) for part in reply.topics[0].partitions]
        assert found == [("NONE", 0, 2), ("NONE", 0, 2), ("NONE", 5, 3), ("NONE", -1, -1)]
        assert error_of(reply.topics[1].partitions[0]) == "UNKNOWN_TOPIC_OR_PARTITION"

    on_broker(run)
