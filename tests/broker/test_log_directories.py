"""DeleteRecords, DescribeLogDirs and AlterReplicaLogDirs, asked on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import EPOCH_MS, LoneBroker, alone, batch, on_broker, three_replicas

from cluster.base.errors import ErrorCode

DELETE_RECORDS, ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS = 21, 34, 35


def append(broker: LoneBroker, topic: str, count: int) -> None:
    for number in range(count):
        records = memoryview(bytearray(batch(b"%d" % number, timestamp_ms=EPOCH_MS)))
        broker.partition(topic).append(records, 1, broker.world.clock.monotonic_ms(), broker.world.clock.wall_ms())


def deletion(topic: str, *places: tuple[int, int], timeout_ms: int = 1000) -> dict[str, Any]:
    partitions = [{"partition_index": number, "offset": offset} for number, offset in places]
    return {"topics": [{"name": topic, "partitions": partitions}], "timeout": timedelta(milliseconds=timeout_ms)}


def error_of(row: Any) -> str:
    return ErrorCode(row.error_code.value).name


@pytest.mark.parametrize("version", range(3))
def test_records_are_deleted_in_every_version(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)))
        append(broker, "orders", 5)
        client = broker.client()
        for offset, found in ((3, (3, "NONE")), (2, (3, "NONE")), (6, (-1, "OFFSET_OUT_OF_RANGE")), (-1, (5, "NONE"))):
            reply = await client.ask(DELETE_RECORDS, version, deletion("orders", (0, offset)))
            (row,) = reply.topics[0].partitions
            assert (row.low_watermark, error_of(row)) == found
        reply = await client.ask(DELETE_RECORDS, version, deletion("orders", (1, 0)))
        assert error_of(reply.topics[0].partitions[0]) == "UNKNOWN_TOPIC_OR_PARTITION"
        reply = await client.ask(DELETE_RECORDS, version, deletion("__consumer_offsets", (0, 0)))
        assert error_of(reply.topics[0].partitions[0]) == "INVALID_TOPIC_EXCEPTION"

    on_broker(run)


def test_followers_that_do_not_hear_are_waited_for_until_time_is_up() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        began_ms = broker.world.clock.monotonic_ms()
        reply = await broker.client().ask(DELETE_RECORDS, 2, deletion("orders", (0, 0), timeout_ms=700))
        (row,) = reply.topics[0].partitions
        assert (row.low_watermark, error_of(row)) == (-1, "REQUEST_TIMED_OUT")
        assert broker.world.clock.monotonic_ms() - began_ms >= 700

    on_broker(run)


@pytest.mark.parametrize("version", range(1, 6))
def test_the_directory_is_described_in_every_version(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)), alone(UUID(int=9)))
        append(broker, "orders", 5)
        client = broker.client()
        for topics in (None, [{"topic": "orders", "partitions": [0, 7]}, {"topic": "nothing", "partitions": [0]}]):
            (found,) = (await client.ask(DESCRIBE_LOG_DIRS, version, {"topics": topics})).results
            assert error_of(found) == "NONE"
            assert getattr(found, "total_bytes", 1) >= getattr(found, "usable_bytes", 1) > 0
            (topic,) = found.topics
            rows = [
                (row.partition_index, row.partition_size, row.offset_lag, row.is_future_key) for row in topic.partitions
            ]
            size_bytes = broker.partition("orders").log.size_bytes
            assert size_bytes > 300 and rows[0] == (0, size_bytes, 0, False)
            assert len(rows) == (2 if topics is None else 1)

    on_broker(run)


@pytest.mark.parametrize("version", [1, 2])
def test_replicas_stay_where_they_are(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)))
        client = broker.client()
        (found,) = (await client.ask(DESCRIBE_LOG_DIRS, 4, {"topics": None})).results
        for path, number, error in (
            (found.log_dir, 0, "NONE"),
            ("/elsewhere", 0, "LOG_DIR_NOT_FOUND"),
            (found.log_dir, 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        ):
            asked = {"dirs": [{"path": path, "topics": [{"name": "orders", "partitions": [number]}]}]}
            reply = await client.ask(ALTER_REPLICA_LOG_DIRS, version, asked)
            assert error_of(reply.results[0].partitions[0]) == error

    on_broker(run)
