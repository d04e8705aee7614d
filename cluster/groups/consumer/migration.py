"""From one protocol to the other while members stay (KIP-848, `group.consumer.migration.policy`).

Here: a classic group becomes a consumer group when somebody joins it with the new protocol, and a consumer group
becomes classic when the last one who speaks the new protocol leaves. Members that do not change their protocol go on
in the other kind of group. Not here: how classic members live in a consumer group (`classic_members`).
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.base.moments import Moment
from cluster.groups.consumer.group import ClassicSide, ConsumerGroup, ConsumerMember
from cluster.groups.consumer.partitions import NO_PARTITIONS, Partitions, identified, named
from cluster.groups.decision import Settings
from cluster.groups.group import Group, Member
from cluster.groups.states import GroupState
from cluster.groups.subscription import (
    CONSUMER_PROTOCOL,
    read_assignment,
    read_subscription,
    write_assignment,
)
from cluster.metadata import MetadataImage
from cluster.wire import MalformedMessage

UPGRADING = ("upgrade", "bidirectional")
DOWNGRADING = ("downgrade", "bidirectional")
"""The policies that allow each way."""


def upgraded(group: Group, settings: Settings, image: MetadataImage, now: Moment) -> ConsumerGroup:
    """Return the consumer group that a classic group becomes. Raises KafkaError when it cannot or must not.

    Each member keeps what it was assigned last: nobody else gets it before the member has given it up.
    """
    is_possible = group.protocol_type == CONSUMER_PROTOCOL and len(group.members) <= settings.consumers_max
    if settings.migration_policy.lower() not in UPGRADING or not is_possible:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group.group_id} is not a consumer group.")
    members: dict[str, ConsumerMember] = {}
    taken: list[TopicPartition] = []
    for member in group.members.values():
        try:
            assigned, user_data = read_assignment(member.assignment) if member.assignment else ((), b"")
            subscription = read_subscription(_metadata_of(group, member))
        except MalformedMessage as error:
            message = (
                f"Cannot upgrade classic group {group.group_id} to consumer group because the embedded consumer "
                f"protocol is malformed: {error}."
            )
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, message) from None
        if user_data:
            message = (
                f"Cannot upgrade classic group {group.group_id} to consumer group because an unsupported custom "
                "assignor is in use. Switch to a default assignor before the upgrade."
            )
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, message)
        kept = [partition for partition in assigned if partition not in taken]  # its assignor may be wrong
        taken += kept
        members[member.member_id] = ConsumerMember(
            member.member_id,
            member.instance_id,
            subscription.rack_id,
            member.client_id,
            member.client_host,
            tuple(sorted({*subscription.topics})),
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            classic=ClassicSide(member.session_timeout_ms, member.protocols),
            epoch=group.generation,
            previous_epoch=group.generation,
            assigned=identified(kept, image),
            expires_ms=now.monotonic_ms + member.session_timeout_ms,
        )
    targets = {member_id: member.assigned for member_id, member in members.items()}
    return ConsumerGroup(
        group.group_id, epoch=group.generation, target_epoch=group.generation, members=members, targets=targets
    )


def _metadata_of(group: Group, member: Member) -> bytes:
    return member.metadata_for(group.protocol) or member.protocols[0][1]


def may_downgrade(group: ConsumerGroup, settings: Settings) -> bool:
    """Whether a group of which only these members are left is to become classic."""
    allowed = settings.migration_policy.lower() in DOWNGRADING
    return (
        allowed
        and bool(group.members)
        and group.has_only_classic_members
        and len(group.members) <= settings.members_max
    )


def downgraded(group: ConsumerGroup, image: MetadataImage, now: Moment) -> Group:
    """Return the classic group that a consumer group becomes; all its members speak the classic protocol.

    It is stable with the target assignment, which the caller ends with a rebalance if somebody has left.
    """
    members = {
        member_id: _classic_member(member, group.targets.get(member_id, NO_PARTITIONS), image, now)
        for member_id, member in group.members.items()
    }
    classic = Group(
        group.group_id,
        GroupState.STABLE,
        CONSUMER_PROTOCOL,
        generation=group.epoch,
        leader=next(iter(members)),
        members=members,
        state_timestamp_ms=now.wall_ms,
    )
    return replace(classic, protocol=classic.chosen_protocol())


def _classic_member(member: ConsumerMember, target: Partitions, image: MetadataImage, now: Moment) -> Member:
    assert member.classic is not None, "whoever speaks the new protocol cannot be in a classic group"
    version = read_subscription(member.classic.protocols[0][1]).version
    return Member(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        member.classic.session_timeout_ms,
        member.rebalance_timeout_ms,
        member.classic.protocols,
        write_assignment(named(target, image), version),
        expires_ms=now.monotonic_ms + member.classic.session_timeout_ms,
    )
