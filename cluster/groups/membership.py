"""Who may speak for a member, and signs of life.

Here: the checks that come before everything a member says (Kafka: `ClassicGroup.validateMember`), and Heartbeat.
Not here: joining and leaving.
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode
from cluster.groups.decision import Turn
from cluster.groups.group import Group, Member
from cluster.groups.requests import MemberIdentity
from cluster.groups.states import GroupState


def find_member(group: Group, identity: MemberIdentity) -> Member | ErrorCode:
    """Return the member that speaks, or UNKNOWN_MEMBER_ID; FENCED_INSTANCE_ID when another process took its place."""
    if identity.instance_id is not None:
        owner = group.static_member(identity.instance_id)
        if owner is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return owner if owner.member_id == identity.member_id else ErrorCode.FENCED_INSTANCE_ID
    return group.members.get(identity.member_id, ErrorCode.UNKNOWN_MEMBER_ID)


def find_present_member(group: Group, identity: MemberIdentity) -> Member | ErrorCode:
    """The same, for a member of the present generation: ILLEGAL_GENERATION when it speaks of another."""
    member = find_member(group, identity)
    if isinstance(member, Member) and identity.generation != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    return member


def heartbeat(turn: Turn, token: int, identity: MemberIdentity) -> None:
    """Take a sign of life; REBALANCE_IN_PROGRESS tells the member to join again."""
    member = find_present_member(turn.group, identity)
    if isinstance(member, ErrorCode):
        turn.answer(token, member)
        return
    turn.group = turn.group.with_member(member.heard(turn.now_ms))
    is_preparing = turn.group.state is GroupState.PREPARING
    turn.answer(token, ErrorCode.REBALANCE_IN_PROGRESS if is_preparing else ErrorCode.NONE)
