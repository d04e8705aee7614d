"""Fetch sessions (KIP-227): what is named, what is told, and what happens out of order."""

from __future__ import annotations

from random import Random
from typing import Any

from lone_broker import Client, LoneBroker, on_broker
from test_fetch import FETCH, append, fetch, parts, values

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.broker.fetch_sessions import FetchSession, FetchSessions, next_epoch
from cluster.wire import FetchPartition, FetchRequest

SLOTS = {"max.incremental.fetch.session.cache.slots": "2", "min.incremental.fetch.session.eviction.ms": "1000"}


class Reader:
    """A client with a session, which remembers offsets as a consumer does."""

    def __init__(self, client: Client, version: int = 12) -> None:
        self.client = client
        self.version = version
        self.session_id = 0
        self.epoch = 0

    async def ask(self, *wanted: Any, forget: tuple[str, ...] = (), **more: Any) -> Any:
        forgotten = [{"topic": topic, "partitions": [0]} for topic in forget]
        more.setdefault("max_wait_ms", 0)
        message = fetch(
            *wanted,
            session_id=self.session_id,
            session_epoch=self.epoch,
            forgotten_topics_data=forgotten,
            **more,
        )
        reply = await self.client.ask(FETCH, self.version, message)
        if ErrorCode(reply.error_code.value) is ErrorCode.NONE:
            self.session_id, self.epoch = reply.session_id, self.epoch + 1
        return reply


def told(reply: Any) -> dict[str, list[bytes | None]]:
    """What a response says, by topic."""
    return {topic.topic: values(topic.partitions[0]) for topic in reply.responses}


def error(reply: Any) -> str:
    return ErrorCode(reply.error_code.value).name


def test_only_partitions_with_news_are_told() -> None:
    async def run(broker: LoneBroker) -> None:
        for topic in ("a", "b", "c"):
            broker.add_topic(topic)
        append(broker, "b", b"1")
        reader = Reader(broker.client())
        reply = await reader.ask(("a", 0), ("b", 0), ("c", 0))
        assert told(reply) == {"a": [], "b": [b"1"], "c": []} and reader.session_id > 0
        assert told(await reader.ask(("b", 1))) == {}, "nothing is new"
        append(broker, "c", b"2")
        assert told(await reader.ask()) == {"c": [b"2"]}, "what is not named goes on as it was"
        assert told(await reader.ask()) == {"c": [b"2"]}, "it was not acknowledged by another offset"
        assert told(await reader.ask(("c", 1))) == {}
        broker.partition("a").delete_records(0)
        append(broker, "a", b"3")
        append(broker, "b", b"4")
        assert told(await reader.ask(forget=("a",))) == {"b": [b"4"]}, "what is forgotten is not told"

    on_broker(run)


def test_a_moved_high_watermark_or_log_start_is_news() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        append(broker, "a", b"1")
        reader = Reader(broker.client())
        await reader.ask(("a", 1))
        append(broker, "a", b"2")
        await reader.ask(("a", 2))
        assert told(await reader.ask(("a", 2))) == {}
        broker.partition("a").delete_records(1)
        (part,) = parts(await reader.ask())
        assert (part.log_start_offset, part.high_watermark) == (1, 2)
        assert parts(await reader.ask()) == []

    on_broker(run)


def test_an_error_is_told_every_time_and_then_everything_again() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        reader = Reader(broker.client())
        await reader.ask(("a", 0))
        broker.change_partition("a", 0, leader=NodeId(2), leader_epoch=1)
        for _ in range(2):
            (part,) = parts(await reader.ask())
            assert error(part) == "NOT_LEADER_OR_FOLLOWER"
        broker.change_partition("a", 0, leader=NodeId(1), leader_epoch=2)
        (part,) = parts(await reader.ask())
        assert error(part) == "NONE"
        assert parts(await reader.ask()) == []

    on_broker(run)


