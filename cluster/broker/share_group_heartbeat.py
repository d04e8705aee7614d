"""ShareGroupHeartbeat (API 76), version 1: a member of a share group says that it lives, and what it wants (KIP-932).

It joins with epoch 0 and leaves with -1. The answer has the assignment when that has changed, or when the request named
topics. Errors: FENCED_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, INVALID_REQUEST, GROUP_MAX_SIZE_REACHED, and GROUP_ID_NOT_FOUND
for a group of another kind.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.consumer_group_heartbeat import heartbeat_fields
from cluster.broker.context import BrokerContext
from cluster.broker.request import Request
from cluster.groups import HeartbeatReply, ShareHeartbeat
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, request: Request, message: Message) -> Fields:
    """Take a sign of life, and say what to read."""
    group_id: str = message.group_id
    if not group_id.strip():
        return heartbeat_fields(HeartbeatReply(ErrorCode.INVALID_REQUEST, "GroupId can't be empty.", message.member_id))
    names = message.subscribed_topic_names
    wanted = ShareHeartbeat(
        message.member_id,
        message.member_epoch,
        message.rack_id,
        None if names is None else tuple(map(str, names)),
        request.client_id or "",
        request.client_host,
    )
    try:
        reply: HeartbeatReply = await context.groups.ask(
            group_id, lambda shard, token, now: shard.share_heartbeat(token, group_id, wanted, now)
        )
    except KafkaError as error:
        reply = HeartbeatReply(error.code, error.message or None, message.member_id)
    return heartbeat_fields(reply)
