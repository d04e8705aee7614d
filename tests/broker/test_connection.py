"""Connections and the router: frames in pieces, order, back-pressure, and whatever a stranger may send."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.index import load_request_schema
from kio.schema.index import api_key_map
from kio.static.primitive import Records
from lone_broker import Client, LoneBroker, batch, encoded, encoded_request, on_broker, three_replicas, turns
from test_produce import produce, result_of

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.base.limits import CONNECTION_REPLIES_PENDING_MAX
from cluster.broker import APIS, api_table
from cluster.broker.deadlines import Deadlines
from cluster.wire import FrameBuffer, MalformedMessage, is_flexible, version_range

PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18
st.register_type_strategy(Records, st.binary(max_size=300))
SOFTWARE = {"client_software_name": "test", "client_software_version": "1.0"}


def test_requests_that_arrive_byte_by_byte_are_served() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        body = encoded_request(PRODUCE, 9, produce("orders", batch(b"a")))
        client.send_bytes(client.frame(PRODUCE, 9, body) + client.frame(PRODUCE, 9, body), piece_bytes=1)
        await turns()
        assert [result_of(reply).base_offset for reply in client.replies()] == [0, 1]

    on_broker(run)


def test_a_request_larger_than_any_buffer_arrives_whole() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        value = random.Random(1).randbytes(900_000)
        for _ in range(2):
            client.send_bytes(
                client.frame(PRODUCE, 9, encoded_request(PRODUCE, 9, produce("orders", batch(value)))), 7777
            )
        assert [result_of(reply).base_offset for reply in await all_replies(client)] == [0, 1]

    on_broker(run)


async def all_replies(client: Client) -> list[Any]:
    await turns()
    return client.replies()


@given(st.lists(st.binary(max_size=40_000), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_frames_come_out_as_they_went_in(frames: list[bytes], rng: Any) -> None:
    stream = b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)
    buffer = FrameBuffer()
    found = []
    while stream:
        room = buffer.room()
        assert len(room) > 0
        size = min(len(room), len(stream), rng.choice([1, 3, 100, 10_000, 1 << 20]) if len(stream) < 500 else 9000)
        room[:size] = stream[:size]
        stream = stream[size:]
        buffer.received(size)
        while (frame := buffer.next_frame()) is not None:
            found.append(bytes(frame))
    assert found == frames


def test_a_size_that_is_only_claimed_takes_no_memory() -> None:
    buffer = FrameBuffer()
    room = buffer.room()
    room[:4] = struct.pack(">i", 90_000_000)
    buffer.received(4)
    assert buffer.next_frame() is None
    buffer.room()
    assert buffer.capacity_bytes < 1 << 20


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31 - 1, 200_000_000])
def test_an_impossible_size_closes_the_connection(size: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        client.send_bytes(struct.pack(">i", size))
        assert client.transport.is_closed

    on_broker(run)


def test_the_largest_request_is_configurable() -> None:
    buffer = FrameBuffer(1000)
    room = buffer.room()
    room[:4] = struct.pack(">i", 1001)
    buffer.received(4)
    with pytest.raises(MalformedMessage, match="1001"):
        buffer.next_frame()


def test_an_unknown_version_of_api_versions_is_answered_in_version_0() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        client.send_bytes(client.frame(API_VERSIONS, 4, b"").replace(b"\x00\x12\x00\x04", b"\x00\x12\x00\x63"))
        client.sent[0] = (API_VERSIONS, 0, client.sent[0][2])
        (reply,) = await all_replies(client)
        assert ErrorCode(reply.error_code.value) is ErrorCode.UNSUPPORTED_VERSION
        assert [(one.api_key, one.min_version, one.max_version) for one in reply.api_keys] == [(18, 0, 4)]
        reply = await client.ask(API_VERSIONS, 4, SOFTWARE)  # the connection lives
        assert len(reply.api_keys) == len(APIS)

    on_broker(run)


@pytest.mark.parametrize(("api_key", "version"), [(999, 0), (-1, 0), (11, 0), (0, 2), (0, 14), (3, -1), (1, 99)])
def test_other_unknown_apis_and_versions_close_the_connection(api_key: int, version: int, caplog: Any) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        payload = struct.pack(">hhih", api_key, version, 1, -1) + b"\x00" * 8
        client.send_bytes(struct.pack(">i", len(payload)) + payload)
        assert client.transport.is_closed
        assert "closing the connection" in caplog.text

    on_broker(run)


def test_the_replies_before_a_malformed_request_are_sent() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        good = client.frame(API_VERSIONS, 0, b"")
        client.send_bytes(good + struct.pack(">i", 3) + b"abc")
        assert client.transport.is_closed
        assert len(client.replies()) == 1

    on_broker(run)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_frame_makes_the_broker_fail(data: Any) -> None:
    """Requests of every API and version, mutated: answered, or the connection is closed; never an exception."""
    api = data.draw(st.sampled_from(APIS))
    version = data.draw(st.integers(api.oldest, api.newest))
    message = data.draw(st.from_type(load_request_schema(api.key, version)))
    mutations = data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
    cut = data.draw(st.integers(0, 30)) if data.draw(st.booleans()) else 0

    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        body = bytearray(encoded(message))
        for position, value in mutations:
            if position < len(body):
                body[position] = value
        frame = client.frame(api.key, version, bytes(body[: len(body) - cut] if cut else body))
        client.send_bytes(frame)
        await asyncio.sleep(70)
        healthy = broker.client()
        assert len((await healthy.ask(API_VERSIONS, 0, {})).api_keys) == len(APIS)

    on_broker(run)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_broker_fail(data: bytes) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        client.send_bytes(data)
        client.send_bytes(struct.pack(">i", len(data)) + data)
        await turns()

    on_broker(run)


def test_a_bug_in_a_handler_closes_one_connection_and_is_reported(monkeypatch: Any) -> None:
    async def run(broker: LoneBroker) -> None:
        client, other = broker.client(), broker.client()
        monkeypatch.setattr(broker.replicas, "get", lambda _: 1 // 0)
        client.send(PRODUCE, 9, produce("orders", batch(b"a")))
        assert client.transport.is_closed
        assert len((await other.ask(API_VERSIONS, 0, {})).api_keys) == len(APIS)
        assert [type(problem["exception"]) for problem in broker.loop.problems] == [ZeroDivisionError]

    on_broker(run, may_fail=True)


def test_a_client_that_asks_too_much_is_not_read_until_it_was_answered() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        frame = client.frame(PRODUCE, 9, encoded_request(PRODUCE, 9, produce("orders", batch(b"a"), timeout_ms=60_000)))
        count = CONNECTION_REPLIES_PENDING_MAX + 50
        client.send_bytes(frame * count)
        client.sent = client.sent * count
        await turns()
        assert client.transport.reading_paused
        log = broker.partition("orders").log
        assert log.log_end_offset == CONNECTION_REPLIES_PENDING_MAX
        broker.change_partition("orders", 0, isr=(NodeId(1),))
        await turns()
        assert log.log_end_offset == count
        assert len(client.replies()) == count
        assert not client.transport.reading_paused

    on_broker(run)


def test_nothing_stays_behind_when_replies_leave_in_the_turn_in_which_the_queue_is_full() -> None:
    """No more bytes may come to remind of what is in the buffer: a client that waits for its replies sends none."""

    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        frame = client.frame(PRODUCE, 9, encoded_request(PRODUCE, 9, produce("orders", batch(b"a"), timeout_ms=60_000)))
        client.sent = client.sent * (CONNECTION_REPLIES_PENDING_MAX + 40)
        client.send_bytes(frame * (CONNECTION_REPLIES_PENDING_MAX - 10))
        broker.change_partition("orders", 0, isr=(NodeId(1),))  # all of them are ready now, and none is sent yet
        client.send_bytes(frame * 50)
        await turns()
        assert len(client.replies()) == CONNECTION_REPLIES_PENDING_MAX + 40
        assert not client.transport.reading_paused

    on_broker(run)


def test_a_client_that_does_not_read_is_not_served() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        client.connection.pause_writing()
        for _ in range(3):
            client.send(PRODUCE, 9, produce("orders", batch(b"a")))
        await turns()
        assert broker.partition("orders").log.log_end_offset <= 1
        client.connection.resume_writing()
        await turns()
        assert [result_of(reply).base_offset for reply in client.replies()] == [0, 1, 2]

    on_broker(run)


def test_replies_that_are_ready_together_leave_together() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        body = encoded_request(PRODUCE, 9, produce("orders", batch(b"a")))
        client.send_bytes(b"".join(client.frame(PRODUCE, 9, body) for _ in range(20)))
        broker.change_partition("orders", 0, isr=(NodeId(1),))
        await turns()
        assert len(client.transport.writes) == 1
        assert len(client.replies()) == 20

    on_broker(run)


def test_the_registry_has_every_version_that_kio_offers() -> None:
    for api in APIS:
        assert (api.oldest, api.newest) == version_range(api.key), api.name
        for version in range(api.oldest, api.newest + 1):
            assert is_flexible(api.key, version) == (version >= api.flexible_from), (api.name, version)
        assert api.name.lower() == api_key_map[api.key].replace("_", "")
        assert f"| {api.key} | {api.name} | {api.oldest} to {api.newest} |" in api_table()
    assert [api.key for api in APIS] == sorted(api.key for api in APIS)


def test_deadlines_are_kept_in_order_and_forgotten_when_cancelled() -> None:
    async def run(broker: LoneBroker) -> None:
        due: list[str] = []
        deadlines = Deadlines(broker.world.clock)
        third = deadlines.set(300, lambda: due.append("cancelled"))
        deadlines.set(200, lambda: due.append("second"))
        deadlines.set(100, lambda: due.append("first"))
        deadlines.set(200, lambda: due.append("also second"))
        deadlines.set(-5, lambda: due.append("at once"))
        third.cancel()
        third.cancel()
        await asyncio.sleep(0.15)
        assert due == ["at once", "first"]
        await asyncio.sleep(1)
        assert due == ["at once", "first", "second", "also second"]
        assert len(deadlines) == 0

    on_broker(run)


def test_a_deadline_that_fails_takes_no_other_with_it() -> None:
    async def run(broker: LoneBroker) -> None:
        due: list[str] = []
        deadlines = Deadlines(broker.world.clock)
        deadlines.set(100, lambda: due.append(str(1 // 0)))
        deadlines.set(100, lambda: due.append("same moment"))
        deadlines.set(200, lambda: due.append("later"))
        await asyncio.sleep(1)
        assert due == ["same moment", "later"]
        assert [type(problem["exception"]) for problem in broker.loop.problems] == [ZeroDivisionError]

    on_broker(run, may_fail=True)


def test_a_deadline_that_sets_a_later_one_holds_up_nothing_that_is_due_before() -> None:
    async def run(broker: LoneBroker) -> None:
        due: list[str] = []
        deadlines = Deadlines(broker.world.clock)
        deadlines.set(100, lambda: deadlines.set(60_000, lambda: due.append("in a minute")) and None)
        deadlines.set(200, lambda: due.append("soon"))
        await asyncio.sleep(1)
        assert due == ["soon"]

    on_broker(run)
