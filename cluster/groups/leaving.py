"""Members leave: because they say so, or because nothing was heard of them for too long.

Here: LeaveGroup (Kafka: `classicGroupLeave`) and everything that time does to a group: sessions, ids that were given
away and not used, rebalances that last too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.base.errors import ErrorCode
from cluster.groups.decision import Turn
from cluster.groups.group import Member
from cluster.groups.membership import find_member
from cluster.groups.rebalance import (
    complete_if_all_joined,
    join_deadline_passed,
    rebalance,
    remove_member,
)
from cluster.groups.requests import UNKNOWN_MEMBER, MemberIdentity
from cluster.groups.states import GroupState


def leave(turn: Turn, token: int, identities: Sequence[MemberIdentity]) -> None:
    """Let members go; the answer has one error for each. An admin names static members without their member id."""
    errors = tuple(_leave_one(turn, identity) for identity in identities)
    if ErrorCode.NONE in errors:
        rebalance_the_rest(turn)
    turn.answer(token, errors)


def _leave_one(turn: Turn, identity: MemberIdentity) -> ErrorCode:
    group = turn.group
    if identity.member_id in group.pending and identity.instance_id is None:
        turn.group = group.without_pending(identity.member_id)
        return ErrorCode.NONE
    if identity.instance_id is not None and identity.member_id == UNKNOWN_MEMBER:
        member: Member | ErrorCode = group.static_member(identity.instance_id) or ErrorCode.UNKNOWN_MEMBER_ID
    else:
        member = find_member(group, identity)
    if isinstance(member, ErrorCode):
        return member
    remove_member(turn, member)
    return ErrorCode.NONE


def rebalance_the_rest(turn: Turn) -> None:
    """Somebody is gone: the others share what it had, or nobody has to be waited for any more."""
    if turn.group.state in (GroupState.COMPLETING, GroupState.STABLE) and turn.lost_members:
        rebalance(turn)
    else:
        complete_if_all_joined(turn)


def time_passed(turn: Turn) -> None:
    """Do what is due by now. What is not due stays as it is."""
    group, now_ms = turn.group, turn.now_ms
    for member_id, until_ms in group.pending.items():
        if until_ms <= now_ms:
            turn.group = turn.group.without_pending(member_id)
    for member in group.members.values():
        if member.expiry_ms is not None and member.expiry_ms <= now_ms:
            remove_member(turn, member)
    if group.sync_deadline_ms is not None and group.sync_deadline_ms <= now_ms:
        turn.group = replace(turn.group, sync_deadline_ms=None)
        for member in turn.group.members.values():
            if member.owes_sync:
                remove_member(turn, member)
    rebalance_the_rest(turn)
    group = turn.group
    is_preparing = group.state is GroupState.PREPARING
    if is_preparing and group.join_deadline_ms is not None and group.join_deadline_ms <= now_ms:
        join_deadline_passed(turn)
