"""AlterPartitionReassignments and ListPartitionReassignments, as a client sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import LoneBroker, on_broker, three_replicas

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.replication import Partition

ALTER, LIST, METADATA = 45, 46, 3
TIMEOUT = timedelta(seconds=10)


def moves(**partitions: tuple[int, ...] | None) -> dict[str, Any]:
    """A request that moves partition 0 of each topic."""
    return {
        "timeout": TIMEOUT,
        "topics": [
            {"name": name, "partitions": [{"partition_index": 0, "replicas": replicas}]}
            for name, replicas in partitions.items()
        ],
    }


def errors_of(reply: Any) -> dict[str, str]:
    return {topic.name: ErrorCode(part.error_code.value).name for topic in reply.responses for part in topic.partitions}


@pytest.mark.parametrize("version", [0, 1])
def test_a_move_is_shown_until_it_is_over_or_taken_back(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9), isr=(NodeId(1), NodeId(3))))
        broker.add_topic("still", three_replicas(UUID(int=10)))
        client = broker.client()
        reply = await client.ask(ALTER, version, moves(orders=(2, 1), nothing=(1,)))
        assert reply.error_code.value == 0 and getattr(reply, "allow_replication_factor_change", True) is True
        assert errors_of(reply) == {"orders": "NONE", "nothing": "UNKNOWN_TOPIC_OR_PARTITION"}
        for asked in (
            None,
            [{"name": "orders", "partition_indexes": (0, 7)}, {"name": "gone", "partition_indexes": (0,)}],
        ):
            listed = await client.ask(LIST, 0, {"timeout": TIMEOUT, "topics": asked})
            (topic,) = listed.topics
            (part,) = topic.partitions
            assert (topic.name, part.partition_index) == ("orders", 0)
            assert (part.replicas, part.adding_replicas, part.removing_replicas) == ((2, 1, 3), (), (3,))
        described = await client.ask(METADATA, 9, {"topics": [{"name": "orders"}]})
        assert described.topics[0].partitions[0].replica_nodes == (2, 1, 3)
        assert errors_of(await client.ask(ALTER, version, moves(orders=None))) == {"orders": "NONE"}
        assert (await client.ask(LIST, 0, {"timeout": TIMEOUT, "topics": None})).topics == ()
        reply = await client.ask(ALTER, version, moves(orders=None))
        assert errors_of(reply) == {"orders": "NO_REASSIGNMENT_IN_PROGRESS"}

    on_broker(run)


def test_version_1_can_forbid_another_replication_factor() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        request = {**moves(orders=(2, 1)), "allow_replication_factor_change": False}
        reply = await broker.client().ask(ALTER, 1, request)
        assert reply.allow_replication_factor_change is False
        assert errors_of(reply) == {"orders": "INVALID_REPLICATION_FACTOR"}

    on_broker(run)


def test_without_a_controller_the_whole_request_fails() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        broker.controller_error = KafkaError(ErrorCode.REQUEST_TIMED_OUT, "nobody answered")
        reply = await broker.client().ask(ALTER, 1, moves(orders=(2, 1)))
        assert (reply.error_code.name.upper(), reply.error_message) == ("REQUEST_TIMED_OUT", "nobody answered")
        assert reply.responses == ()

    on_broker(run)


def test_a_leader_that_is_moved_away_tells_its_clients_to_look_elsewhere() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        waited: list[ErrorCode] = []
        partition: Partition = broker.partition("orders")
        partition.when_committed(1, waited.append)
        assert errors_of(await broker.client().ask(ALTER, 0, moves(orders=(2, 3)))) == {"orders": "NONE"}
        assert waited == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
        assert "orders-0" not in broker.disk.list("")

    on_broker(run)
