"""The share group APIs on one broker: sessions, records, acknowledgements, locks, and offsets for admins (KIP-932)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from lone_broker import EPOCH_MS, LoneBroker, alone, batch, on_broker, registration, turns

from cluster.base.ids import NodeId
from cluster.broker.share_states import PATIENCE_MS, read_state, write_state
from cluster.metadata import GROUP_RESOURCE
from cluster.records import EndMarker, build_batch
from cluster.sharing import ACCEPT, REJECT, RELEASE, SharePartitionKey, ShareState
from cluster.storage import EpochEndOffset, compact, dirt_of

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


def error_of(message: Any) -> str:
    name: str = message.error_code.name.upper()
    return name


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


def test_records_go_to_one_member_and_are_done_when_it_says_so() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        write(broker, 3)
        assert await first.given() == [(0, 2, 1)]
        assert await second.given() == []
        assert await first.acknowledge(0, 1, ACCEPT) == "NONE"
        assert await first.acknowledge(2, 2, RELEASE) == "NONE"
        assert await second.given() == [(2, 2, 2)]
        assert await first.acknowledge(2, 2, ACCEPT) == "INVALID_RECORD_STATE", "another has it now"
        assert await second.given((2, 2, REJECT)) == []
        assert await start_offset(broker) == 3

    held(run)


def test_who_waits_gets_what_comes_and_what_is_released() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        waiting = asyncio.ensure_future(first.given(wait_ms=30_000))
        await asyncio.sleep(1)
        write(broker, 2)
        assert await waiting == [(0, 1, 1)]
        waiting = asyncio.ensure_future(second.given(wait_ms=5_000))
        await asyncio.sleep(1)
        assert await first.acknowledge(0, 0, RELEASE) == "NONE"
        assert await waiting == [(0, 0, 2)]
        assert await second.given(wait_ms=20_000) == [(1, 1, 2)], "the lock of m1 has ended"

    held(run)


def test_sessions_count_their_requests() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 2)
        assert error_of(await member.fetch(epoch=5)) == "SHARE_SESSION_NOT_FOUND"
        assert await member.given() == [(0, 1, 1)]
        assert error_of(await member.fetch(epoch=7)) == "INVALID_SHARE_SESSION_EPOCH"
        assert await member.acknowledge(0, 0, ACCEPT, epoch=0) == "INVALID_SHARE_SESSION_EPOCH"
        ended = await member.fetch((0, 0, ACCEPT), epoch=-1)
        assert error_of(ended) == "NONE"
        member.epoch = 0
        assert await member.given() == [(1, 1, 2)], "what it did not acknowledge was released"

    held(run)


def test_what_was_acknowledged_survives_the_leader_and_what_was_not_comes_again() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 4)
        assert await member.given() == [(0, 3, 1)]
        assert await member.acknowledge(0, 1, ACCEPT) == "NONE"
        broker.change_partition("orders", 0, leader=NodeId(2), leader_epoch=1)
        reply = await member.fetch()
        assert error_of(reply.responses[0].partitions[0]) == "NOT_LEADER_OR_FOLLOWER"
        assert reply.responses[0].partitions[0].current_leader.leader_id == 2
        broker.change_partition("orders", 0, leader=NodeId(1), leader_epoch=2)
        member.epoch = 0
        assert await member.given() == [(2, 3, 2)], "deliveries are counted over leaders"

    held(run)


def test_admins_see_and_move_where_a_group_is() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 4)
        assert await start_offset(broker) == -1
        assert await member.given() == [(0, 3, 1)]
        assert await member.acknowledge(0, 3, ACCEPT) == "NONE"
        admin = broker.client()
        described = await admin.ask(DESCRIBE, 1, {"group_ids": ("g", "no"), "include_authorized_operations": False})
        assert [error_of(group) for group in described.groups] == ["NONE", "GROUP_ID_NOT_FOUND"]
        assert described.groups[0].members[0].assignment.topic_partitions[0].topic_name == "orders"
        part = {"partition_index": 0, "start_offset": 1}
        move = {"group_id": "g", "topics": ({"topic_name": "orders", "partitions": (part,)},)}
        assert error_of(await admin.ask(ALTER_OFFSETS, 0, move)) == "NON_EMPTY_GROUP"
        await member.client.ask(HEARTBEAT, 1, {"group_id": "g", "member_id": "m1", "member_epoch": -1})
        moved = await admin.ask(ALTER_OFFSETS, 0, move)
        assert error_of(moved) == "NONE" and error_of(moved.responses[0].partitions[0]) == "NONE"
        assert await start_offset(broker) == 1
        member.epoch = 0
        assert await member.given() == [(1, 3, 1)], "a new session looks whether the group was moved"
        forgotten = await admin.ask(DELETE_OFFSETS, 0, {"group_id": "g", "topics": ({"topic_name": "orders"},)})
        assert error_of(forgotten.responses[0]) == "NONE" and await start_offset(broker) == -1
        every = {"groups": ({"group_id": "g", "topics": None},)}
        assert (await admin.ask(DESCRIBE_OFFSETS, 1, every)).groups[0].topics == ()
        await admin.ask(ALTER_OFFSETS, 0, move)
        assert [topic.topic_name for topic in (await admin.ask(DESCRIBE_OFFSETS, 1, every)).groups[0].topics] == [
            "orders"
        ]
        deleted = await admin.ask(DELETE_GROUPS, 2, {"groups_names": ("g",)})
        assert error_of(deleted.results[0]) == "NONE"
        listed = await admin.ask(LIST_GROUPS, 5, {"states_filter": (), "types_filter": ()})
        assert listed.groups == ()

    held(run)


def test_a_leader_whose_acknowledgements_cannot_be_kept_delivers_again() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 2)
        assert await member.given() == [(0, 1, 1)]
        await broker.context.share_partitions.find(SharePartitionKey("g", member.topic_id, 0))
        key = SharePartitionKey("g", member.topic_id, 0)
        await write_state(broker.context, key, ShareState(0, 9, 0))  # somebody else leads, and has said so
        assert await member.acknowledge(0, 1, ACCEPT) == "NOT_LEADER_OR_FOLLOWER"
        assert await start_offset(broker) == 0

    held(run)


def test_markers_of_transactions_hold_nobody_up_however_little_is_read_at_once() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        clock, partition = broker.world.clock, broker.partition("orders")
        for number in range(2):
            marker = EndMarker(5, number, True, 0)
            assert partition.append_marker(marker, False, clock.monotonic_ms(), clock.wall_ms()).error == 0
        write(broker, 2)
        member.max_bytes = 1
        assert await member.given() == [(2, 3, 1)]

    held(run)


def write_of(broker: LoneBroker, producer_id: int, sequence: int = 0) -> None:
    """Write one record in a producer's transaction, of which the coordinator has told."""
    producers = broker.partition("orders").log.producers
    assert producers.admit(producer_id, producers.expect(producer_id))
    record = [(None, b"%d" % producer_id, ())]
    of_one = {"producer_id": producer_id, "producer_epoch": 0, "base_sequence": sequence}
    write_batch(broker, bytes(build_batch(record, timestamp_ms=EPOCH_MS, transactional=True, **of_one)))


