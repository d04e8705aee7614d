"""JoinGroup: somebody wants to be a member, or a member says that it takes part in the rebalance.

Here: the decisions of Kafka's `classicGroupJoin`, for members with and without an id, dynamic and static. Not here:
the rebalance that follows (`rebalance`), and versions (`cluster.broker.join_group`).
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode
from cluster.groups.decision import Turn
from cluster.groups.group import Member
from cluster.groups.membership import find_member
from cluster.groups.rebalance import answer_join, complete_if_all_joined, rebalance
from cluster.groups.requests import UNKNOWN_MEMBER, JoinReply, JoinRequest, SyncReply
from cluster.groups.states import GroupState


def join(turn: Turn, token: int, request: JoinRequest) -> None:
    """Decide on a JoinGroup whose session timeout was found acceptable."""
    if request.member.member_id == UNKNOWN_MEMBER:
        _join_unknown(turn, token, request)
    else:
        _join_known(turn, token, request)


def _join_unknown(turn: Turn, token: int, request: JoinRequest) -> None:
    if not turn.group.supports(request.protocol_type, request.protocols):
        _refuse(turn, token, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, UNKNOWN_MEMBER)
    elif (former := turn.group.static_member(request.member.instance_id)) is not None:
        _replace_static(turn, token, request, former)
    elif _is_full(turn):
        _refuse(turn, token, ErrorCode.GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER)
    elif request.member.instance_id is None and request.needs_known_id:
        until_ms = turn.now_ms + request.session_timeout_ms
        turn.group = replace(turn.group, pending={**turn.group.pending, request.new_member_id: until_ms})
        _refuse(turn, token, ErrorCode.MEMBER_ID_REQUIRED, request.new_member_id)
    else:
        _add(turn, token, request, request.new_member_id)


def _join_known(turn: Turn, token: int, request: JoinRequest) -> None:
    group, member_id = turn.group, request.member.member_id
    if member_id in group.pending and request.member.instance_id is None:
        if group.supports(request.protocol_type, request.protocols):
            turn.group = group.without_pending(member_id)
            _add(turn, token, request, member_id)
        else:
            _refuse(turn, token, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id)
        return
    member = find_member(group, request.member)
    if isinstance(member, ErrorCode):
        _refuse(turn, token, member, member_id)
    elif not group.supports(request.protocol_type, request.protocols):
        _refuse(turn, token, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id)
    else:
        _rejoin(turn, token, request, member)


def _rejoin(turn: Turn, token: int, request: JoinRequest, member: Member) -> None:
    """A member joins again. If nothing is new, because its answer was lost, it hears of the same generation again."""
    group = turn.group
    is_unchanged = member.protocols == request.protocols
    is_leader = group.leader == member.member_id
    is_repetition = is_unchanged and (
        group.state is GroupState.COMPLETING or (group.state is GroupState.STABLE and not is_leader)
    )
    if is_repetition:
        turn.group = group.with_member(member.heard(turn.now_ms))
        answer_join(turn, member, token, tells_members=is_leader)
        return
    # An earlier JoinGroup of it that still waits was given up by its client.
    turn.answer(member.join_token, JoinReply(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
    changed = replace(
        member,
        protocols=request.protocols,
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        client_id=request.client_id,
        client_host=request.client_host,
    )
    if group.state in (GroupState.COMPLETING, GroupState.STABLE):
        rebalance_others_first(turn, changed, token)
    else:
        turn.group = group.with_member(replace(changed, join_token=token).heard(turn.now_ms))
        complete_if_all_joined(turn)


def rebalance_others_first(turn: Turn, member: Member, token: int) -> None:
    """Begin a rebalance that this member has joined already.

    It must be counted as joined when the rebalance looks who is missing, and not be told that one has begun.
    """
    turn.answer(member.sync_token, SyncReply(ErrorCode.REBALANCE_IN_PROGRESS))
    joined = replace(member, join_token=token, sync_token=None, owes_sync=False)
    turn.group = turn.group.with_member(joined.heard(turn.now_ms))
    rebalance(turn)


def _add(turn: Turn, token: int, request: JoinRequest, member_id: str) -> None:
    """Let a new member in. It is thrown out only after five minutes while its first rebalance lasts (KIP-394)."""
    if _is_full(turn):
        _refuse(turn, token, ErrorCode.GROUP_MAX_SIZE_REACHED, member_id)
        return
    member = Member(
        member_id,
        request.member.instance_id,
        request.client_id,
        request.client_host,
        request.session_timeout_ms,
        request.rebalance_timeout_ms,
        request.protocols,
        expires_ms=turn.now_ms + turn.settings.new_member_timeout_ms,
        is_new=True,
        join_token=token,
    )
    group = turn.group
    protocol_type = group.protocol_type if group.members else request.protocol_type
    has_newcomers = group.initial_delay_left_ms is not None
    turn.group = replace(group, protocol_type=protocol_type, has_newcomers=has_newcomers).with_member(member)
    rebalance(turn)


def _replace_static(turn: Turn, token: int, request: JoinRequest, former: Member) -> None:
    """A static member has restarted: it takes the place of its former self, which is fenced (KIP-345).

    When the group is stable and would choose the same protocol, nobody else notices: the new id is written, and the
    member gets the assignment that it had.
    """
    fenced = ErrorCode.FENCED_INSTANCE_ID
    turn.answer(former.join_token, JoinReply(fenced, former.member_id))
    turn.answer(former.sync_token, SyncReply(fenced))
    before = turn.group
    member = replace(
        former,
        member_id=request.new_member_id,
        client_id=request.client_id,
        client_host=request.client_host,
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        protocols=request.protocols,
        join_token=None,
        sync_token=None,
    ).heard(turn.now_ms)
    members = {
        (member.member_id if key == former.member_id else key): (member if key == former.member_id else other)
        for key, other in before.members.items()
    }
    leader = member.member_id if before.leader == former.member_id else before.leader
    turn.group = replace(before, members=members, leader=leader)
    if before.state is GroupState.STABLE and turn.group.chosen_protocol() == before.protocol:
        turn.is_written = True
        _answer_replaced(turn, token, request, member, former_leader=before.leader or "")
    elif before.state in (GroupState.STABLE, GroupState.COMPLETING):
        rebalance_others_first(turn, member, token)
    else:
        turn.group = turn.group.with_member(replace(member, join_token=token))
        complete_if_all_joined(turn)


def _answer_replaced(turn: Turn, token: int, request: JoinRequest, member: Member, former_leader: str) -> None:
    """Tell a leader that came back not to assign anew: in so many words (KIP-814), or by naming its former self."""
    group = turn.group
    is_leader = group.leader == member.member_id
    skips = request.skips_assignment and is_leader
    reply = JoinReply(
        ErrorCode.NONE,
        member.member_id,
        group.generation,
        group.protocol_type,
        group.protocol,
        (group.leader or "") if request.skips_assignment else former_leader,
        group.joined_members() if skips else (),
        skip_assignment=skips,
    )
    turn.answer(token, reply)


def _is_full(turn: Turn) -> bool:
    return len(turn.group.members) >= turn.settings.members_max


def _refuse(turn: Turn, token: int, error: ErrorCode, member_id: str) -> None:
    turn.answer(token, JoinReply(error, member_id))
