"""Fetch, versions 4 to 18, by hand: the response is a list of chunks, and records are chunks of their own.

Here: the request's reader and the response's writer. Not here: what a fetch does (`cluster.broker.fetch`).

What the versions change: 5 adds log start offsets, 7 sessions (KIP-227), 9 the leader epoch (KIP-320), 11 the rack
(KIP-392), 12 is flexible and detects divergence (KIP-595), 13 names topics by id (KIP-516), 15 moves the replica's
id into a tagged field (KIP-903), 16 sends the endpoints of other leaders (KIP-951), 17 a directory id (KIP-853),
18 the high watermark that a replica knows (KIP-1166). The last two are read and ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from cluster.base.errors import ErrorCode
from cluster.base.ports import Buffer
from cluster.wire.primitives import INT32, NO_TAGS, Cursor, length, tagged, topic_id_of
from cluster.wire.produce import NodeEndpoint, TopicKey, encode_endpoints, encode_leader, topic_key

FLEXIBLE_FROM = 12
TOPIC_IDS_FROM = 13
REPLICA_STATE_FROM = 15
NODE_ENDPOINTS_FROM = 16


class FetchPartition(NamedTuple):
    """One partition that is asked for; -1 stands for what an older version does not say."""

    partition: int
    fetch_offset: int
    max_bytes: int
    current_leader_epoch: int = -1
    last_fetched_epoch: int = -1
    log_start_offset: int = -1


class FetchRequest(NamedTuple):
    """What a consumer asks for. `replica_id` is -1 for consumers."""

    replica_id: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation_level: int
    session_id: int
    session_epoch: int
    topics: list[tuple[TopicKey, list[FetchPartition]]]
    forgotten: list[tuple[TopicKey, list[int]]]
    rack_id: str


@dataclass(slots=True)
class FetchResult:
    """One partition's part of a response."""

    partition: int
    error: ErrorCode
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    records: Buffer = b""
    diverging: tuple[int, int] | None = None
    """The last epoch that both logs share, and its end offset (KIP-595)."""
    current_leader: tuple[int, int] | None = None
    aborted: Sequence[tuple[int, int]] | None = None
    """Aborted transactions as producer id and first offset; None for whoever reads uncommitted records."""
    preferred_read_replica: int = -1
    """The follower from which the consumer should read on (KIP-392); -1: from whom it asked."""


def decode_fetch_request(version: int, body: memoryview) -> FetchRequest:
    """Read a request. Raises MalformedMessage."""
    flexible = version >= FLEXIBLE_FROM
    cursor = Cursor(body)
    replica_id = cursor.number(INT32) if version < REPLICA_STATE_FROM else -1
    max_wait_ms, min_bytes, max_bytes, isolation_level = cursor.numbers(_LIMITS)
    session_id, session_epoch = cursor.numbers(_SESSION) if version >= 7 else (0, -1)
    topics: list[tuple[TopicKey, list[FetchPartition]]] = []
    for _ in cursor.elements(flexible):
        key = _topic(cursor, version)
        partitions = [_decode_partition(cursor, version) for _ in cursor.elements(flexible)]
        topics.append((key, partitions))
        if flexible:
            cursor.tags()
    forgotten = _decode_forgotten(cursor, version) if version >= 7 else []
    rack_id = cursor.text(flexible) if version >= 11 else ""
    if flexible:
        for tag, value in cursor.tags():
            if tag == 1 and version >= REPLICA_STATE_FROM:
                replica_id = Cursor(value).number(INT32)
    return FetchRequest(
        replica_id,
        max_wait_ms,
        min_bytes,
        max_bytes,
        isolation_level,
        session_id,
        session_epoch,
        topics,
        forgotten,
        rack_id,
    )


def _topic(cursor: Cursor, version: int) -> TopicKey:
    if version >= TOPIC_IDS_FROM:
        return topic_id_of(bytes(cursor.take(16)))
    return cursor.text(version >= FLEXIBLE_FROM)


_LIMITS = Struct(">iiib")
_SESSION = Struct(">ii")
_PARTITION_12 = Struct(">iiqiqi")
_PARTITION_9 = Struct(">iiqqi")
_PARTITION_5 = Struct(">iqqi")
_PARTITION_4 = Struct(">iqi")