def end(broker: LoneBroker, producer_id: int, *, is_commit: bool) -> None:
    marker, clock = EndMarker(producer_id, 0, is_commit, 0), broker.world.clock
    assert broker.partition("orders").append_marker(marker, False, clock.monotonic_ms(), clock.wall_ms()).error == 0


def test_a_group_that_reads_committed_gets_nothing_of_open_and_aborted_transactions() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        for producer_id, sequence in ((5, 0), (6, 0), (5, 1)):
            write_of(broker, producer_id, sequence)
        assert await member.given() == [], "all of them are open"
        end(broker, 5, is_commit=False)
        assert await member.given() == [], "one of them is open still"
        end(broker, 6, is_commit=True)
        assert await member.given() == [(1, 1, 1)]
        assert await member.acknowledge(1, 1, ACCEPT) == "NONE"
        assert await member.given() == [], "nobody gets what was aborted, nor markers"
        write_of(broker, 5, 2)
        end(broker, 5, is_commit=True)
        assert await member.given() == [(5, 5, 1)], "the next transaction of a producer is another one"
        assert await member.acknowledge(5, 5, ACCEPT) == "NONE"
        assert await start_offset(broker) == 6

    on_broker(run, {**PROPERTIES, "group.share.isolation.level": "read_committed"})


