"""Heartbeat (API 12), versions 0 to 4: a member is alive, and asks whether it has to join again.

REBALANCE_IN_PROGRESS says so. While the coordinator is being loaded the answer is NONE, as in Kafka: nobody is thrown
out meanwhile. Version 3 adds static members.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.groups import MemberIdentity
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Take a sign of life."""
    group_id: str = message.group_id
    identity = MemberIdentity(message.member_id, getattr(message, "group_instance_id", None), message.generation_id)
    if not group_id:
        return {"error_code": ErrorCode.INVALID_GROUP_ID}
    try:
        error = await context.groups.ask(
            group_id, lambda shard, token, now: shard.heartbeat(token, group_id, identity, now)
        )
    except KafkaError as failed:
        is_loading = failed.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        error = ErrorCode.NONE if is_loading else failed.code
    return {"error_code": error}
