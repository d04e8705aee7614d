"""ConsumerGroupDescribe (API 69), versions 0 and 1: groups of the new protocol, their epochs and members (KIP-848).

GROUP_ID_NOT_FOUND for a group that does not exist or that is classic: clients then ask DescribeGroups. Version 1 says
which protocol each member speaks. When the feature `group.version` is at 0: UNSUPPORTED_VERSION.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.consumer_group_heartbeat import topic_partitions
from cluster.broker.context import BrokerContext
from cluster.broker.describe_groups import GROUP_OPERATIONS
from cluster.broker.metadata import NOT_ASKED_FOR
from cluster.groups import DescribedConsumer, DescribedConsumerGroup, DescribedGroup, Partitions
from cluster.metadata import GROUP_FEATURE, MetadataImage, feature_level
from cluster.wire import Fields, Message

CLASSIC_MEMBER, CONSUMER_MEMBER = 0, 1


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe each group."""
    operations = GROUP_OPERATIONS if message.include_authorized_operations else NOT_ASKED_FOR
    groups = [await _describe(context, group_id) for group_id in message.group_ids]
    return {"groups": [{**group, "authorized_operations": operations} for group in groups]}


async def _describe(context: BrokerContext, group_id: str) -> Fields:
    if feature_level(context.image(), context.configs, GROUP_FEATURE) == 0:
        return refused(group_id, ErrorCode.UNSUPPORTED_VERSION, None)
    if not group_id:
        return refused(group_id, ErrorCode.INVALID_GROUP_ID, None)
    try:
        group: DescribedConsumerGroup | DescribedGroup | None = await context.groups.ask(
            group_id, lambda shard, token, now: shard.describe_consumers(token, group_id)
        )
    except KafkaError as error:
        return refused(group_id, error.code, error.message or None)
    if group is None:
        return refused(group_id, ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    if isinstance(group, DescribedGroup):
        message = f"Group {group_id} is not a consumer group."
        return refused(group_id, ErrorCode.GROUP_ID_NOT_FOUND, message)
    return described(group, [_member(member, context.image()) for member in group.members])


def described(group: DescribedConsumerGroup, members: Sequence[Fields]) -> Fields:
    """Return what is told of a consumer or share group, but for what its reader may do with it."""
    return {
        "error_code": ErrorCode.NONE,
        "error_message": None,
        "group_id": group.group_id,
        "group_state": group.state,
        "group_epoch": group.epoch,
        "assignment_epoch": group.target_epoch,
        "assignor_name": group.assignor,
        "members": members,
    }


def refused(group_id: str, error: ErrorCode, message: str | None) -> Fields:
    """Return what is told of a group that cannot be described."""
    return {
        "error_code": error,
        "error_message": message,
        "group_id": group_id,
        "group_state": "",
        "group_epoch": 0,
        "assignment_epoch": 0,
        "assignor_name": "",
        "members": (),
    }


def _member(member: DescribedConsumer, image: MetadataImage) -> Fields:
    return {
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "rack_id": member.rack_id,
        "member_epoch": member.epoch,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "subscribed_topic_names": tuple(member.topics),
        "subscribed_topic_regex": member.regex,
        "assignment": assignment_fields(member.assigned, image),
        "target_assignment": assignment_fields(member.target, image),
        "member_type": CLASSIC_MEMBER if member.is_classic else CONSUMER_MEMBER,
    }


def assignment_fields(partitions: Partitions, image: MetadataImage) -> Fields:
    """Return an assignment; topics that are gone have no name and are left out."""
    names = image.topic_names
    topics = [{**topic, "topic_name": names.get(topic["topic_id"])} for topic in topic_partitions(partitions)]
    return {"topic_partitions": [topic for topic in topics if topic["topic_name"] is not None]}