def test_a_group_that_reads_uncommitted_gets_all_records_and_no_marker() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write_of(broker, 5)
        assert await member.given() == [(0, 0, 1)]
        end(broker, 5, is_commit=False)
        write(broker, 1)
        assert await member.given() == [(2, 2, 1)]

    held(run)


def test_members_read_on_where_compaction_has_taken_what_they_released() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        log = broker.partition("orders").log

        def write_key(key: bytes) -> None:
            write_batch(broker, bytes(build_batch([(key, b"value", ())], timestamp_ms=EPOCH_MS)))

        for key in (b"a", b"a", b"b"):
            write_key(key)
        assert await member.given() == [(0, 2, 1)]
        assert await member.given((0, 0, RELEASE), (1, 2, ACCEPT)) == [(0, 0, 2)]
        assert await member.acknowledge(0, 0, RELEASE) == "NONE"
        log.roll()
        log.finish_flush(log.begin_flush(), 0)
        for _ in compact(log, dirt_of(log, 3, 0), 0):
            pass
        assert log.read(0, 1, 3, True)[:8] == bytes(7) + b"\x01", "the first record is gone"
        write_key(b"c")
        member.max_bytes = 1
        assert await member.given() == [(3, 3, 1)]

    on_broker(run, {**PROPERTIES, "log.cleanup.policy": "compact", "group.share.delivery.count.limit": "5"})


def test_a_group_goes_on_where_a_log_ends_that_has_lost_records() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 1)
        write(broker, 3)
        assert await member.given() == [(0, 3, 1)]
        assert await member.acknowledge(0, 3, ACCEPT) == "NONE"
        broker.change_partition("orders", 0, leader=NodeId(2), leader_epoch=1)
        broker.partition("orders").truncate_by_divergence(EpochEndOffset(0, 1))
        broker.change_partition("orders", 0, leader=NodeId(1), leader_epoch=2)
        member.epoch = 0
        assert await member.given() == []
        write(broker, 1)
        assert await member.given() == [(1, 1, 1)]

    held(run)


def test_a_group_that_was_deleted_and_comes_again_knows_nothing_of_its_past() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        write(broker, 4)
        assert await first.given() == [(0, 3, 1)]
        assert await first.acknowledge(0, 2, ACCEPT) == "NONE"
        await delete_group(first, second)
        key = SharePartitionKey("g", first.topic_id, 0)
        await asyncio.sleep(20)  # the lock that the last member held ends
        assert (await read_state(broker.context, key, -1)).start_offset == -1
        assert error_of(await second.join()) == "NONE"
        assert await second.given() == [(0, 3, 1)]

    held(run)


async def delete_group(*members: ShareClient) -> None:
    for member in members:
        await member.client.ask(HEARTBEAT, 1, {"group_id": "g", "member_id": member.name, "member_epoch": -1})
    deleted = await members[0].client.ask(DELETE_GROUPS, 2, {"groups_names": ("g",)})
    assert error_of(deleted.results[0]) == "NONE"


def test_what_a_broker_knows_of_a_group_goes_with_its_last_session() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        write(broker, 4)
        assert [await first.given(), await second.given()] == [[(0, 3, 1)], []]
        assert error_of(await first.fetch(epoch=-1)) == "NONE"
        assert len(broker.context.share_partitions) == 1
        assert await second.given() == [(0, 3, 2)]
        assert await second.acknowledge(0, 3, ACCEPT, epoch=-1) == "NONE"
        assert len(broker.context.share_partitions) == 0
        first.epoch = 0
        write(broker, 1)
        assert await first.given() == [(4, 4, 1)]

    held(run)


def test_while_there_is_no_share_coordinator_members_wait_and_are_told_of_no_error() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        write(broker, 4)
        assert await first.given() == [(0, 3, 1)]
        broker.change_partition("__share_group_state", 0, leader=NodeId(-1), leader_epoch=1)
        accepting = asyncio.ensure_future(first.acknowledge(0, 3, ACCEPT))
        assert await second.given(wait_ms=1000) == []
        assert not accepting.done()
        broker.change_partition("__share_group_state", 0, leader=NodeId(1), leader_epoch=2)
        assert await accepting == "NONE"
        assert await start_offset(broker) == 4

    held(run)


