"""A rebalance from beginning to end: prepared, waited for, and the next generation handed out.

Here: what JoinGroup, SyncGroup, LeaveGroup and time have in common once a group must form anew. Not here: the
requests themselves (`joining`, `syncing`, `leaving`).

Every function takes a turn and moves its group on.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode
from cluster.groups.decision import Turn
from cluster.groups.group import Member
from cluster.groups.requests import JoinReply, SyncReply
from cluster.groups.states import GroupEvent, GroupState

MAY_REBALANCE = (GroupState.EMPTY, GroupState.COMPLETING, GroupState.STABLE)


def rebalance(turn: Turn) -> None:
    """Members have changed: begin a rebalance unless one is under way, and end it when nobody is missing."""
    if turn.group.state in MAY_REBALANCE:
        _prepare(turn)
    complete_if_all_joined(turn)


def complete_if_all_joined(turn: Turn) -> None:
    """Hand out the next generation if it has been waited for long enough. An empty group's delay is kept."""
    group = turn.group
    waits_for_newcomers = group.initial_delay_left_ms is not None and group.members
    if group.state is GroupState.PREPARING and group.all_have_joined and not waits_for_newcomers:
        _complete(turn)


def join_deadline_passed(turn: Turn) -> None:
    """The wait for members is over, unless newcomers to an empty group have prolonged it."""
    group = turn.group
    left_ms = group.initial_delay_left_ms
    if left_ms and group.has_newcomers:
        delay_ms = min(turn.settings.initial_rebalance_delay_ms, left_ms)
        turn.group = replace(
            group,
            has_newcomers=False,
            initial_delay_left_ms=left_ms - delay_ms,
            join_deadline_ms=turn.now_ms + delay_ms,
        )
    else:
        _complete(turn)


def remove_member(turn: Turn, member: Member) -> None:
    """Let a member go: what it still waits for ends with UNKNOWN_MEMBER_ID. The caller rebalances afterwards."""
    turn.answer(member.join_token, JoinReply(ErrorCode.UNKNOWN_MEMBER_ID, member.member_id))
    turn.answer(member.sync_token, SyncReply(ErrorCode.UNKNOWN_MEMBER_ID))
    turn.group = turn.group.without_member(member.member_id)
    turn.lost_members += 1


def answer_join(turn: Turn, member: Member, token: int, *, tells_members: bool) -> None:
    """Tell a member of the present generation."""
    group = turn.group
    reply = JoinReply(
        ErrorCode.NONE,
        member.member_id,
        group.generation,
        group.protocol_type,
        group.protocol,
        group.leader or "",
        group.joined_members() if tells_members else (),
    )
    turn.answer(token, reply)


def _prepare(turn: Turn) -> None:
    group = turn.group
    was_empty = group.state is GroupState.EMPTY
    if group.state is GroupState.COMPLETING:
        _refuse_waiting_syncs(turn)
    turn.become(GroupEvent.REBALANCE)
    timeout_ms = turn.group.rebalance_timeout_ms
    initial_left_ms = None
    if was_empty:
        delay_ms = turn.settings.initial_rebalance_delay_ms
        initial_left_ms = max(timeout_ms - delay_ms, 0)
        timeout_ms = min(delay_ms, timeout_ms)
    turn.group = replace(
        turn.group,
        join_deadline_ms=turn.now_ms + timeout_ms,
        sync_deadline_ms=None,
        initial_delay_left_ms=initial_left_ms,
        has_newcomers=False,
    )


def _refuse_waiting_syncs(turn: Turn) -> None:
    """The generation ends before it was assigned: whoever waits for its share has to join again."""
    members = {}
    for member in turn.group.members.values():
        turn.answer(member.sync_token, SyncReply(ErrorCode.REBALANCE_IN_PROGRESS))
        waited = member.sync_token is not None
        after = member.heard(turn.now_ms) if waited else member
        members[member.member_id] = replace(after, sync_token=None, owes_sync=False)
    turn.group = turn.group.with_members(members)


def _complete(turn: Turn) -> None:
    """Throw out who did not join again, and begin the next generation with the others (Kafka: `completeJoin`).

    Static members stay although they have not joined: they may be restarting (KIP-345).
    """
    group = turn.group
    late = [member for member in group.members.values() if member.join_token is None]
    for member in late:
        if member.instance_id is None:
            remove_member(turn, member)
    members = turn.group.members
    if not members:
        _end_empty(turn)
        return
    joined = [member.member_id for member in members.values() if member.join_token is not None]
    if not joined:  # only static members, none of them back: wait for them until their sessions end
        deadline_ms = turn.now_ms + turn.group.rebalance_timeout_ms
        turn.group = replace(turn.group, join_deadline_ms=deadline_ms, initial_delay_left_ms=None)
        return
    if turn.group.leader not in joined:
        turn.group = replace(turn.group, leader=joined[0])
    _begin_generation(turn)


def _end_empty(turn: Turn) -> None:
    turn.become(GroupEvent.EMPTIED)
    turn.group = replace(
        turn.group,
        generation=turn.group.generation + 1,
        protocol=None,
        leader=None,
        join_deadline_ms=None,
        initial_delay_left_ms=None,
    )
    turn.is_written = True


def _begin_generation(turn: Turn) -> None:
    """Hand the next generation out. Until it is assigned, the last assignment is what members may still own."""
    turn.become(GroupEvent.GENERATION)
    group = turn.group
    turn.group = group = replace(
        group,
        generation=group.generation + 1,
        protocol=group.chosen_protocol(),
        join_deadline_ms=None,
        sync_deadline_ms=turn.now_ms + group.rebalance_timeout_ms,
        initial_delay_left_ms=None,
        has_newcomers=False,
    )
    members = {}
    for member in group.members.values():
        if member.join_token is not None:
            answer_join(turn, member, member.join_token, tells_members=member.member_id == group.leader)
        heard = member.heard(turn.now_ms) if member.join_token is not None else member
        members[member.member_id] = replace(heard, join_token=None, is_new=False, owes_sync=True)
    turn.group = group.with_members(members)
