"""ShareFetch (API 78), versions 1 and 2: records for one member of a share group, which others do not get meanwhile.

A member reads from the leaders of its partitions, in a session of its own with each. Whole batches are given, each
offset under an acquisition lock; `acquired_records` says which ones, the rest is to be skipped. Held until there is
something, a lock ends, or `max_wait_ms` is over; while the share coordinator is not there to say where the group is,
there is nothing. The request may carry acknowledgements (see `share_acknowledge`); they are taken in first. Epoch 0
begins the session, -1 ends it and releases what was not acknowledged.

Errors: SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, INVALID_REQUEST; by partition NOT_LEADER_OR_FOLLOWER and
what becomes of the state that is kept. Version 2 can renew locks (KIP-1222); its mode that holds to the exact number of
records is answered in whole batches (departure).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import milliseconds
from cluster.broker.partitions import MOVED, current_leader, endpoints_of
from cluster.broker.share_partitions import NOTHING, Delivered, LedShare, share_limits
from cluster.broker.share_sessions import FINAL_EPOCH, INITIAL_EPOCH, SharedPartition, ShareSession
from cluster.sharing import Acknowledgement, SharePartitionKey
from cluster.wire import Fields, Message

Acknowledged = dict[SharedPartition, ErrorCode]


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Take acknowledgements in, then give what there is, or wait for it."""
    group_id, member_id = message.group_id, message.member_id
    if not group_id or not member_id:
        return {"error_code": ErrorCode.INVALID_REQUEST, "responses": (), "node_endpoints": ()}
    session = context.share_sessions.find(group_id, member_id, message.share_session_epoch)
    if isinstance(session, ErrorCode):
        return {"error_code": session, "responses": (), "node_endpoints": ()}
    said = acknowledgements_of(message)
    if message.share_session_epoch == INITIAL_EPOCH and said:
        return {"error_code": ErrorCode.INVALID_REQUEST, "responses": (), "node_endpoints": ()}
    acknowledged = await acknowledge(context, session, said)
    if message.share_session_epoch == FINAL_EPOCH:
        await release(context, session)
        return _response(context, session, acknowledged, {})
    asked = [(topic.topic_id, part.partition_index) for topic in message.topics for part in topic.partitions]
    forgotten = [(topic.topic_id, number) for topic in message.forgotten_topics_data for number in topic.partitions]
    _look_for_resets(context, session, session.take(asked, forgotten))
    found = await _fetch(context, session, message)
    return _response(context, session, acknowledged, found)


# --- acknowledging, shared with ShareAcknowledge ---------------------------------------------------


def acknowledgements_of(message: Message) -> dict[SharedPartition, list[Acknowledgement]]:
    """Return what a request says of records, by partition."""
    return {
        (topic.topic_id, part.partition_index): [
            Acknowledgement(batch.first_offset, batch.last_offset, tuple(batch.acknowledge_types))
            for batch in part.acknowledgement_batches
        ]
        for topic in message.topics
        for part in topic.partitions
        if part.acknowledgement_batches
    }


async def acknowledge(
    context: BrokerContext, session: ShareSession, said: Mapping[SharedPartition, Sequence[Acknowledgement]]
) -> Acknowledged:
    """Have acknowledgements taken in and kept, of all partitions at once; return what became of each partition's."""

    async def one(partition: SharedPartition, acknowledgements: Sequence[Acknowledgement]) -> ErrorCode:
        led = await context.share_partitions.find(SharePartitionKey(session.group_id, *partition))
        return led if isinstance(led, ErrorCode) else await led.acknowledge(session.member_id, acknowledgements)

    errors = await asyncio.gather(*(one(*each) for each in said.items()))
    return dict(zip(said, errors, strict=True))


async def release(context: BrokerContext, session: ShareSession) -> None:
    """The member ends its session: what it did not acknowledge is for others."""
    held = [_led_here(context, session, partition) for partition in session.partitions]
    await asyncio.gather(*(led.release_all_of(session.member_id) for led in held if isinstance(led, LedShare)))
    if not context.share_sessions.has_group(session.group_id):
        context.share_partitions.forget_group(session.group_id)


def _led_here(context: BrokerContext, session: ShareSession, partition: SharedPartition) -> LedShare | ErrorCode:
    return context.share_partitions.led_here(SharePartitionKey(session.group_id, *partition))


