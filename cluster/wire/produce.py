"""Produce, versions 3 to 13, by hand: records are handed over as views of the receive buffer, never copied.

Here: the request's reader and the response's writer. Not here: what a produce does (`cluster.broker.produce`).

What the versions change: 5 adds log_start_offset to the response, 8 record_errors and error_message, 9 is flexible,
10 says who leads instead (KIP-951, tagged), 13 names topics by id (KIP-516) instead of by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import TopicId
from cluster.base.ports import Buffer
from cluster.wire.primitives import (
    INT32,
    NO_TAGS,
    Cursor,
    length,
    string,
    tagged,
    topic_id_of,
    unsigned_varint,
)

FLEXIBLE_FROM = 9
LEADER_HINTS_FROM = 10
TOPIC_IDS_FROM = 13

TopicKey = str | TopicId
"""How a request names a topic: by name, or by id in newer versions."""

_ACKS_AND_TIMEOUT = Struct(">hi")
_RESULT = Struct(">ihqq")


class ProduceRequest(NamedTuple):
    """Batches for partitions. `records` of a partition are writable views of the receive buffer, None when null."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    topics: list[tuple[TopicKey, list[tuple[int, memoryview | None]]]]


@dataclass(slots=True)
class ProduceResult:
    """What became of one partition's batches. Not frozen: it is filled in when the batches are committed."""

    partition: int
    error: ErrorCode = NO_ERROR
    base_offset: int = -1
    log_append_time_ms: int = -1
    log_start_offset: int = -1
    error_message: str | None = None
    current_leader: tuple[int, int] | None = None
    """The leader and its epoch, when they are known and are not this broker."""


@dataclass(frozen=True, slots=True)
class NodeEndpoint:
    """Where a broker listens: sent along with errors that name another leader (KIP-951)."""

    node_id: int
    host: str
    port: int
    rack: str | None


def decode_produce_request(version: int, body: memoryview) -> ProduceRequest:
    """Read a request without copying records. Raises MalformedMessage."""
    flexible = version >= FLEXIBLE_FROM
    by_id = version >= TOPIC_IDS_FROM
    cursor = Cursor(body)
    transactional_id = cursor.string(flexible)
    acks, timeout_ms = cursor.numbers(_ACKS_AND_TIMEOUT)
    topics: list[tuple[TopicKey, list[tuple[int, memoryview | None]]]] = []
    for _ in cursor.elements(flexible):
        key: TopicKey = topic_id_of(bytes(cursor.take(16))) if by_id else cursor.text(flexible)
        partitions: list[tuple[int, memoryview | None]] = []
        for _ in cursor.elements(flexible):
            partitions.append((cursor.number(INT32), cursor.data(flexible)))
            if flexible:
                cursor.tags()
        topics.append((key, partitions))
        if flexible:
            cursor.tags()
    if flexible:
        cursor.tags()
    return ProduceRequest(transactional_id, acks, timeout_ms, topics)


def encode_produce_response(
    version: int,
    topics: Sequence[tuple[TopicKey, Sequence[ProduceResult]]],
    node_endpoints: Sequence[NodeEndpoint] = (),
    throttle_ms: int = 0,
) -> bytes:
    """Write a response's body."""
    flexible = version >= FLEXIBLE_FROM
    parts: list[Buffer] = [length(len(topics), flexible)]
    for key, results in topics:
        parts += (topic_key(key, flexible), length(len(results), flexible))
        for result in results:
            _encode_result(parts, version, result)
        if flexible:
            parts.append(NO_TAGS)
    parts.append(throttle_ms.to_bytes(4, "big"))
    if flexible:
        hints = version >= LEADER_HINTS_FROM
        parts.append(tagged([(0, encode_endpoints(node_endpoints))] if hints and node_endpoints else ()))
    return b"".join(parts)


def _encode_result(parts: list[Buffer], version: int, result: ProduceResult) -> None:
    flexible = version >= FLEXIBLE_FROM
    parts.append(_RESULT.pack(result.partition, result.error, result.base_offset, result.log_append_time_ms))
    if version >= 5:
        parts.append(result.log_start_offset.to_bytes(8, "big", signed=True))
    if version >= 8:
        parts += (length(0, flexible), string(result.error_message, flexible))  # no record_errors
    if flexible:
        leader = result.current_leader if version >= LEADER_HINTS_FROM else None
        parts.append(NO_TAGS if leader is None else tagged([(0, encode_leader(leader))]))


def topic_key(key: TopicKey, flexible: bool) -> bytes:
    """Write a topic the way the request named it."""
    return string(key, flexible) if isinstance(key, str) else key.bytes


_LEADER = Struct(">iix")


def encode_leader(leader: tuple[int, int]) -> bytes:
    """Write who leads under which epoch (KIP-951)."""
    return _LEADER.pack(*leader)


def encode_endpoints(endpoints: Sequence[NodeEndpoint]) -> bytes:
    """Write where the leaders that were named listen (KIP-951)."""
    parts = [unsigned_varint(len(endpoints) + 1)]
    for endpoint in endpoints:
        parts += (INT32.pack(endpoint.node_id), string(endpoint.host, True), INT32.pack(endpoint.port))
        parts += (string(endpoint.rack, True), NO_TAGS)
    return b"".join(parts)
