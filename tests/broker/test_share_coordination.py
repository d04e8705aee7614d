"""What is kept of share groups on one broker (KIP-932): by whom, while that one is away, and what admins make of it."""

from __future__ import annotations

import asyncio

from lone_broker import LoneBroker, error_of
from share_client import (
    ACKNOWLEDGE,
    ALTER_OFFSETS,
    DELETE_GROUPS,
    DELETE_OFFSETS,
    DESCRIBE,
    DESCRIBE_OFFSETS,
    FIND_COORDINATOR,
    HEARTBEAT,
    LIST_GROUPS,
    ShareClient,
    held,
    prepared,
    start_offset,
    write,
)

from cluster.base.ids import NodeId
from cluster.broker.share_states import PATIENCE_MS, read_state, write_state
from cluster.sharing import ACCEPT, SharePartitionKey, ShareState


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


def test_a_share_partition_has_a_coordinator_of_its_own() -> None:
    async def run(broker: LoneBroker) -> None:
        await prepared(broker, "m1")
        keys = ("g:AAAAAAAAAAAAAAAAAAAAAQ:0", "g:0", "")
        found = await broker.client().ask(FIND_COORDINATOR, 6, {"key_type": 2, "coordinator_keys": keys})
        assert [error_of(each) for each in found.coordinators] == ["NONE", "INVALID_REQUEST", "INVALID_REQUEST"]
        older = await broker.client().ask(FIND_COORDINATOR, 5, {"key_type": 2, "coordinator_keys": keys[:1]})
        assert error_of(older.coordinators[0]) == "INVALID_REQUEST"

    held(run)
