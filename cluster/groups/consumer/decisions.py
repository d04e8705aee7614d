"""From a request and the group as it is to a decision: what the shard delegates when a group speaks the new protocol.

Here: which group is meant, whether it must change its kind first, and how refusals become answers. Not here: the rules
(`heartbeat`, `leaving`, `classic_members`, `migration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.base.answers import Answer, LogRecord
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.trace import TraceEvent
from cluster.groups.consumer import classic_members, leaving
from cluster.groups.consumer.descriptions import changes
from cluster.groups.consumer.group import JOINS, LEAVES, LEAVES_FOR_A_WHILE, ConsumerGroup
from cluster.groups.consumer.heartbeat import check_heartbeat, heartbeat
from cluster.groups.consumer.migration import downgraded, may_downgrade, upgraded
from cluster.groups.consumer.records import difference
from cluster.groups.consumer.requests import HeartbeatReply, HeartbeatRequest
from cluster.groups.consumer.turn import ConsumerTurn
from cluster.groups.decision import AnyGroup, Decision, Turn, reply_now
from cluster.groups.descriptions import changes as classic_changes
from cluster.groups.group import Group
from cluster.groups.rebalance import rebalance
from cluster.groups.record_codec import write_group, write_group_key
from cluster.groups.requests import JoinReply, JoinRequest, MemberIdentity, SyncReply, SyncRequest
from cluster.groups.share.group import ShareGroup
from cluster.groups.share.heartbeat import ShareHeartbeat
from cluster.groups.share.heartbeat import heartbeat as share_heartbeat
from cluster.groups.states import GroupState


def decide_heartbeat(group: AnyGroup | None, turn: ConsumerTurn, token: int, request: HeartbeatRequest) -> Decision:
    """ConsumerGroupHeartbeat, answered with a HeartbeatReply. The turn's group is a new one if `group` is no other."""
    try:
        check_heartbeat(request, turn.settings)
        waiting = _become_consumer_group(group, turn, request)
        if request.member_epoch in (LEAVES, LEAVES_FOR_A_WHILE):
            leaving.leave(turn, token, request)
        else:
            heartbeat(turn, token, request)
    except KafkaError as error:
        return reply_now(token, HeartbeatReply(error.code, error.message or None, request.member_id))
    decision = _decided(group, turn)
    return replace(decision, answers=(*waiting, *decision.answers))


