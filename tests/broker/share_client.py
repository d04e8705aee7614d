"""A member of a share group, spoken byte by byte, and the broker that it asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from lone_broker import LoneBroker, alone, batch, error_of, on_broker, registration, turns

HEARTBEAT, DESCRIBE, FETCH, ACKNOWLEDGE, LIST_GROUPS, DELETE_GROUPS = 76, 77, 78, 79, 16, 42
DESCRIBE_OFFSETS, ALTER_OFFSETS, DELETE_OFFSETS = 90, 91, 92
FIND_COORDINATOR = 10
PROPERTIES = {
    "offsets.topic.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.share.auto.offset.reset": "earliest",
    "group.share.record.lock.duration.ms": "15000",
}


class ShareClient:
    """A member of a share group, by what it sends."""

    def __init__(self, broker: LoneBroker, name: str, topic_id: UUID) -> None:
        self.broker = broker
        self.client = broker.client()
        self.name = name
        self.topic_id = topic_id
        self.epoch = 0
        self.max_bytes = 1_000_000

    async def join(self) -> Any:
        return await self.client.ask(
            HEARTBEAT,
            1,
            {"group_id": "g", "member_id": self.name, "member_epoch": 0, "rack_id": None,
             "subscribed_topic_names": ("orders",)},
        )  # fmt: skip

    async def fetch(self, *batches: tuple[int, int, int], wait_ms: int = 0, epoch: int | None = None) -> Any:
        """Fetch, with acknowledgements; return the whole answer."""
        said = [{"first_offset": a, "last_offset": b, "acknowledge_types": (kind,)} for a, b, kind in batches]
        part = {"partition_index": 0, "acknowledgement_batches": said}
        fields = {
            "group_id": "g",
            "member_id": self.name,
            "share_session_epoch": self.epoch if epoch is None else epoch,
            "max_wait": timedelta(milliseconds=wait_ms),
            "min_bytes": 1,
            "max_bytes": self.max_bytes,
            "max_records": 100,
            "batch_size": 100,
            "topics": ({"topic_id": self.topic_id, "partitions": (part,)},),
            "forgotten_topics_data": (),
        }
        reply = await self.client.ask(FETCH, 2, fields)
        if error_of(reply) == "NONE" and epoch is None:
            self.epoch += 1
        return reply

    async def given(self, *batches: tuple[int, int, int], wait_ms: int = 100) -> list[tuple[int, int, int]]:
        reply = await self.fetch(*batches, wait_ms=wait_ms)
        assert error_of(reply) == "NONE"
        parts = [part for topic in reply.responses for part in topic.partitions]
        assert all(error_of(part) == "NONE" and part.acknowledge_error_code == 0 for part in parts), parts
        return [
            (each.first_offset, each.last_offset, each.delivery_count)
            for part in parts
            for each in part.acquired_records
        ]

    async def acknowledge(self, first: int, last: int, kind: int, epoch: int | None = None) -> str:
        said = {"first_offset": first, "last_offset": last, "acknowledge_types": (kind,)}
        part = {"partition_index": 0, "acknowledgement_batches": (said,)}
        fields = {
            "group_id": "g",
            "member_id": self.name,
            "share_session_epoch": self.epoch if epoch is None else epoch,
            "topics": ({"topic_id": self.topic_id, "partitions": (part,)},),
        }
        reply = await self.client.ask(ACKNOWLEDGE, 2, fields)
        if error_of(reply) != "NONE":
            return error_of(reply)
        self.epoch += 1
        return error_of(reply.responses[0].partitions[0])


async def prepared(broker: LoneBroker, *names: str, partitions: int = 1) -> list[ShareClient]:
    """A cluster with a topic, and members that have joined."""
    broker.set_image(replace(broker.image, offset=2, brokers={1: registration(1)}))
    topic_id = broker.add_topic("orders", *[alone(UUID(int=1))] * partitions)
    await broker.client().ask(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": ("g",)})
    await turns()
    members = [ShareClient(broker, name, topic_id) for name in names]
    for member in members:
        assert error_of(await member.join()) == "NONE"
    return members


def write(broker: LoneBroker, count: int) -> None:
    write_batch(broker, batch(*(b"%d" % number for number in range(count))))


def write_batch(broker: LoneBroker, data: bytes) -> None:
    clock = broker.world.clock
    outcome = broker.partition("orders").append(memoryview(bytearray(data)), -1, clock.monotonic_ms(), clock.wall_ms())
    assert outcome.error == 0


def held(test: Callable[[LoneBroker], Awaitable[None]]) -> None:
    on_broker(test, PROPERTIES)


async def start_offset(broker: LoneBroker) -> int:
    fields = {"groups": ({"group_id": "g", "topics": ({"topic_name": "orders", "partitions": (0,)},)},)}
    reply = await broker.client().ask(DESCRIBE_OFFSETS, 1, fields)
    (part,) = reply.groups[0].topics[0].partitions
    assert error_of(part) == "NONE"
    offset: int = part.start_offset
    return offset
