"""SyncGroup (API 14), versions 0 to 5: the leader brings the assignment, every member gets its share.

Answered when the leader's assignment is committed to `__consumer_offsets`.
Version 3 adds static members, 5 the protocol's type and name, which must be the group's (KIP-559).
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import GroupAssigned
from cluster.broker.context import BrokerContext
from cluster.groups import CONSUMER_PROTOCOL, MemberIdentity, SyncReply, SyncRequest, assigned_partitions
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Wait for the assignment, or bring it."""
    group_id: str = message.group_id
    if not group_id:
        return _response(SyncReply(ErrorCode.INVALID_GROUP_ID))
    wanted = SyncRequest(
        MemberIdentity(message.member_id, getattr(message, "group_instance_id", None), message.generation_id),
        {entry.member_id: bytes(entry.assignment) for entry in message.assignments},
        getattr(message, "protocol_type", None),
        getattr(message, "protocol_name", None),
    )
    try:
        reply = await context.groups.ask(group_id, lambda shard, token, now: shard.sync(token, group_id, wanted, now))
    except KafkaError as error:
        reply = SyncReply(error.code)
    if context.tracer.enabled and reply.error is ErrorCode.NONE and reply.protocol_type == CONSUMER_PROTOCOL:
        owner = wanted.member.instance_id or wanted.member.member_id
        partitions = tuple(map(str, assigned_partitions(reply.assignment)))
        context.tracer.emit(GroupAssigned(group_id, message.generation_id, owner, partitions))
    return _response(reply)


def _response(reply: SyncReply) -> Fields:
    return {
        "error_code": reply.error,
        "protocol_type": reply.protocol_type,
        "protocol_name": reply.protocol,
        "assignment": reply.assignment,
    }
