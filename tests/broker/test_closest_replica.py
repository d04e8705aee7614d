"""Fetch from the closest replica (KIP-392): where a leader sends a consumer, and what a follower tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from lone_broker import LoneBroker, batch, on_broker, registration, three_replicas
from test_fetch import FETCH, append, error_of, fetch, part_of, values

from cluster.base.ids import NodeId
from cluster.replication import FollowerFetch
from cluster.replication.follower_progress import FetchPulse

RACKS = {1: "east", 2: "west", 3: "west"}
RACK_AWARE = {"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"}


def with_racks(broker: LoneBroker, *fenced: int) -> None:
    brokers = {NodeId(n): replace(registration(n), rack=rack, fenced=n in fenced) for n, rack in RACKS.items()}
    broker.set_image(replace(broker.image, offset=broker.image.offset + 1, brokers=brokers))


def followed(broker: LoneBroker, *ends: tuple[int, int]) -> None:
    """Followers fetch from these offsets."""
    partition = broker.partition("orders")
    for node, end in ends:
        fetched = FollowerFetch(NodeId(node), 7, partition.leader_epoch, end, 0 if end else -1)
        partition.follower_fetched(fetched, FetchPulse(), broker.world.clock.monotonic_ms())


async def preferred(broker: LoneBroker, rack: str, offset: int = 0, version: int = 12) -> Any:
    reply = await broker.client().ask(FETCH, version, fetch(("orders", offset), rack_id=rack, max_wait_ms=60_000))
    return part_of(reply)


@pytest.mark.parametrize("version", [11, 12])
def test_a_leader_sends_a_consumer_to_the_follower_in_its_rack_that_has_most(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        with_racks(broker)
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        append(broker, "orders", b"a")
        append(broker, "orders", b"b")
        followed(broker, (2, 1), (3, 2), (2, 1))
        part = await preferred(broker, "west", version=version)
        assert (part.preferred_read_replica, values(part), part.high_watermark) == (3, [], 1)
        assert values(await preferred(broker, "east", version=version)) == [b"a"], "the leader is there itself"
        assert values(await preferred(broker, "north", version=version)) == [b"a"], "nobody is there"

    on_broker(run, RACK_AWARE)


def test_a_follower_that_is_fenced_behind_or_out_of_sync_is_not_chosen() -> None:
    async def run(broker: LoneBroker) -> None:
        with_racks(broker, 3)
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        for value in (b"a", b"b", b"c"):
            append(broker, "orders", value)
        followed(broker, (2, 2), (3, 3))
        assert (await preferred(broker, "west")).preferred_read_replica == 2, "broker 3 is fenced"
        with_racks(broker)
        assert (await preferred(broker, "west", offset=2)).preferred_read_replica == 3
        broker.change_partition("orders", 0, isr=(NodeId(1), NodeId(2)))
        assert (await preferred(broker, "west", offset=1)).preferred_read_replica == 2, "broker 3 is out of sync"

    on_broker(run, RACK_AWARE)


def test_without_the_selector_everybody_reads_from_the_leader() -> None:
    async def run(broker: LoneBroker) -> None:
        with_racks(broker)
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        append(broker, "orders", b"a")
        followed(broker, (2, 1), (3, 1))
        part = await preferred(broker, "west")
        assert (part.preferred_read_replica, values(part)) == (-1, [b"a"])

    on_broker(run)


def test_a_follower_serves_consumers_with_a_rack_below_its_high_watermark() -> None:
    async def run(broker: LoneBroker) -> None:
        with_racks(broker)
        broker.add_topic("orders", three_replicas(UUID(int=9), leader=2, leader_epoch=3))
        follower = broker.partition("orders")
        copied = bytearray(batch(b"a", leader_epoch=3) + batch(b"b", leader_epoch=3, base_offset=1))
        follower.append_fetched(copied, 1, 0, broker.world.clock.wall_ms())

        async def part(offset: int, rack: str = "east", **more: Any) -> Any:
            question = fetch(("orders", offset, more), rack_id=rack, max_wait_ms=100)
            return part_of(await broker.client().ask(FETCH, 12, question))

        assert values(await part(0)) == [b"a"]
        assert (values(await part(1)), error_of(await part(1))) == ([], "NONE"), "not known to be committed"
        assert error_of(await part(3)) == "OFFSET_NOT_AVAILABLE", "the leader may be further"
        assert error_of(await part(0, current_leader_epoch=2)) == "FENCED_LEADER_EPOCH"
        assert error_of(await part(0, current_leader_epoch=4)) == "UNKNOWN_LEADER_EPOCH"
        assert error_of(await part(0, rack="")) == "NOT_LEADER_OR_FOLLOWER", "no rack, no follower"
        question = fetch(("orders", 1), rack_id="east", max_wait_ms=5000)
        broker.loop.call_later(0.1, follower.append_fetched, b"", 2, 0, broker.world.clock.wall_ms())
        held = part_of(await broker.client().ask(FETCH, 12, question))
        assert values(held) == [b"b"], "a held fetch is answered when the high watermark comes"

    on_broker(run, RACK_AWARE)
