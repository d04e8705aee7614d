"""ShareGroupDescribe (API 77), version 1: share groups, their epochs and members (KIP-932).

GROUP_ID_NOT_FOUND for a group that does not exist or is of another kind.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.consumer_group_describe import assignment_fields, described, refused
from cluster.broker.context import BrokerContext
from cluster.broker.describe_groups import GROUP_OPERATIONS
from cluster.broker.metadata import NOT_ASKED_FOR
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe each group."""
    operations = GROUP_OPERATIONS if message.include_authorized_operations else NOT_ASKED_FOR
    groups = [await _describe(context, group_id) for group_id in message.group_ids]
    return {"groups": [{**group, "authorized_operations": operations} for group in groups]}


async def _describe(context: BrokerContext, group_id: str) -> Fields:
    try:
        found = await context.groups.ask(group_id, lambda shard, token, now: shard.describe_shares(token, group_id))
    except KafkaError as error:
        return refused(group_id, error.code, error.message or None)
    if found is None:
        return refused(group_id, ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    group, _ = found
    members = [
        {
            "member_id": member.member_id,
            "rack_id": member.rack_id,
            "member_epoch": member.epoch,
            "client_id": member.client_id,
            "client_host": member.client_host,
            "subscribed_topic_names": tuple(member.topics),
            "assignment": assignment_fields(member.assigned, context.image()),
        }
        for member in group.members
    ]
    return described(group, members)
