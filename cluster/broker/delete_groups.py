"""DeleteGroups (API 42), versions 0 to 2: delete empty groups with all their offsets.

NON_EMPTY_GROUP while there are members, GROUP_ID_NOT_FOUND when there is no such group.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Delete each group."""
    return {
        "results": [
            {"group_id": group_id, "error_code": await _delete(context, group_id)} for group_id in message.groups_names
        ]
    }


async def _delete(context: BrokerContext, group_id: str) -> ErrorCode:
    if not group_id:
        return ErrorCode.INVALID_GROUP_ID
    try:
        error: ErrorCode = await context.groups.ask(group_id, lambda shard, token, now: shard.delete(token, group_id))
    except KafkaError as failed:
        return failed.code
    return error
