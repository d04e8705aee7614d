"""The transaction APIs on one broker, from the first request to what a reader of committed records sees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lone_broker import Client, LoneBroker, batch, encoded_request, on_broker, registration, turns

from cluster.base.errors import ErrorCode
from cluster.base.limits import CONNECTION_BYTES_PENDING_MAX
from cluster.transactions import InitRequest

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_FETCH, FIND_COORDINATOR, INIT_PRODUCER_ID = 0, 1, 2, 9, 10, 22
ADD_PARTITIONS, ADD_OFFSETS, END_TXN, WRITE_TXN_MARKERS, TXN_OFFSET_COMMIT = range(24, 29)
DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 61, 65, 66
PROPERTIES = {
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.min.isr": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
}


def name_of(error_code: Any) -> str:
    name: str = error_code.name.upper()
    return name


class Transactor:
    """A transactional producer of one topic, spoken byte by byte, and a reader of committed records."""

    def __init__(self, broker: LoneBroker) -> None:
        self.broker = broker
        self.client: Client = broker.client()
        self.producer = (-1, -1)
        self._sequence = 0

    async def prepare(self, timeout_s: float = 60.0) -> None:
        self.broker.set_image(replace(self.broker.image, offset=2, brokers={1: registration(1)}))
        self.broker.add_topic("orders")
        await self.client.ask(FIND_COORDINATOR, 4, {"key_type": 1, "coordinator_keys": ("t",)})
        await self.client.ask(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": ("g",)})
        await turns()
        assert await self.init(timeout_s) == "NONE"

    async def init(self, timeout_s: float = 60.0) -> str:
        fields = {"transactional_id": "t", "transaction_timeout": timedelta(seconds=timeout_s)}
        reply = await self.client.ask(INIT_PRODUCER_ID, 4, {**fields, "producer_id": -1, "producer_epoch": -1})
        self.producer, self._sequence = (reply.producer_id, reply.producer_epoch), 0
        return name_of(reply.error_code)

    @property
    def identity(self) -> dict[str, Any]:
        return {"transactional_id": "t", "producer_id": self.producer[0], "producer_epoch": self.producer[1]}

    async def add(self, topic: str = "orders") -> str:
        topics = ({"name": topic, "partitions": (0,)},)
        fields = {f"v3_and_below_{key}": value for key, value in {**self.identity, "topics": topics}.items()}
        reply = await self.client.ask(ADD_PARTITIONS, 3, fields)
        return name_of(reply.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)

    async def send(self, *values: bytes, version: int = 9) -> str:
        reply = await self.client.ask(PRODUCE, version, self.produce(*values))
        error = name_of(reply.responses[0].partition_responses[0].error_code)
        self._sequence += len(values) if error == "NONE" else 0
        return error

    def produce(self, *values: bytes) -> dict[str, Any]:
        records = batch(
            *values,
            producer_id=self.producer[0],
            producer_epoch=self.producer[1],
            base_sequence=self._sequence,
            transactional=True,
        )
        topic: dict[str, Any] = {"name": "orders", "partition_data": ({"index": 0, "records": records},)}
        return {"transactional_id": "t", "acks": -1, "timeout": timedelta(seconds=10), "topic_data": (topic,)}

    async def end(self, is_commit: bool, version: int = 3) -> str:
        reply = await self.client.ask(END_TXN, version, {**self.identity, "committed": is_commit})
        if version >= 5 and name_of(reply.error_code) == "NONE":
            self.producer, self._sequence = (reply.producer_id, reply.producer_epoch), 0
        return name_of(reply.error_code)

    async def settled(self) -> None:
        """Wait until nothing is being ended."""
        while any(row.transaction_state.startswith("Prepare") for row in await self.listed()):
            await turns()

    async def listed(self, **filters: Any) -> Sequence[Any]:
        fields = {"state_filters": (), "producer_id_filters": (), "duration_filter": -1, **filters}
        reply = await self.client.ask(LIST_TRANSACTIONS, 2, {**fields})
        assert name_of(reply.error_code) == "NONE"
        states: Sequence[Any] = reply.transaction_states
        return states

    async def fetched(self, isolation_level: int = 1) -> Any:
        part = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20, "log_start_offset": -1}
        fields = {
            "max_wait": timedelta(0),
            "min_bytes": 1,
            "max_bytes": 1 << 20,
            "isolation_level": isolation_level,
            "topics": ({"topic": "orders", "partitions": (part,)},),
        }
        return (await self.client.ask(FETCH, 4, fields)).responses[0].partitions[0]

    async def latest(self, isolation_level: int) -> int:
        topic = {"name": "orders", "partitions": ({"partition_index": 0, "timestamp": -1},)}
        reply = await self.client.ask(LIST_OFFSETS, 2, {"isolation_level": isolation_level, "topics": (topic,)})
        offset: int = reply.topics[0].partitions[0].offset
        return offset


def transacting(test: Any, timeout_s: float = 60.0) -> None:
    async def run(broker: LoneBroker) -> None:
        transactor = Transactor(broker)
        await transactor.prepare(timeout_s)
        await test(transactor)

    on_broker(run, PROPERTIES)


def test_readers_of_committed_records_wait_for_the_end_of_a_transaction() -> None:
    async def test(producer: Transactor) -> None:
        assert await producer.add() == "NONE"
        assert await producer.send(b"a", b"b") == "NONE"
        found = await producer.fetched()
        assert (found.last_stable_offset, found.high_watermark, len(found.records or b"")) == (0, 2, 0)
        assert (await producer.latest(0), await producer.latest(1)) == (2, 0)
        assert await producer.end(True) == "NONE"
        await producer.settled()
        found = await producer.fetched()
        assert (found.last_stable_offset, found.high_watermark, found.aborted_transactions) == (3, 3, ())
        assert await producer.latest(1) == 3

    transacting(test)


def test_readers_of_committed_records_are_told_what_was_aborted() -> None:
    async def test(producer: Transactor) -> None:
        assert [await producer.add(), await producer.send(b"a"), await producer.end(False)] == ["NONE"] * 3
        await producer.settled()
        (aborted,) = (await producer.fetched()).aborted_transactions
        assert (aborted.producer_id, aborted.first_offset) == (producer.producer[0], 0)
        assert (await producer.fetched(isolation_level=0)).aborted_transactions is None

    transacting(test)


def test_a_batch_of_a_transaction_that_is_not_open_is_refused() -> None:
    async def test(producer: Transactor) -> None:
        assert await producer.send(b"hanging") == "INVALID_TXN_STATE"
        assert await producer.send(b"hanging", version=11) == "TRANSACTION_ABORTABLE"
        assert await producer.latest(0) == 0
        assert await producer.send(b"implied", version=12) == "NONE", "from version 12 on the leader adds the partition"
        zombie = Transactor(producer.broker)
        zombie.producer = producer.producer
        assert await producer.init() == "CONCURRENT_TRANSACTIONS"
        await producer.settled()
        assert await producer.init() == "NONE"
        assert await zombie.add() == "PRODUCER_FENCED"
        assert await zombie.send(b"late") == "INVALID_PRODUCER_EPOCH"

    transacting(test)


def test_every_end_raises_the_epoch_of_a_new_producer() -> None:
    async def test(producer: Transactor) -> None:
        epochs = []
        for number in range(3):
            assert await producer.send(b"%d" % number, version=12) == "NONE"
            assert await producer.end(number % 2 == 0, version=5) == "NONE"
            epochs.append(producer.producer[1])
        assert epochs == [1, 2, 3]

    transacting(test)


def test_a_transaction_that_takes_too_long_is_aborted() -> None:
    async def test(producer: Transactor) -> None:
        assert [await producer.add(), await producer.send(b"a")] == ["NONE", "NONE"]
        while await producer.latest(1) == 0:
            await turns()
            await producer.broker.context.when_image(lambda _: False, 50)
        assert [row.transaction_state for row in await producer.listed()] == ["CompleteAbort"]
        assert await producer.end(True) == "PRODUCER_FENCED"

    transacting(test, timeout_s=1.0)


@pytest.mark.parametrize("is_commit", [True, False])
def test_offsets_of_a_transaction_count_when_it_is_committed(is_commit: bool) -> None:
    async def test(producer: Transactor) -> None:
        part = {"partition_index": 0, "committed_offset": 7, "committed_leader_epoch": -1, "committed_metadata": ""}
        topic = {"name": "orders", "partitions": (part,)}
        fields = {**producer.identity, "group_id": "g", "generation_id": -1, "member_id": "", "topics": (topic,)}

        async def commit() -> str:
            reply = await producer.client.ask(TXN_OFFSET_COMMIT, 3, fields)
            return name_of(reply.topics[0].partitions[0].error_code)

        async def committed(stable: bool) -> tuple[int, str]:
            asked = {"name": "orders", "partition_indexes": (0,)}
            whole = {"group_id": "g", "topics": (asked,), "require_stable": stable}
            found = (await producer.client.ask(OFFSET_FETCH, 7, whole)).topics[0].partitions[0]
            return found.committed_offset, name_of(found.error_code)

        assert await commit() == "INVALID_TXN_STATE"
        added = await producer.client.ask(ADD_OFFSETS, 3, {**producer.identity, "group_id": "g"})
        assert name_of(added.error_code) == "NONE"
        assert await commit() == "NONE"
        assert await committed(stable=False) == (-1, "NONE")
        assert await committed(stable=True) == (-1, "UNSTABLE_OFFSET_COMMIT")
        assert await producer.end(is_commit) == "NONE"
        await producer.settled()
        assert await committed(stable=True) == (7 if is_commit else -1, "NONE")

    transacting(test)


def test_admins_find_and_end_what_is_open() -> None:
    async def test(producer: Transactor) -> None:
        assert [await producer.add(), await producer.send(b"a")] == ["NONE", "NONE"]
        assert [row.transactional_id for row in await producer.listed(state_filters=("Ongoing",))] == ["t"]
        assert not await producer.listed(transactional_id_pattern="other.*")
        assert [row.transactional_id for row in await producer.listed(transactional_id_pattern="[t-v]")] == ["t"]
        described = await producer.client.ask(DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": ("t", "u")})
        found, missing = described.transaction_states
        assert (found.transaction_state, found.topics[0].topic) == ("Ongoing", "orders")
        assert name_of(missing.error_code) == "TRANSACTIONAL_ID_NOT_FOUND"
        where = {"topics": ({"name": "orders", "partition_indexes": (0,)},)}

        async def open_since() -> int:
            reply = await producer.client.ask(DESCRIBE_PRODUCERS, 0, where)
            start: int = reply.topics[0].partitions[0].active_producers[0].current_txn_start_offset
            return start

        assert await open_since() == 0
        marker = {"transaction_result": False, "coordinator_epoch": 0, **where}
        identity = {"producer_id": producer.producer[0], "producer_epoch": producer.producer[1]}
        reply = await producer.client.ask(WRITE_TXN_MARKERS, 1, {"markers": ({**marker, **identity},)})
        assert name_of(reply.markers[0].topics[0].partitions[0].error_code) == "NONE"
        assert await open_since() == -1

    transacting(test)


def test_no_pattern_keeps_a_broker_busy_and_none_that_is_broken_is_taken() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        name = "a" * 40 + "!"
        request = InitRequest(name, 60_000, spare_producer_id=77)
        await broker.context.transactions.decide(name, lambda shard, token, now: shard.initialise(token, request, now))
        assert not await producer.listed(transactional_id_pattern="(a+)+")
        fields = {"state_filters": (), "producer_id_filters": (), "duration_filter": -1}
        broken = {**fields, "transactional_id_pattern": "(?=a)"}
        reply = await producer.client.ask(LIST_TRANSACTIONS, 2, broken)
        assert name_of(reply.error_code) == "INVALID_REGULAR_EXPRESSION", "RE2 looks at nothing twice"

    on_broker(run, PROPERTIES)


def test_a_marker_has_its_partition_synced_where_a_topic_asks_for_that() -> None:
    """The high watermark waits for the sync, and nobody else may append for long."""

    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        assert [await producer.add(), await producer.send(b"a")] == ["NONE", "NONE"]
        marker = {
            "producer_id": producer.producer[0],
            "producer_epoch": producer.producer[1],
            "transaction_result": True,
            "coordinator_epoch": 0,
            "topics": ({"name": "orders", "partition_indexes": (0,)},),
        }
        reply = await producer.client.ask(WRITE_TXN_MARKERS, 1, {"markers": (marker,)})
        assert name_of(reply.markers[0].topics[0].partitions[0].error_code) == "NONE"

    on_broker(run, {**PROPERTIES, "log.flush.interval.messages": "1"})


def test_requests_that_wait_for_their_coordinator_are_bounded_by_their_bytes() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        client, answered = broker.client(), asyncio.Event()
        call = broker.context.peers.call

        async def answer_late(*given: Any, **named: Any) -> Any:
            await answered.wait()
            return await call(*given, **named)

        broker.context.peers.call = answer_late  # type: ignore[method-assign]
        fields = producer.produce(bytes(1 << 20))
        frame = client.frame(PRODUCE, 9, encoded_request(PRODUCE, 9, fields))
        count = CONNECTION_BYTES_PENDING_MAX // len(frame) + 5
        client.sent *= count
        client.send_bytes(frame * (count - 4))
        assert client.transport.reading_paused
        answered.set()
        while client.transport.reading_paused:
            await turns()
        client.send_bytes(frame * 4)
        while len(client.sent) > 0:
            await turns()
            client.replies()

    on_broker(run, PROPERTIES)


def test_a_question_about_a_transaction_that_fails_closes_the_connection() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()

        async def fail(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        broker.context.peers.call = fail  # type: ignore[method-assign]
        with pytest.raises(AssertionError):
            await producer.send(b"a")
        assert producer.client.transport.is_closed, "replies behind this one would never leave"
        assert [type(problem["exception"]) for problem in broker.loop.problems] == [ZeroDivisionError]

    on_broker(run, PROPERTIES, may_fail=True)


def test_committed_reading_goes_on_where_records_of_an_open_transaction_were_deleted() -> None:
    async def test(producer: Transactor) -> None:
        assert [await producer.add(), await producer.send(b"a", b"b")] == ["NONE"] * 2
        partition = producer.broker.partition("orders")
        assert partition.delete_records(-1) == (ErrorCode.NONE, 2)
        assert await producer.latest(1) == 2, "an offset below the log's start would be out of range"

    transacting(test)


def test_offsets_that_only_a_transaction_has_committed_expire_too() -> None:
    async def run(broker: LoneBroker) -> None:
        producer = Transactor(broker)
        await producer.prepare()
        topic = {"name": "orders", "partitions": ({"partition_index": 0, "committed_offset": 7},)}
        fields = {**producer.identity, "group_id": "g", "generation_id": -1, "member_id": "", "topics": (topic,)}
        await producer.client.ask(ADD_OFFSETS, 3, {**producer.identity, "group_id": "g"})
        await producer.client.ask(TXN_OFFSET_COMMIT, 3, fields)
        assert await producer.end(True) == "NONE"
        await producer.settled()

        def committed() -> Any:
            return broker.context.groups.look_up("g", lambda shard: shard.fetch(0, "g", None)).answers[0].reply

        assert committed()
        await asyncio.sleep(8 * 60)
        assert not committed()

    expiry = {"offsets.retention.minutes": "5", "offsets.retention.check.interval.ms": "60000"}
    on_broker(run, {**PROPERTIES, **expiry})