def test_a_new_share_coordinator_is_asked_as_soon_as_the_metadata_names_it() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        write(broker, 4)
        assert await member.given() == [(0, 3, 1)]
        broker.change_partition("__share_group_state", 0, leader=NodeId(2), leader_epoch=1)  # which does not answer
        accepting = asyncio.ensure_future(member.acknowledge(0, 3, ACCEPT))
        await asyncio.sleep(2.7)
        began_s = broker.loop.now
        broker.change_partition("__share_group_state", 0, leader=NodeId(1), leader_epoch=2)
        assert await accepting == "NONE"
        assert broker.loop.now - began_s < 0.1, "by then it would have waited for half a second to ask again"

    held(run)


def test_members_are_told_how_long_they_have_a_record_though_their_group_asks_for_less_than_may_be() -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = await prepared(broker, "m1", "m2")
        own = {(GROUP_RESOURCE, "g"): {"share.record.lock.duration.ms": "1000"}}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, configs=own))
        write(broker, 1)
        told = (await first.fetch(wait_ms=100)).acquisition_lock_timeout
        assert told == timedelta(seconds=15)
        await asyncio.sleep(told.total_seconds() - 1)
        assert await second.given() == []

    held(run)


def test_partitions_do_not_wait_for_each_other_while_there_is_no_share_coordinator() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1", partitions=3)
        assert await member.given() == []
        broker.change_partition("__share_group_state", 0, leader=NodeId(-1), leader_epoch=1)
        said = {"first_offset": 0, "last_offset": 0, "acknowledge_types": (ACCEPT,)}
        parts = [{"partition_index": number, "acknowledgement_batches": (said,)} for number in range(3)]
        fields = {
            "group_id": "g",
            "member_id": "m1",
            "share_session_epoch": 1,
            "topics": ({"topic_id": member.topic_id, "partitions": parts},),
        }
        began_s = broker.loop.now
        reply = await broker.client().ask(ACKNOWLEDGE, 2, fields)
        away = "COORDINATOR_NOT_AVAILABLE"
        answers = reply.responses[0].partitions
        assert [error_of(part) for part in answers] == ["INVALID_RECORD_STATE", away, away], (
            "the first was loaded before"
        )
        asked = {"groups": ({"group_id": "g", "topics": ({"topic_name": "orders", "partitions": (0, 1, 2)},)},)}
        reply = await broker.client().ask(DESCRIBE_OFFSETS, 1, asked)
        answers = reply.groups[0].topics[0].partitions
        assert [error_of(part) for part in answers] == [away] * 3
        assert broker.loop.now - began_s < 3 * PATIENCE_MS / 1000

    held(run)


def test_what_makes_no_sense_is_refused() -> None:
    async def run(broker: LoneBroker) -> None:
        (member,) = await prepared(broker, "m1")
        member.name = ""
        assert error_of(await member.fetch()) == "INVALID_REQUEST"
        member.name, member.topic_id = "m1", UUID(int=77)
        reply = await member.fetch()
        assert error_of(reply.responses[0].partitions[0]) == "UNKNOWN_TOPIC_ID"
        admin = broker.client()
        move = {"group_id": "nobody", "topics": ()}
        assert error_of(await admin.ask(ALTER_OFFSETS, 0, move)) == "GROUP_ID_NOT_FOUND"

    held(run)


def test_a_share_partition_has_a_coordinator_of_its_own() -> None:
    async def run(broker: LoneBroker) -> None:
        await prepared(broker, "m1")
        keys = ("g:AAAAAAAAAAAAAAAAAAAAAQ:0", "g:0", "")
        found = await broker.client().ask(FIND_COORDINATOR, 6, {"key_type": 2, "coordinator_keys": keys})
        assert [error_of(each) for each in found.coordinators] == ["NONE", "INVALID_REQUEST", "INVALID_REQUEST"]
        older = await broker.client().ask(FIND_COORDINATOR, 5, {"key_type": 2, "coordinator_keys": keys[:1]})
        assert error_of(older.coordinators[0]) == "INVALID_REQUEST"

    held(run)


async def start_offset(broker: LoneBroker) -> int:
    fields = {"groups": ({"group_id": "g", "topics": ({"topic_name": "orders", "partitions": (0,)},)},)}
    reply = await broker.client().ask(DESCRIBE_OFFSETS, 1, fields)
    (part,) = reply.groups[0].topics[0].partitions
    assert error_of(part) == "NONE"
    offset: int = part.start_offset
    return offset
