"""How consumer groups look from outside: to admins, and in the trace.

Here: read-only views of a group.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.base.group_trace import ConsumerGone, GroupStateChanged
from cluster.base.trace import TraceEvent
from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember
from cluster.groups.consumer.partitions import NO_PARTITIONS
from cluster.groups.consumer.requests import DescribedConsumer, DescribedConsumerGroup
from cluster.groups.consumer.states import ConsumerGroupState
from cluster.groups.consumer.turn import preferred_assignor
from cluster.groups.decision import Settings
from cluster.groups.share.assignor import SHARE_ASSIGNOR
from cluster.groups.share.group import ShareGroup


def describe_consumers(group: ConsumerGroup, settings: Settings) -> DescribedConsumerGroup:
    """Return a group as ConsumerGroupDescribe shows it."""
    return DescribedConsumerGroup(
        group.group_id,
        group.state.value,
        group.epoch,
        group.target_epoch,
        SHARE_ASSIGNOR if isinstance(group, ShareGroup) else preferred_assignor(group, settings),
        tuple(_describe_member(group, member) for member in group.members.values()),
    )


def _describe_member(group: ConsumerGroup, member: ConsumerMember) -> DescribedConsumer:
    return DescribedConsumer(
        member.member_id,
        member.instance_id,
        member.rack_id,
        member.client_id,
        member.client_host,
        member.epoch,
        member.topics,
        member.regex,
        member.assigned,
        group.targets.get(member.member_id, NO_PARTITIONS),
        member.classic is not None,
    )


def changes(before: ConsumerGroup | None, after: ConsumerGroup | None) -> Iterator[TraceEvent]:
    """Tell of another state or epoch, and of members that are gone."""
    if before is not None:
        for member_id in before.members:
            if after is None or member_id not in after.members:
                yield ConsumerGone(before.group_id, member_id)
    if after is None:
        if before is not None:
            yield GroupStateChanged(before.group_id, ConsumerGroupState.DEAD.value, before.epoch, (), "")
        return
    was = (ConsumerGroupState.EMPTY, 0) if before is None else (before.state, before.epoch)
    if was != (after.state, after.epoch):
        yield GroupStateChanged(after.group_id, after.state.value, after.epoch, tuple(after.members), "")
