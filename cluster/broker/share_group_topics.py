"""What the offset APIs of share groups have in common: the group, and the topics that it has read.

Here: asking the group coordinator for them, and changing them there. Not here: the requests themselves, and how far
the group has come (`share_states`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicId
from cluster.broker.context import BrokerContext
from cluster.groups import ConsumerGroupState, SharedTopic


async def shared_topics(context: BrokerContext, group_id: str, *, must_be_empty: bool) -> Mapping[TopicId, SharedTopic]:
    """Return the topics that a share group has read. Raises KafkaError: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP."""
    if not group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    found = await context.groups.ask(group_id, lambda shard, token, now: shard.describe_shares(token, group_id))
    if found is None:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    group, shared = found
    if must_be_empty and group.state != ConsumerGroupState.EMPTY.value:
        raise KafkaError(ErrorCode.NON_EMPTY_GROUP, f"Group {group_id} is not empty.")
    topics: Mapping[TopicId, SharedTopic] = shared
    return topics


async def change_shared_topics(
    context: BrokerContext, group_id: str, added: Mapping[TopicId, SharedTopic], removed: Collection[TopicId] = ()
) -> None:
    """Have the group coordinator note what a share group without members reads. Raises KafkaError."""
    error: ErrorCode = await context.groups.ask(
        group_id, lambda shard, token, now: shard.change_shared(token, group_id, added, removed)
    )
    if error is not ErrorCode.NONE:
        raise KafkaError(error)