def test_requests_out_of_order_and_unknown_sessions_are_refused() -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = broker.add_topic("a")
        reader = Reader(broker.client())
        await reader.ask(("a", 0))
        reader.epoch = 5
        assert error(await reader.ask()) == "INVALID_FETCH_SESSION_EPOCH"
        reader.epoch, reader.version = 1, 13
        assert error(await reader.ask((topic_id, 0))) == "FETCH_SESSION_TOPIC_ID_ERROR"
        reader.version, reader.session_id = 12, reader.session_id + 1
        reply = await reader.ask()
        assert (error(reply), reply.session_id, parts(reply)) == ("FETCH_SESSION_ID_NOT_FOUND", 0, [])

    on_broker(run)


def test_a_session_ends_when_it_is_closed_or_wants_nothing_any_more() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        sessions = broker.context.fetch_sessions
        reader = Reader(broker.client())
        await reader.ask(("a", 0))
        assert len(sessions) == 1
        assert (await reader.ask(forget=("a",))).session_id == 0 and len(sessions) == 0
        reader = Reader(broker.client())
        await reader.ask(("a", 0))
        reader.epoch = -1
        assert (await reader.ask(("a", 0))).session_id == 0 and len(sessions) == 0
        reader.session_id, reader.epoch = 0, -1
        assert (await reader.ask(("a", 0))).session_id == 0, "whoever wants no session gets none"

    on_broker(run)


def test_a_held_fetch_of_a_session_is_answered_when_something_that_it_does_not_name_moves() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        broker.add_topic("b")
        reader = Reader(broker.client())
        await reader.ask(("a", 0), ("b", 0))
        broker.loop.call_later(0.2, append, broker, "b", b"1")
        assert told(await reader.ask(max_wait_ms=5000)) == {"b": [b"1"]}

    on_broker(run)


def test_partitions_take_turns_when_a_response_is_full() -> None:
    async def run(broker: LoneBroker) -> None:
        for topic in ("a", "b", "c"):
            broker.add_topic(topic)
            append(broker, topic, b"x" * 500)
        reader = Reader(broker.client())
        seen = [told(await reader.ask(("a", 0), ("b", 0), ("c", 0), max_bytes=1))]
        seen += [told(await reader.ask(max_bytes=1)) for _ in range(2)]
        assert [topic for reply in seen for topic, found in reply.items() if found] == ["a", "b", "c"]

    on_broker(run)


def message(*topics: str) -> FetchRequest:
    wanted: Any = [(topic, [FetchPartition(0, 0, 1000)]) for topic in topics]
    return FetchRequest(-1, 0, 0, 0, 0, 0, 0, wanted, [], "")


def begun(sessions: FetchSessions, now_ms: int, *topics: str) -> int:
    session = sessions.begin(message(*topics), False, now_ms)
    return 0 if session is None else session.session_id


def test_a_full_cache_makes_room_for_anybody_when_one_is_idle_and_for_the_larger_when_one_is_old() -> None:
    sessions = FetchSessions(Configs.of(SLOTS), Random(1))
    first, second = begun(sessions, 0, "a", "b"), begun(sessions, 10, "a")
    assert first and second
    assert begun(sessions, 1000, "a", "b", "c") == 0, "nobody is idle or old"
    assert begun(sessions, 1001, "a"), "the first one was idle for long enough"
    second_session = sessions.find(message()._replace(session_id=second, session_epoch=1), False, 1002)
    assert isinstance(second_session, FetchSession)
    assert begun(sessions, 1500, "a") == 0, "the old one is as large"
    assert begun(sessions, 1500, "a", "b"), "the old one is smaller"
    found = sessions.find(message()._replace(session_id=second, session_epoch=2), False, 1501)
    assert found is ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_epochs_begin_again_at_one() -> None:
    assert [next_epoch(epoch) for epoch in (0, 1, 2**31 - 2, 2**31 - 1)] == [1, 2, 2**31 - 1, 1]
