"""The group APIs on one broker, in every version: what travels, and what clients are told when things are not so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import Client, LoneBroker, batch, on_broker, registration, turns

from cluster.base.ids import NodeId
from cluster.broker.coordinator import hosted_shard
from cluster.broker.registry import API_BY_KEY

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = range(8, 15)
DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE, METADATA, PRODUCE = 15, 16, 42, 47, 3, 0
PROPERTIES = {"offsets.topic.num.partitions": "4", "group.initial.rebalance.delay.ms": "10"}
VERSIONS = range(11)
"""Each API is asked in this version, or in the nearest that it has."""


def error_of(message: Any) -> str:
    name: str = message.error_code.name.upper()
    return name


def nearest(api_key: int, version: int) -> int:
    api = API_BY_KEY[api_key]
    return min(max(version, api.oldest), api.newest)


class GroupClient:
    """Speaks one version of everything, and hides where versions put things."""

    def __init__(self, broker: LoneBroker, version: int) -> None:
        self.broker = broker
        self.client: Client = broker.client()
        self.version = version

    async def ask(self, api_key: int, fields: dict[str, Any]) -> Any:
        return await self.client.ask(api_key, nearest(api_key, self.version), fields)

    async def prepare(self) -> None:
        """A cluster of one broker, with a topic and a coordinator."""
        self.broker.set_image(replace(self.broker.image, offset=2, brokers={1: registration(1)}))
        self.broker.add_topic("orders")
        await self.ask(FIND_COORDINATOR, {"key": "g", "coordinator_keys": ("g",)})
        await turns()

    async def join(self, member_id: str = "", **changes: Any) -> Any:
        fields = {
            "group_id": "g",
            "session_timeout": timedelta(seconds=10),
            "rebalance_timeout": timedelta(seconds=60),
            "member_id": member_id,
            "protocol_type": "consumer",
            "protocols": ({"name": "range", "metadata": b"who knows"},),
            **changes,
        }
        reply = await self.ask(JOIN_GROUP, fields)
        if error_of(reply) == "MEMBER_ID_REQUIRED" and not member_id:
            return await self.join(reply.member_id, **changes)
        return reply

    async def sync(self, member_id: str, generation: int, share: bytes) -> Any:
        assignments = ({"member_id": member_id, "assignment": share},)
        fields = {"group_id": "g", "member_id": member_id, "generation_id": generation, "assignments": assignments}
        protocol = {"protocol_type": "consumer", "protocol_name": "range"}
        return await self.ask(SYNC_GROUP, {**fields, **protocol})

    async def commit(self, offset: int, member_id: str = "", generation: int = -1, **more: Any) -> str:
        version = nearest(OFFSET_COMMIT, self.version)
        part = {"partition_index": 0, "committed_offset": offset, "committed_leader_epoch": 3, **more}
        topic = {"name": "orders", "topic_id": self.broker.image.topics["orders"].topic_id, "partitions": (part,)}
        fields = {
            "group_id": "g",
            "generation_id_or_member_epoch": generation,
            "member_id": member_id,
            "retention_time": timedelta(milliseconds=-1),
            "topics": (topic,),
        }
        reply = await self.client.ask(OFFSET_COMMIT, version, fields)
        return error_of(reply.topics[0].partitions[0])

    async def fetch(self, *, everything: bool = False) -> list[tuple[str, int, str | None]]:
        """Return (topic, offset, note) of every partition of the answer."""
        version = nearest(OFFSET_FETCH, self.version)
        orders = self.broker.image.topics["orders"]
        topic = {"name": "orders", "topic_id": orders.topic_id, "partition_indexes": (0,)}
        topics = None if everything else (topic,)
        group = {"group_id": "g", "topics": topics}
        reply = await self.client.ask(OFFSET_FETCH, version, group if version < 8 else {"groups": (group,)})
        answer = reply if version < 8 else reply.groups[0]
        assert version < 2 or error_of(answer) == "NONE"
        found = []
        for each in answer.topics:
            name = each.name if version < 10 else self.broker.image.topic_names[each.topic_id]
            found += [(name, part.committed_offset, part.metadata) for part in each.partitions]
        return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_member_joins_syncs_lives_commits_and_leaves(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, version)
        await client.prepare()
        joined = await client.join()
        assert error_of(joined) == "NONE"
        assert (joined.generation_id, joined.protocol_name, joined.leader) == (1, "range", joined.member_id)
        assert joined.member_id.startswith("test-")
        assert [(member.member_id, member.metadata) for member in joined.members] == [(joined.member_id, b"who knows")]
        synced = await client.sync(joined.member_id, 1, b"all of it")
        assert (error_of(synced), synced.assignment) == ("NONE", b"all of it")
        who = {"group_id": "g", "member_id": joined.member_id, "generation_id": 1}
        assert error_of(await client.ask(HEARTBEAT, who)) == "NONE"
        assert await client.commit(42, joined.member_id, 1, committed_metadata="note") == "NONE"
        assert await client.fetch() == [("orders", 42, "note")]
        described = (await client.ask(DESCRIBE_GROUPS, {"groups": ("g",)})).groups[0]
        assert (described.group_state, described.protocol_type, described.protocol_data) == (
            "Stable", "consumer", "range",
        )  # fmt: skip
        (member,) = described.members
        assert (member.client_id, member.client_host, member.member_assignment) == ("test", "/test", b"all of it")
        listed = (await client.ask(LIST_GROUPS, {})).groups
        assert [(group.group_id, group.protocol_type) for group in listed] == [("g", "consumer")]
        left = await client.ask(LEAVE_GROUP, {**who, "members": ({"member_id": joined.member_id},)})
        assert error_of(left) == "NONE"
        assert error_of(await client.ask(HEARTBEAT, who)) == "UNKNOWN_MEMBER_ID"
        deleted = await client.ask(DELETE_GROUPS, {"groups_names": ("g", "h")})
        assert [error_of(result) for result in deleted.results] == ["NONE", "GROUP_ID_NOT_FOUND"]
        assert await client.fetch() == [("orders", -1, "")]

    on_broker(run, PROPERTIES)


@pytest.mark.parametrize("version", VERSIONS)
def test_offsets_of_a_group_without_members_are_remembered_and_listed(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, version)
        await client.prepare()
        assert await client.fetch() == [("orders", -1, "")]
        assert await client.commit(7) == "NONE"
        if version >= 2:
            assert await client.fetch(everything=True) == [("orders", 7, "")]
        asked = {"group_id": "g", "topics": ({"name": "orders", "partitions": ({"partition_index": 0},)},)}
        reply = await client.ask(OFFSET_DELETE, asked)
        assert error_of(reply.topics[0].partitions[0]) == "NONE"
        assert await client.fetch() == [("orders", -1, "")]

    on_broker(run, PROPERTIES)


def test_who_asks_the_wrong_broker_is_told_so() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        move(broker, 2, 1)
        assert error_of(await client.join()) == "NOT_COORDINATOR"
        assert await client.commit(1) == "NOT_COORDINATOR"
        assert error_of(await client.ask(HEARTBEAT, {"group_id": "g", "member_id": "m"})) == "NOT_COORDINATOR"
        assert (await client.ask(LIST_GROUPS, {})).groups == ()

    on_broker(run, PROPERTIES)


def test_a_leader_that_comes_back_knows_what_was_committed() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        assert await client.commit(7) == "NONE"
        move(broker, 2, 1)
        move(broker, 1, 2)
        await turns()
        assert await client.fetch() == [("orders", 7, "")]

    on_broker(run, PROPERTIES)


def test_who_comes_while_the_log_is_read_is_asked_to_come_again_and_members_live_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosted_shard, "LOAD_BYTES", 1)  # one record at a time

    async def run(broker: LoneBroker) -> None:
        client, member = GroupClient(broker, 9), GroupClient(broker, 9)
        await client.prepare()
        for offset in range(10):
            assert await client.commit(offset) == "NONE"
        move(broker, 2, 1)
        move(broker, 1, 2)
        commit = asyncio.create_task(client.commit(8))
        beat = asyncio.create_task(member.ask(HEARTBEAT, {"group_id": "g", "member_id": "m"}))
        assert await commit == "COORDINATOR_LOAD_IN_PROGRESS"
        assert error_of(await beat) == "NONE"
        await asyncio.sleep(1)
        assert await client.fetch() == [("orders", 9, "")]

    on_broker(run, PROPERTIES)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_coordinator_that_may_have_been_replaced_tells_no_offsets(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, version)
        await client.prepare()
        assert await client.commit(42) == "NONE"
        assert await client.fetch() == [("orders", 42, "")]
        broker.is_cut_off = True
        used = nearest(OFFSET_FETCH, version)
        topic = {"name": "orders", "topic_id": broker.image.topics["orders"].topic_id, "partition_indexes": (0,)}
        group = {"group_id": "g", "topics": (topic,)}
        reply = await client.ask(OFFSET_FETCH, group if used < 8 else {"groups": (group,)})
        answer = reply if used < 8 else reply.groups[0]
        part = answer.topics[0].partitions[0]
        assert (error_of(answer if used > 1 else part), part.committed_offset) == ("NOT_COORDINATOR", -1)
        waiting = asyncio.create_task(client.fetch())
        await turns()
        assert not waiting.done(), "its heartbeats may only be late"
        broker.is_cut_off = False
        assert await waiting == [("orders", 42, "")]

    on_broker(run, PROPERTIES)


def test_a_coordinator_whose_log_is_damaged_sends_clients_elsewhere() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        assert await client.commit(7) == "NONE"
        move(broker, 2, 1)
        for path, content in broker.disk.files.items():
            if path.startswith("__consumer_offsets-") and path.endswith(".log") and content:
                content[61:] = bytes(len(content) - 61)
        move(broker, 1, 2)
        await turns()
        assert await client.commit(8) == "NOT_COORDINATOR"

    on_broker(run, PROPERTIES)


def move(broker: LoneBroker, leader: int, epoch: int) -> None:
    """Let somebody else lead the offsets topic."""
    for number in range(4):
        broker.change_partition("__consumer_offsets", number, leader=NodeId(leader), leader_epoch=epoch)


def test_who_waits_for_a_rebalance_is_sent_to_the_new_coordinator() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        waiting = asyncio.create_task(client.join(group_instance_id="i"))
        await turns()
        assert not waiting.done()
        move(broker, 2, 1)
        assert error_of(await waiting) == "NOT_COORDINATOR"

    on_broker(run, PROPERTIES)


def test_nothing_is_acknowledged_or_told_before_all_replicas_in_sync_have_it() -> None:
    async def run(broker: LoneBroker) -> None:
        client, reader = GroupClient(broker, 9), GroupClient(broker, 9)
        await client.prepare()
        nodes = (NodeId(1), NodeId(2))
        for number in range(4):
            broker.change_partition("__consumer_offsets", number, replicas=nodes, isr=nodes)
        commit = asyncio.create_task(client.commit(7))
        fetch = asyncio.create_task(reader.fetch())
        await asyncio.sleep(1)
        assert not commit.done() and not fetch.done()
        for number in range(4):
            broker.change_partition("__consumer_offsets", number, isr=nodes[:1])
        assert await commit == "NONE"
        assert await fetch == [("orders", 7, "")]

    on_broker(run, PROPERTIES)


def test_a_commit_that_does_not_get_through_in_time_may_be_tried_again() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        nodes = (NodeId(1), NodeId(2))
        for number in range(4):
            broker.change_partition("__consumer_offsets", number, replicas=nodes, isr=nodes)
        begun_ms = broker.world.clock.monotonic_ms()
        assert await client.commit(7) == "COORDINATOR_NOT_AVAILABLE"
        assert broker.world.clock.monotonic_ms() - begun_ms == pytest.approx(5000, abs=50)

    on_broker(run, PROPERTIES)


def test_a_commit_for_a_topic_that_does_not_exist_is_refused_beside_others() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        part = {"partition_index": 0, "committed_offset": 1}
        topics = tuple({"name": name, "partitions": (part,)} for name in ("orders", "nothing"))
        asked = {"group_id": "g", "generation_id_or_member_epoch": -1, "topics": topics}
        reply = await client.ask(OFFSET_COMMIT, asked)
        errors = [error_of(topic.partitions[0]) for topic in reply.topics]
        assert errors == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
        stranger = {"topic_id": UUID(int=77), "partitions": (part,)}
        reply = await client.client.ask(OFFSET_COMMIT, 10, {**asked, "topics": (stranger,)})
        assert error_of(reply.topics[0].partitions[0]) == "UNKNOWN_TOPIC_ID"

    on_broker(run, PROPERTIES)


def test_a_deleted_topic_takes_its_offsets_along() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 7)
        await client.prepare()
        assert await client.commit(7) == "NONE"
        topics = {name: topic for name, topic in broker.image.topics.items() if name != "orders"}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, topics=topics))
        broker.add_topic("orders")
        assert await client.fetch() == [("orders", -1, "")]

    on_broker(run, PROPERTIES)


def test_groups_are_listed_by_state_and_type() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 5)
        await client.prepare()
        await client.commit(7)
        for states, types, expected in (
            ((), (), ["g"]),
            (("Empty",), (), ["g"]),
            (("empty",), ("Classic",), ["g"]),
            (("Stable",), (), []),
            ((), ("consumer",), []),
        ):
            reply = await client.ask(LIST_GROUPS, {"states_filter": states, "types_filter": types})
            assert [group.group_id for group in reply.groups] == expected
            assert all((group.group_state, group.group_type) == ("Empty", "classic") for group in reply.groups)

    on_broker(run, PROPERTIES)


def test_the_offsets_topic_is_internal() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        reply = await client.ask(METADATA, {"topics": None})
        assert {topic.name: topic.is_internal for topic in reply.topics} == {
            "__consumer_offsets": True, "orders": False,
        }  # fmt: skip

    on_broker(run, PROPERTIES)


def test_clients_do_not_write_to_the_offsets_topic() -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        part = {"index": 0, "records": batch(b"forged")}
        topics = ({"name": "__consumer_offsets", "partition_data": (part,)},)
        asked = {"acks": -1, "timeout": timedelta(seconds=1), "topic_data": topics, "transactional_id": None}
        reply = await client.ask(PRODUCE, asked)
        assert error_of(reply.responses[0].partition_responses[0]) == "INVALID_TOPIC_EXCEPTION"
        assert broker.partition("__consumer_offsets").log.log_end_offset == 0

    on_broker(run, PROPERTIES)


@pytest.mark.parametrize("api_key", [JOIN_GROUP, SYNC_GROUP, HEARTBEAT, LEAVE_GROUP, OFFSET_DELETE])
def test_a_group_needs_a_name(api_key: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = GroupClient(broker, 9)
        await client.prepare()
        assert error_of(await client.ask(api_key, {"group_id": ""})) == "INVALID_GROUP_ID"

    on_broker(run, PROPERTIES)
