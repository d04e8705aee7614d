"""JoinGroup (API 11), versions 0 to 9: become a member, or take part in a rebalance.

Answered when all members have joined, or the rebalance timeout is over; an empty group waits
`group.initial.rebalance.delay.ms` for more. The leader is told who the members are and assigns.

Version 0 has no rebalance timeout: the session timeout counts. 4: whoever has no member id is given one and told
MEMBER_ID_REQUIRED (KIP-394). 5: static members (KIP-345). 7: the protocol's type and a null name. 8: a reason, which
is ignored. 9: a leader may be told to skip the assignment (KIP-814).
Departure: among protocols with equal votes the first member's preference decides; Kafka leaves it to a hash map.
"""

from __future__ import annotations

from uuid import UUID

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import milliseconds
from cluster.broker.request import Request
from cluster.groups import JoinReply, JoinRequest, MemberIdentity
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, request: Request, message: Message) -> Fields:
    """Join; the answer may take as long as a rebalance."""
    group_id: str = message.group_id
    if not group_id:
        return _response(request.version, JoinReply(ErrorCode.INVALID_GROUP_ID, message.member_id))
    wanted = _join_request(context, request, message)
    try:
        reply = await context.groups.ask(group_id, lambda shard, token, now: shard.join(token, group_id, wanted, now))
    except KafkaError as error:
        reply = JoinReply(error.code, message.member_id)
    return _response(request.version, reply)


def _join_request(context: BrokerContext, request: Request, message: Message) -> JoinRequest:
    instance_id = getattr(message, "group_instance_id", None)
    client_id = request.client_id or ""
    session_timeout_ms = milliseconds(message.session_timeout)
    rebalance_timeout = getattr(message, "rebalance_timeout", message.session_timeout)
    suffix = UUID(int=context.world.rng.getrandbits(128), version=4)
    return JoinRequest(
        MemberIdentity(message.member_id, instance_id),
        new_member_id=f"{instance_id or client_id}-{suffix}",
        client_id=client_id,
        client_host=request.client_host,
        session_timeout_ms=session_timeout_ms,
        rebalance_timeout_ms=milliseconds(rebalance_timeout),
        protocol_type=message.protocol_type,
        protocols=tuple((protocol.name, bytes(protocol.metadata)) for protocol in message.protocols),
        needs_known_id=request.version >= 4,
        skips_assignment=request.version >= 9,
    )


def _response(version: int, reply: JoinReply) -> Fields:
    return {
        "error_code": reply.error,
        "generation_id": reply.generation,
        "protocol_type": reply.protocol_type,
        "protocol_name": reply.protocol if version >= 7 else reply.protocol or "",
        "leader": reply.leader,
        "skip_assignment": reply.skip_assignment,
        "member_id": reply.member_id,
        "members": [
            {"member_id": member.member_id, "group_instance_id": member.instance_id, "metadata": member.metadata}
            for member in reply.members
        ],
    }
