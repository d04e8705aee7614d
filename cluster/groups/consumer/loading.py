"""What a coordinator that has just read its log gives the members of its groups: time to find it.

Here: the deadlines of groups of either kind after a change of coordinator.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember
from cluster.groups.consumer.states import MemberState
from cluster.groups.decision import AnyGroup, Settings
from cluster.groups.share.group import ShareGroup


def renewed(group: AnyGroup, settings: Settings, now_ms: int) -> AnyGroup:
    """Return a group whose members all have a full session before them, and time to revoke what they must."""
    if not isinstance(group, ConsumerGroup):
        return group.with_members({key: member.heard(now_ms) for key, member in group.members.items()})
    is_share = isinstance(group, ShareGroup)
    session_ms = settings.share_session_timeout_ms if is_share else settings.consumer_session_timeout_ms
    members = {key: _renewed(member, session_ms, now_ms) for key, member in group.members.items()}
    return replace(group, members=members, topics_seen=-1)


def _renewed(member: ConsumerMember, session_ms: int, now_ms: int) -> ConsumerMember:
    if member.classic is not None:
        return replace(member, expires_ms=now_ms + member.classic.session_timeout_ms)
    is_revoking = member.state is MemberState.UNREVOKED_PARTITIONS and bool(member.revoking)
    return replace(
        member,
        expires_ms=now_ms + session_ms,
        revoke_deadline_ms=now_ms + member.rebalance_timeout_ms if is_revoking else None,
    )
