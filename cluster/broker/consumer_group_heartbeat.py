"""ConsumerGroupHeartbeat (API 68), versions 0 and 1: everything that a member of the new protocol says (KIP-848).

It joins with epoch 0, leaves with -1, or for a while with -2 when it is static; otherwise it says its epoch and what
has changed. The answer has the assignment when that has changed, or when the request said everything. Errors:
FENCED_MEMBER_EPOCH and UNKNOWN_MEMBER_ID mean to give everything up and join again, UNRELEASED_INSTANCE_ID and
FENCED_INSTANCE_ID that another process has the name, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION, INVALID_REQUEST,
GROUP_MAX_SIZE_REACHED, and GROUP_ID_NOT_FOUND for a group of the other protocol that must not change it. When the
feature `group.version` is at 0: UNSUPPORTED_VERSION.

Version 1: the member makes its own id (KIP-1082); regular expressions in RE2's syntax.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import ConsumerAssigned
from cluster.base.ids import TopicId
from cluster.broker.context import BrokerContext
from cluster.broker.request import Request
from cluster.groups import (
    NOT_SAID,
    HeartbeatReply,
    HeartbeatRequest,
    Partitions,
    TopicIdPartition,
    by_topic,
    named,
)
from cluster.metadata import GROUP_FEATURE, feature_level
from cluster.wire import Fields, Message

MEMBERS_MAKE_IDS_FROM = 1

_NO_TOPIC = UUID(int=0)


async def handle(context: BrokerContext, request: Request, message: Message) -> Fields:
    """Take a sign of life, and answer with the next step."""
    group_id: str = message.group_id
    if feature_level(context.image(), context.configs, GROUP_FEATURE) == 0:
        return heartbeat_fields(HeartbeatReply(ErrorCode.UNSUPPORTED_VERSION, None, message.member_id))
    if not group_id.strip():
        return heartbeat_fields(HeartbeatReply(ErrorCode.INVALID_REQUEST, "GroupId can't be empty.", message.member_id))
    wanted = _heartbeat_of(context, request, message)
    try:
        reply: HeartbeatReply = await context.groups.ask(
            group_id, lambda shard, token, now: shard.consumer_heartbeat(token, group_id, wanted, now)
        )
    except KafkaError as error:
        return heartbeat_fields(HeartbeatReply(error.code, error.message or None, message.member_id))
    if context.tracer.enabled and reply.assignment is not None:
        partitions = tuple(map(str, named(reply.assignment, context.image())))
        context.tracer.emit(ConsumerAssigned(group_id, reply.member_id, reply.member_epoch, partitions))
    return heartbeat_fields(reply)


def _heartbeat_of(context: BrokerContext, request: Request, message: Message) -> HeartbeatRequest:
    names = message.subscribed_topic_names
    return HeartbeatRequest(
        message.member_id,
        message.member_epoch,
        new_member_id=str(UUID(int=context.world.rng.getrandbits(128), version=4)),
        instance_id=message.instance_id,
        rack_id=message.rack_id,
        rebalance_timeout_ms=_timeout_ms(message.rebalance_timeout),
        topics=None if names is None else tuple(map(str, names)),
        regex=getattr(message, "subscribed_topic_regex", None),
        assignor=message.server_assignor,
        owned=_owned(message.topic_partitions),
        client_id=request.client_id or "",
        client_host=request.client_host,
        needs_member_id=request.version >= MEMBERS_MAKE_IDS_FROM,
    )


def _timeout_ms(timeout: timedelta) -> int:
    timeout_ms = round(timeout.total_seconds() * 1000)
    return timeout_ms if timeout_ms >= 0 else NOT_SAID


def _owned(topics: Any) -> Partitions | None:
    if topics is None:
        return None
    return frozenset(
        TopicIdPartition(topic.topic_id or _NO_TOPIC, number) for topic in topics for number in topic.partitions
    )


def heartbeat_fields(reply: HeartbeatReply) -> Fields:
    """Return the answer to a heartbeat of a consumer or of a member of a share group."""
    return {
        "error_code": reply.error,
        "error_message": reply.error_message,
        "member_id": reply.member_id,
        "member_epoch": reply.member_epoch,
        "heartbeat_interval": timedelta(milliseconds=reply.heartbeat_interval_ms),
        "assignment": None if reply.assignment is None else {"topic_partitions": topic_partitions(reply.assignment)},
    }


def topic_partitions(partitions: Partitions) -> list[Fields]:
    """Return partitions as responses list them: by topic id, in order."""
    topics: dict[TopicId, list[int]] = by_topic(partitions)
    return [{"topic_id": topic_id, "partitions": numbers} for topic_id, numbers in topics.items()]
