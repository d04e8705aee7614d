"""DescribeGroups (API 15), versions 0 to 6: groups and their members.

What members subscribed to and got is shown while the group is stable. A group that does not exist is Dead, without an
error; from version 6 on GROUP_ID_NOT_FOUND says so too (KIP-1043). Version 3 adds authorized operations, 4 instance
ids.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.metadata import NOT_ASKED_FOR
from cluster.groups import DescribedGroup, DescribedMember
from cluster.wire import Fields, Message

GROUP_OPERATIONS = 0b1_0100_1000
"""Read, delete, describe: bits by `AclOperation`."""

NOT_FOUND_FROM = 6


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe each group."""
    wants_operations = getattr(message, "include_authorized_operations", False)
    operations = GROUP_OPERATIONS if wants_operations else NOT_ASKED_FOR
    groups = [await _describe(context, version, group_id) for group_id in message.groups]
    return {"groups": [{**group, "authorized_operations": operations} for group in groups]}


async def _describe(context: BrokerContext, version: int, group_id: str) -> Fields:
    if not group_id:
        return {"group_id": group_id, "error_code": ErrorCode.INVALID_GROUP_ID}
    try:
        group: DescribedGroup | None = await context.groups.ask(
            group_id, lambda shard, token, now: shard.describe(token, group_id)
        )
    except KafkaError as error:
        return {"group_id": group_id, "error_code": error.code}
    if group is None:
        dead: Fields = {"group_id": group_id, "group_state": "Dead"}
        if version < NOT_FOUND_FROM:
            return dead
        error_message = f"Group {group_id} not found."
        return {**dead, "error_code": ErrorCode.GROUP_ID_NOT_FOUND, "error_message": error_message}
    return {
        "group_id": group_id,
        "group_state": group.state,
        "protocol_type": group.protocol_type,
        "protocol_data": group.protocol,
        "members": [_member(member) for member in group.members],
    }


def _member(member: DescribedMember) -> Fields:
    return {
        "member_id": member.member_id,
        "group_instance_id": member.instance_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "member_metadata": member.metadata,
        "member_assignment": member.assignment,
    }