def _become_consumer_group(group: AnyGroup | None, turn: ConsumerTurn, request: HeartbeatRequest) -> Sequence[Answer]:
    """Make the turn's group the one that is meant; return what classic members hear that waited in it.

    Only who joins makes a group, or a consumer group of a classic one. Raises KafkaError(GROUP_ID_NOT_FOUND).
    """
    group_id, joins = turn.group.group_id, request.member_epoch == JOINS
    if isinstance(group, ShareGroup):
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")
    if isinstance(group, ConsumerGroup) or (joins and (group is None or group.state is GroupState.EMPTY)):
        return ()
    if group is None:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
    if not joins:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")
    turn.group = upgraded(group, turn.settings, turn.topics.image, turn.now)
    ending = Turn(group, turn.settings, turn.now)
    for member in group.members.values():
        ending.answer(member.join_token, JoinReply(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
        ending.answer(member.sync_token, SyncReply(ErrorCode.REBALANCE_IN_PROGRESS))
    return ending.answers


def decide_share_heartbeat(group: AnyGroup | None, turn: ConsumerTurn, token: int, request: ShareHeartbeat) -> Decision:
    """ShareGroupHeartbeat, answered with a HeartbeatReply. A group of another kind stays what it is."""
    try:
        if group is None and request.member_epoch != JOINS:
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {turn.group.group_id} not found.")
        if group is not None and not isinstance(group, ShareGroup):
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {turn.group.group_id} is not a share group.")
        share_heartbeat(turn, token, request)
    except KafkaError as error:
        return reply_now(token, HeartbeatReply(error.code, error.message or None, request.member_id))
    return _decided(group, turn)


def decide_join(turn: ConsumerTurn, token: int, request: JoinRequest) -> Decision:
    """JoinGroup of a classic member, answered with a JoinReply."""
    before = turn.group
    former = before.static_member(request.member.instance_id)
    try:
        classic_members.join(turn, token, request)
    except KafkaError as error:
        return reply_now(token, JoinReply(error.code, request.member.member_id))
    # The last one who spoke the new protocol is a static member that came back with the old one.
    if former is not None and former.classic is None and may_downgrade(turn.group, turn.settings):
        return _downgrade(before, turn, has_left=False)
    return _decided(before, turn)


def decide_sync(turn: ConsumerTurn, token: int, request: SyncRequest) -> Decision:
    """SyncGroup of a classic member, answered with a SyncReply."""
    before = turn.group
    try:
        classic_members.sync(turn, token, request)
    except KafkaError as error:
        return reply_now(token, SyncReply(error.code))
    return _decided(before, turn)


def decide_classic_heartbeat(turn: ConsumerTurn, token: int, identity: MemberIdentity) -> Decision:
    """Heartbeat of a classic member, answered with an ErrorCode."""
    before = turn.group
    try:
        classic_members.heartbeat(turn, token, identity)
    except KafkaError as error:
        return reply_now(token, error.code)
    return _decided(before, turn)


def decide_leave(turn: ConsumerTurn, token: int, identities: Sequence[MemberIdentity]) -> Decision:
    """LeaveGroup of classic members, answered with a tuple of ErrorCodes."""
    before = turn.group
    classic_members.leave(turn, token, identities)
    return _decided(before, turn)


def decide_time_passed(turn: ConsumerTurn) -> Decision:
    """What is due by now; nobody is answered."""
    before = turn.group
    leaving.time_passed(turn)
    return _decided(before, turn)


def _decided(before: AnyGroup | None, turn: ConsumerTurn) -> Decision:
    """Return the decision of a turn; a group that only classic members are left in becomes classic again."""
    after = turn.group
    if isinstance(before, ConsumerGroup) and not isinstance(before, ShareGroup) and not before.has_only_classic_members:
        has_left = any(member_id not in after.members for member_id in before.members)
        if has_left and may_downgrade(after, turn.settings):
            return _downgrade(before, turn, has_left=True)
    records: list[LogRecord] = []
    if isinstance(before, Group):
        records.append((write_group_key(before.group_id), None))
    records += difference(before if isinstance(before, ConsumerGroup) else None, after)
    return Decision(tuple(records), tuple(turn.answers), ((after.group_id, after),), traces=tuple(turn.traces))


def _downgrade(before: ConsumerGroup, turn: ConsumerTurn, *, has_left: bool) -> Decision:
    classic = Turn(downgraded(turn.group, turn.topics.image, turn.now), turn.settings, turn.now)
    written = write_group(classic.group)
    if has_left:
        rebalance(classic)
    records = (*difference(before, None), (write_group_key(before.group_id), written))
    answers = (*turn.answers, *classic.answers)
    return Decision(records, answers, ((before.group_id, classic.group),), traces=tuple(turn.traces))


def group_changes(before: AnyGroup | None, after: AnyGroup | None) -> tuple[TraceEvent, ...]:
    """Return what the trace shall say of a change, of groups of either kind."""
    was, now = (each if isinstance(each, ConsumerGroup) else None for each in (before, after))
    classic_was, classic_now = (each if isinstance(each, Group) else None for each in (before, after))
    found: list[TraceEvent] = []
    if was is not None or now is not None:
        found += changes(was, now)
    if classic_was is not None or classic_now is not None:
        found += classic_changes(classic_was, classic_now)
    # A group that changes its kind is not gone.
    both = before is not None and after is not None and type(before) is not type(after)
    dead = GroupState.DEAD.value
    return tuple(event for event in found if not (both and getattr(event, "state", "") == dead))
