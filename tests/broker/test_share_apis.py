"""Share groups on one broker (KIP-932): sessions, records, acknowledgements, locks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from lone_broker import EPOCH_MS, LoneBroker, error_of, on_broker
from share_client import (
    ALTER_OFFSETS,
    PROPERTIES,
    held,
    prepared,
    start_offset,
    write,
    write_batch,
)

from cluster.base.ids import NodeId
from cluster.metadata import GROUP_RESOURCE
from cluster.records import EndMarker, build_batch
from cluster.sharing import ACCEPT, REJECT, RELEASE
from cluster.storage import EpochEndOffset, compact, dirt_of


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
