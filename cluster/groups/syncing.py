"""SyncGroup: the leader says who gets what, the others ask what they got.

Here: Kafka's `classicGroupSync`. The assignment is written before anybody is told: a coordinator that was fenced
cannot commit it, so no two members ever own a partition in one generation.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode
from cluster.groups.decision import Turn
from cluster.groups.group import Group, Member
from cluster.groups.membership import find_present_member
from cluster.groups.requests import SyncReply, SyncRequest
from cluster.groups.states import GroupEvent, GroupState


def sync(turn: Turn, token: int, request: SyncRequest) -> None:
    """Decide on a SyncGroup."""
    group = turn.group
    member = find_present_member(group, request.member)
    if isinstance(member, ErrorCode):
        turn.answer(token, SyncReply(member))
    elif _names_other_protocol(group, request):
        turn.answer(token, SyncReply(ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
    elif group.state is GroupState.PREPARING:
        turn.answer(token, SyncReply(ErrorCode.REBALANCE_IN_PROGRESS))
    elif group.state is GroupState.COMPLETING:
        _wait_or_assign(turn, token, request, member)
    else:
        assert group.state is GroupState.STABLE, "a group without members has no member that syncs"
        turn.group = group.with_member(replace(member.heard(turn.now_ms), owes_sync=False))
        turn.answer(token, _share_of(turn.group, member))
        _end_sync_wait(turn)


def _names_other_protocol(group: Group, request: SyncRequest) -> bool:
    return request.protocol_type not in (None, group.protocol_type) or request.protocol not in (None, group.protocol)


def _wait_or_assign(turn: Turn, token: int, request: SyncRequest, member: Member) -> None:
    turn.answer(member.sync_token, SyncReply(ErrorCode.REBALANCE_IN_PROGRESS))  # given up by its client
    waiting = replace(member.heard(turn.now_ms), sync_token=token, owes_sync=False)
    turn.group = turn.group.with_member(waiting)
    if turn.group.leader == member.member_id:
        _assign(turn, request)


def _assign(turn: Turn, request: SyncRequest) -> None:
    """Give each member its share, nothing to those whom the leader forgot, and tell those who wait."""
    turn.become(GroupEvent.ASSIGNED)
    turn.is_written = True
    members = {}
    for member in turn.group.members.values():
        assigned = replace(member, assignment=request.assignments.get(member.member_id, b""))
        if assigned.sync_token is not None:
            turn.answer(assigned.sync_token, _share_of(turn.group, assigned))
            assigned = replace(assigned.heard(turn.now_ms), sync_token=None)
        members[member.member_id] = assigned
    turn.group = turn.group.with_members(members)
    _end_sync_wait(turn)


def _share_of(group: Group, member: Member) -> SyncReply:
    return SyncReply(ErrorCode.NONE, group.protocol_type, group.protocol, member.assignment)


def _end_sync_wait(turn: Turn) -> None:
    if not any(member.owes_sync for member in turn.group.members.values()):
        turn.group = replace(turn.group, sync_deadline_ms=None)
