"""Producers whose epoch rises with every transaction (KIP-890, transaction version 2), by hand: aiokafka has none.

Here: a producer that writes to two partitions and commits an offset in each transaction, asks again whatever may be
asked again, and notes what it was told. It adds nothing to its transactions by itself: leaders and group coordinators
do. Not here: what brokers go through meanwhile.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.lab.sim_target import SimTarget
from cluster.records import build_batch
from cluster.wire import Fields, decode_response, encode_request

PRODUCE, METADATA, FIND_COORDINATOR, INIT_PRODUCER_ID, END_TXN, TXN_OFFSET_COMMIT = 0, 3, 10, 22, 26, 28
VERSIONS = {PRODUCE: 12, METADATA: 12, FIND_COORDINATOR: 4, INIT_PRODUCER_ID: 5, END_TXN: 5, TXN_OFFSET_COMMIT: 5}
PARTITIONS = 2
GROUP_KEY, TRANSACTION_KEY = 0, 1
PATIENCE_S = 3.0

AGAIN = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.CONCURRENT_TRANSACTIONS,
    ErrorCode.LEADER_NOT_AVAILABLE,
)
"""What a producer survives by finding out who serves it now, and asking again."""


class Surprised(Exception):
    """A producer was told what it cannot survive."""


class EpochProducer:
    """One producer. `committed` and `aborted` are the numbers of transactions that were answered so."""

    def __init__(self, target: SimTarget, name: str) -> None:
        self.name = name
        self.committed: list[int] = []
        self.aborted: list[int] = []
        self.surprises: list[str] = []
        """What no producer should ever be told, and epochs that did not rise."""
        self.is_over = False
        self.has_ended = False
        self._target = target
        self._identity = (-1, -1)

    async def run(self) -> None:
        """Write transactions, every third of which is aborted, until it is told to end, or what it cannot survive."""
        try:
            await self._write()
        except Surprised as surprise:
            self.surprises.append(str(surprise))
        self.has_ended = True

    async def _write(self) -> None:
        fields = {"transactional_id": self.name, "transaction_timeout": timedelta(seconds=60)}
        begun = {**fields, "producer_id": -1, "producer_epoch": -1}
        reply = await self._ask(INIT_PRODUCER_ID, lambda: self._coordinator(TRANSACTION_KEY), begun, _only_error)
        self._identity = (reply.producer_id, reply.producer_epoch)
        number = 0
        while not self.is_over:
            for partition in range(PARTITIONS):
                await self._produce(partition, f"{self.name}-{number}")
            await self._commit_offset(number)
            await self._end(number)
            number += 1
            await asyncio.sleep(0.1)

    async def _produce(self, partition: int, value: str) -> None:
        producer_id, epoch = self._identity
        record = [(None, value.encode(), ())]
        wall_ms = self._target.now_us() // 1000
        identity = {"producer_id": producer_id, "producer_epoch": epoch, "base_sequence": 0}
        data = bytes(build_batch(record, timestamp_ms=wall_ms, transactional=True, **identity))
        parts = ({"index": partition, "records": data},)
        fields = {
            "transactional_id": self.name,
            "acks": -1,
            "timeout": timedelta(seconds=2),
            "topic_data": ({"name": "orders", "partition_data": parts},),
        }
        await self._ask(PRODUCE, lambda: self._leader(partition), fields, _produce_error)

    async def _commit_offset(self, number: int) -> None:
        part = {
            "partition_index": 0,
            "committed_offset": number,
            "committed_leader_epoch": -1,
            "committed_metadata": "",
        }
        fields = {
            **self._named(),
            "group_id": self.name,
            "generation_id": -1,
            "member_id": "",
            "group_instance_id": None,
            "topics": ({"name": "orders", "partitions": (part,)},),
        }
        await self._ask(TXN_OFFSET_COMMIT, lambda: self._coordinator(GROUP_KEY), fields, _commit_error)

    async def _end(self, number: int) -> None:
        is_commit = number % 3 != 2
        fields = {**self._named(), "committed": is_commit}
        reply = await self._ask(END_TXN, lambda: self._coordinator(TRANSACTION_KEY), fields, _only_error)
        (self.committed if is_commit else self.aborted).append(number)
        before, self._identity = self._identity, (reply.producer_id, reply.producer_epoch)
        if self._identity != (before[0], before[1] + 1):
            self.surprises.append(f"after {before} came {self._identity}")

    def _named(self) -> Fields:
        producer_id, epoch = self._identity
        return {"transactional_id": self.name, "producer_id": producer_id, "producer_epoch": epoch}

    # --- asking -----------------------------------------------------------------------------------

    async def _ask(
        self, api_key: int, find: Callable[[], Any], fields: Mapping[str, Any], error_of: Callable[[Any], Any]
    ) -> Any:
        """Ask whoever serves it until there is an answer that is final."""
        while True:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE_S):
                    address = await find()
                    reply = await _ask_once(address, api_key, fields) if address else None
                if reply is not None:
                    error = ErrorCode(error_of(reply))
                    if error is ErrorCode.NONE:
                        return reply
                    if error not in AGAIN:
                        raise Surprised(f"{self.name} was told {error.name} by API {api_key}")
            await asyncio.sleep(0.05)

    async def _coordinator(self, key_type: int) -> tuple[str, int] | None:
        fields = {"key_type": key_type, "coordinator_keys": (self.name,)}
        reply = await self._ask_anybody(FIND_COORDINATOR, fields)
        found = reply.coordinators[0]
        return (found.host, found.port) if ErrorCode(found.error_code) is ErrorCode.NONE else None

    async def _leader(self, partition: int) -> tuple[str, int] | None:
        asked = {"topics": ({"name": "orders", "topic_id": None},), "allow_auto_topic_creation": False}
        reply = await self._ask_anybody(METADATA, asked)
        nodes = {broker.node_id: (broker.host, broker.port) for broker in reply.brokers}
        leaders = {part.partition_index: part.leader_id for part in reply.topics[0].partitions}
        return nodes.get(leaders.get(partition, -1))

    async def _ask_anybody(self, api_key: int, fields: Fields) -> Any:
        """Ask the brokers in turn, each for a second."""
        for address in self._target.bootstrap.split(","):
            host, _, port = address.rpartition(":")
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(1):
                    return await _ask_once((host, int(port)), api_key, fields)
        raise TimeoutError


async def _ask_once(address: tuple[str, int], api_key: int, fields: Mapping[str, Any]) -> Any:
    reader, writer = await asyncio.open_connection(*address)
    try:
        version = VERSIONS[api_key]
        frame = encode_request(api_key, version, 1, "epochs", fields)
        writer.write(struct.pack(">i", len(frame)) + frame)
        (size_bytes,) = struct.unpack(">i", await reader.readexactly(4))
        return decode_response(api_key, version, await reader.readexactly(size_bytes))
    finally:
        writer.close()


def _only_error(reply: Any) -> Any:
    return reply.error_code


def _produce_error(reply: Any) -> Any:
    return reply.responses[0].partition_responses[0].error_code


def _commit_error(reply: Any) -> Any:
    return reply.topics[0].partitions[0].error_code


def expected(producers: Sequence[EpochProducer]) -> list[str]:
    """Return what each partition must hold for whoever reads committed records."""
    return sorted(f"{producer.name}-{number}" for producer in producers for number in producer.committed)
