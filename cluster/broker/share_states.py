"""How far share groups have come: asked of, and served by, share coordinators (Kafka: `DefaultStatePersister`).

Here: the share coordinator of a broker, the way of a question to the right one, and its answer
(`proto/cluster/rpc/sharing.proto`). Not here: what the state means (`cluster.sharing`), how it travels
(`cluster.node`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_OFFSET, NodeId
from cluster.base.moments import Moment
from cluster.broker.coordinator import SHARE_GROUP_STATE, CoordinatorHost, CoordinatorRuntime
from cluster.broker.topic_creation import TopicHost, ensure_topic
from cluster.broker.transaction_coordinator import PeerPort
from cluster.metadata import MetadataImage
from cluster.rpc import sharing_pb2 as rpc
from cluster.sharing import RecordState, ShareDecision, SharePartitionKey, ShareShard, ShareState, StateBatch

CALL_TIMEOUT_MS = 10_000
PATIENCE_MS = 15_000
"""How long a coordinator is looked for: longer than it takes to elect another, shorter than clients wait."""

RETRY_MS = 20
RETRY_MS_MAX = 500
"""Between two attempts while the metadata names no other coordinator; twice as long each time."""

PASSING = (
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
)
"""The coordinator is down, or about to be another one. To ask twice does no harm: states are written whole."""

Leadership = tuple[NodeId, int]
"""Who leads, and under which leader epoch."""

Decide = Callable[[ShareShard, int, Moment], ShareDecision]


class ShareCoordinator(CoordinatorRuntime[ShareShard]):
    """The share partitions whose partition of `__share_group_state` this broker leads."""

    def __init__(self, host: CoordinatorHost) -> None:
        super().__init__(host, SHARE_GROUP_STATE, ShareShard)


class ShareHost(CoordinatorHost, TopicHost, Protocol):
    """What it takes to ask share coordinators, and to be one (`BrokerContext` has it)."""

    shares: ShareCoordinator
    peers: PeerPort


# --- asking -------------------------------------------------------------------------------------------


async def read_state(
    context: ShareHost, key: SharePartitionKey, leader_epoch: int, start_offset: int = NO_OFFSET
) -> ShareState:
    """Return what is kept of a share partition. Raises KafkaError, as all of these do.

    With leader epoch -1 somebody merely looks; a leader may let a group begin at `start_offset` that has not yet begun.
    COORDINATOR_NOT_AVAILABLE when no coordinator could be asked in `PATIENCE_MS`.
    """
    request = rpc.ReadStateRequest(partition=_name(key), leader_epoch=leader_epoch, start_offset=start_offset)
    return await _ask(context, key, "ReadState", request)


async def write_state(context: ShareHost, key: SharePartitionKey, state: ShareState) -> ShareState:
    """Have a state kept. Raises KafkaError, FENCED_LEADER_EPOCH or FENCED_STATE_EPOCH for whoever is of the past."""
    return await _ask(context, key, "WriteState", rpc.WriteStateRequest(partition=_name(key), state=_value(state)))


async def begin_state(context: ShareHost, key: SharePartitionKey, start_offset: int) -> None:
    """Let a group begin at an offset. Raises KafkaError."""
    await _ask(context, key, "BeginState", rpc.BeginStateRequest(partition=_name(key), start_offset=start_offset))


async def delete_state(context: ShareHost, key: SharePartitionKey) -> None:
    """Forget a share partition. Raises KafkaError."""
    await _ask(context, key, "DeleteState", rpc.DeleteStateRequest(partition=_name(key)))


async def _ask(context: ShareHost, key: SharePartitionKey, method: str, request: Any) -> ShareState:
    deadline_ms = context.clock.monotonic_ms() + PATIENCE_MS
    pause_ms = RETRY_MS
    while True:
        await ensure_topic(context, SHARE_GROUP_STATE)
        asked = _coordinator_of(key, context.image())
        try:
            return await _ask_coordinator(context, asked, method, request)
        except KafkaError as error:
            if error.code not in PASSING:
                raise
            if context.clock.monotonic_ms() >= deadline_ms:
                raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, error.message) from error
        is_another = partial(_is_led_anew, key, asked)
        pause_ms = RETRY_MS if await context.when_image(is_another, pause_ms) else min(2 * pause_ms, RETRY_MS_MAX)


async def _ask_coordinator(context: ShareHost, coordinator: Leadership | None, method: str, request: Any) -> ShareState:
    if coordinator is None:
        raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    broker, _ = coordinator
    reply = await context.peers.call(broker, method, request, timeout_ms=CALL_TIMEOUT_MS)
    if reply.error_code != ErrorCode.NONE:
        raise KafkaError(ErrorCode(reply.error_code))
    return _state(reply.state)


def _coordinator_of(key: SharePartitionKey, image: MetadataImage) -> Leadership | None:
    """Return who coordinates a share partition, by the metadata; None while there is nobody."""
    number = SHARE_GROUP_STATE.partition_for(key.text, image)
    if number is None:
        return None
    state = image.topics[SHARE_GROUP_STATE.name].partitions[number]
    return (NodeId(state.leader), state.leader_epoch) if state.has_leader else None


def _is_led_anew(key: SharePartitionKey, asked: Leadership | None, image: MetadataImage) -> bool:
    return _coordinator_of(key, image) not in (None, asked)


# --- answering ----------------------------------------------------------------------------------------


async def serve_read_state(context: ShareHost, request: rpc.ReadStateRequest) -> rpc.ShareStateReply:
    """Tell what is kept of a share partition."""
    key, epoch, start = _key(request.partition), request.leader_epoch, request.start_offset
    return await _serve(context, key, lambda shard, token, now: shard.read(token, key, epoch, start))


async def serve_write_state(context: ShareHost, request: rpc.WriteStateRequest) -> rpc.ShareStateReply:
    """Keep what a leader has come to."""
    key, state = _key(request.partition), _state(request.state)
    return await _serve(context, key, lambda shard, token, now: shard.write(token, key, state))


async def serve_begin_state(context: ShareHost, request: rpc.BeginStateRequest) -> rpc.ShareStateReply:
    """Let a group begin elsewhere."""
    key = _key(request.partition)
    return await _serve(context, key, lambda shard, token, now: shard.begin(token, key, request.start_offset))


async def serve_delete_state(context: ShareHost, request: rpc.DeleteStateRequest) -> rpc.ShareStateReply:
    """Forget a share partition."""
    key = _key(request.partition)
    return await _serve(context, key, lambda shard, token, now: shard.delete(token, key))


async def _serve(context: ShareHost, key: SharePartitionKey, decide: Decide) -> rpc.ShareStateReply:
    try:
        found: ShareState | ErrorCode = await context.shares.ask(key.text, decide)
    except KafkaError as error:
        return rpc.ShareStateReply(error_code=error.code)
    if isinstance(found, ErrorCode):
        return rpc.ShareStateReply(error_code=found, state=_value(ShareState()))
    return rpc.ShareStateReply(state=_value(found))


# --- forms --------------------------------------------------------------------------------------------


def _name(key: SharePartitionKey) -> rpc.SharePartitionName:
    return rpc.SharePartitionName(group_id=key.group_id, topic_id=key.topic_id.bytes, partition=key.partition)


def _key(name: rpc.SharePartitionName) -> SharePartitionKey:
    return SharePartitionKey(name.group_id, UUID(bytes=name.topic_id), name.partition)


def _value(state: ShareState) -> rpc.ShareStateValue:
    batches = [
        rpc.StateBatch(first_offset=first, last_offset=last, state=kind, delivery_count=count)
        for first, last, kind, count in state.batches
    ]
    return rpc.ShareStateValue(
        state_epoch=state.state_epoch,
        leader_epoch=state.leader_epoch,
        start_offset=state.start_offset,
        batches=batches,
    )


def _state(value: rpc.ShareStateValue) -> ShareState:
    batches = tuple(
        StateBatch(each.first_offset, each.last_offset, RecordState(each.state), each.delivery_count)
        for each in value.batches
    )
    return ShareState(value.state_epoch, value.leader_epoch, value.start_offset, batches)
