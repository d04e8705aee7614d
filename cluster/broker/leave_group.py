"""LeaveGroup (API 13), versions 0 to 5: members leave, and the others rebalance at once.

Versions up to 2 name one member, from 3 on several, each with its own error; an admin names static members by their
instance id alone (KIP-345). Version 5 adds a reason, which is ignored.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.groups import MemberIdentity
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Let members go."""
    group_id: str = message.group_id
    if not group_id:
        return {"error_code": ErrorCode.INVALID_GROUP_ID}
    if version < 3:
        identities = [MemberIdentity(message.member_id)]
    else:
        identities = [MemberIdentity(member.member_id, member.group_instance_id) for member in message.members]
    try:
        errors = await context.groups.ask(
            group_id, lambda shard, token, now: shard.leave(token, group_id, identities, now)
        )
    except KafkaError as error:
        return {"error_code": error.code}
    if version < 3:
        return {"error_code": errors[0]}
    return {
        "members": [
            {"member_id": identity.member_id, "group_instance_id": identity.instance_id, "error_code": error}
            for identity, error in zip(identities, errors, strict=True)
        ]
    }