def _look_for_resets(context: BrokerContext, session: ShareSession, partitions: Sequence[SharedPartition]) -> None:
    for partition in partitions:
        led = _led_here(context, session, partition)
        if isinstance(led, LedShare):
            led.look()


# --- fetching --------------------------------------------------------------------------------------

Found = dict[SharedPartition, Delivered | ErrorCode]


async def _fetch(context: BrokerContext, session: ShareSession, message: Message) -> Found:
    """Give what there is; when there is nothing, wait for something to move, as long as the member does."""
    deadline_ms = context.clock.monotonic_ms() + milliseconds(message.max_wait)
    while True:
        moved = asyncio.Event()
        endings: list[Callable[[], object]] = []
        try:
            found = _read(context, session, message, moved, endings)
            left_ms = deadline_ms - context.clock.monotonic_ms()
            if found or left_ms <= 0:
                return found
            try:
                async with asyncio.timeout(left_ms / 1000):
                    await moved.wait()
            except TimeoutError:
                return {}
        finally:
            for end in endings:
                end()


def _read(
    context: BrokerContext,
    session: ShareSession,
    message: Message,
    moved: asyncio.Event,
    endings: list[Callable[[], object]],
) -> Found:
    found: Found = {}
    records_left, bytes_left = max(message.max_records, 1), message.max_bytes
    for partition in tuple(session.partitions):
        if records_left <= 0 or bytes_left <= 0:
            break
        led = _led_here(context, session, partition)
        if isinstance(led, ErrorCode):
            found[partition] = led
            continue
        endings.append(led.when_released(moved.set))
        if not led.is_ready:
            led.look()
            continue
        endings.append(context.replicas.watch([led.partition.topic_partition], moved.set).cancel)
        delivered = led.deliver(session.member_id, bytes_left, records_left)
        if isinstance(delivered, ErrorCode):
            found[partition] = delivered
        elif delivered.acquired:
            found[partition] = delivered
            session.served(partition)
            bytes_left -= len(delivered.records)
            records_left -= sum(last - first + 1 for first, last, _ in delivered.acquired)
    return found


def _response(context: BrokerContext, session: ShareSession, acknowledged: Acknowledged, found: Found) -> Fields:
    topics: dict[Any, list[Fields]] = {}
    leaders: list[tuple[int, int] | None] = []
    for partition in dict.fromkeys((*acknowledged, *found)):
        topic_id, number = partition
        result = found.get(partition, NOTHING)
        error, delivered = (result, NOTHING) if isinstance(result, ErrorCode) else (ErrorCode.NONE, result)
        said = acknowledged.get(partition, ErrorCode.NONE)
        leader = current_leader(context, topic_id, number) if error in MOVED or said in MOVED else None
        leaders.append(leader)
        topics.setdefault(topic_id, []).append(
            {
                "partition_index": number,
                "error_code": error,
                "error_message": None,
                "acknowledge_error_code": int(said),
                "acknowledge_error_message": None,
                "current_leader": leader_fields(leader),
                "records": delivered.records,
                "acquired_records": [
                    {"first_offset": first, "last_offset": last, "delivery_count": count}
                    for first, last, count in delivered.acquired
                ],
            }
        )
    return {
        "error_code": ErrorCode.NONE,
        "acquisition_lock_timeout": lock_timeout(context, session.group_id),
        "responses": [{"topic_id": topic_id, "partitions": parts} for topic_id, parts in topics.items()],
        "node_endpoints": endpoint_fields(context, leaders),
    }


def leader_fields(leader: tuple[int, int] | None) -> Fields:
    """Return who leads, as responses say it."""
    leader_id, epoch = (0, 0) if leader is None else leader
    return {"leader_id": leader_id, "leader_epoch": epoch}


def endpoint_fields(context: BrokerContext, leaders: Sequence[tuple[int, int] | None]) -> list[Fields]:
    """Return where leaders listen, as responses say it."""
    return [
        {"node_id": each.node_id, "host": each.host, "port": each.port, "rack": each.rack}
        for each in endpoints_of(context, leaders)
    ]


def lock_timeout(context: BrokerContext, group_id: str) -> timedelta:
    """Return how long acquisition locks of a group last."""
    return timedelta(milliseconds=share_limits(context, group_id).lock_duration_ms)
