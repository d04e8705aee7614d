"""DeleteGroups (API 42), versions 0 to 2: delete empty groups with all their offsets, and what share groups share.

NON_EMPTY_GROUP while there are members, GROUP_ID_NOT_FOUND when there is no such group.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicId
from cluster.broker.context import BrokerContext
from cluster.broker.share_states import delete_state
from cluster.groups import SharedTopic
from cluster.sharing import SharePartitionKey
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
        shared = await context.groups.ask(group_id, lambda shard, token, now: shard.describe_shares(token, group_id))
        error: ErrorCode = await context.groups.ask(group_id, lambda shard, token, now: shard.delete(token, group_id))
        if shared is not None and error is ErrorCode.NONE:
            await _forget_shared(context, group_id, shared[1])
    except KafkaError as failed:
        return failed.code
    return error


async def _forget_shared(context: BrokerContext, group_id: str, shared: Mapping[TopicId, SharedTopic]) -> None:
    """The group is gone: so is what was kept of how far it had come. Raises KafkaError when a part of it is left."""
    for topic_id, topic in shared.items():
        for number in range(topic.partitions):
            await delete_state(context, SharePartitionKey(group_id, topic_id, number))