def _decode_partition(cursor: Cursor, version: int) -> FetchPartition:
    if version >= 12:
        partition, leader_epoch, offset, fetched_epoch, start_offset, max_bytes = cursor.numbers(_PARTITION_12)
        cursor.tags()
        return FetchPartition(partition, offset, max_bytes, leader_epoch, fetched_epoch, start_offset)
    if version >= 9:
        partition, leader_epoch, offset, start_offset, max_bytes = cursor.numbers(_PARTITION_9)
        return FetchPartition(partition, offset, max_bytes, leader_epoch, -1, start_offset)
    if version >= 5:
        partition, offset, start_offset, max_bytes = cursor.numbers(_PARTITION_5)
        return FetchPartition(partition, offset, max_bytes, -1, -1, start_offset)
    partition, offset, max_bytes = cursor.numbers(_PARTITION_4)
    return FetchPartition(partition, offset, max_bytes)


def _decode_forgotten(cursor: Cursor, version: int) -> list[tuple[TopicKey, list[int]]]:
    flexible = version >= FLEXIBLE_FROM
    forgotten: list[tuple[TopicKey, list[int]]] = []
    for _ in cursor.elements(flexible):
        key = _topic(cursor, version)
        forgotten.append((key, [cursor.number(INT32) for _ in cursor.elements(flexible)]))
        if flexible:
            cursor.tags()
    return forgotten


_HEAD = Struct(">ihi")
_RESULT_4 = Struct(">ihqq")
_RESULT_5 = Struct(">ihqqq")
_ABORTED = Struct(">qq")
_EPOCH_END = Struct(">iqx")


def encode_fetch_response(
    version: int,
    error: ErrorCode,
    session_id: int,
    topics: Sequence[tuple[TopicKey, Sequence[FetchResult]]],
    node_endpoints: Sequence[NodeEndpoint] = (),
    *,
    throttle_ms: int = 0,
) -> list[Buffer]:
    """Write a response's body as chunks. Chunks of records are the very objects that were given."""
    flexible = version >= FLEXIBLE_FROM
    chunks: list[Buffer] = []
    head: list[bytes] = [_HEAD.pack(throttle_ms, error, session_id) if version >= 7 else throttle_ms.to_bytes(4, "big")]
    head.append(length(len(topics), flexible))
    for key, results in topics:
        head += (topic_key(key, flexible), length(len(results), flexible))
        for result in results:
            _encode_result(head, version, result)
            head.append(length(len(result.records), flexible))
            if len(result.records):
                chunks += (b"".join(head), result.records)
                head.clear()
            if flexible:
                head.append(_result_tags(result))
        if flexible:
            head.append(NO_TAGS)
    if flexible:
        named = version >= NODE_ENDPOINTS_FROM and node_endpoints
        head.append(tagged([(0, encode_endpoints(node_endpoints))]) if named else NO_TAGS)
    chunks.append(b"".join(head))
    return chunks


def _encode_result(head: list[bytes], version: int, result: FetchResult) -> None:
    flexible = version >= FLEXIBLE_FROM
    values = (result.partition, result.error, result.high_watermark, result.last_stable_offset)
    head.append(_RESULT_5.pack(*values, result.log_start_offset) if version >= 5 else _RESULT_4.pack(*values))
    head.append(length(-1 if result.aborted is None else len(result.aborted), flexible))
    for producer_id, first_offset in result.aborted or ():
        head.append(_ABORTED.pack(producer_id, first_offset))
        if flexible:
            head.append(NO_TAGS)
    if version >= 11:
        head.append(INT32.pack(result.preferred_read_replica))


def _result_tags(result: FetchResult) -> bytes:
    if result.diverging is None and result.current_leader is None:
        return NO_TAGS
    fields: list[tuple[int, bytes]] = []
    if result.diverging is not None:
        fields.append((0, _EPOCH_END.pack(*result.diverging)))
    if result.current_leader is not None:
        fields.append((1, encode_leader(result.current_leader)))
    return tagged(fields)
