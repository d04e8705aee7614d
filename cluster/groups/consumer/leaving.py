"""Members of a consumer group go: because they say so, or because they are fenced when their time is up.

Here: the leaving half of ConsumerGroupHeartbeat, and everything that time does to a consumer group: sessions,
revocations that take too long, classic members that do not join or sync in time.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode, KafkaError
from cluster.groups.consumer.group import LEAVES_FOR_A_WHILE, ConsumerMember
from cluster.groups.consumer.heartbeat import find_static
from cluster.groups.consumer.partitions import NO_PARTITIONS
from cluster.groups.consumer.requests import HeartbeatReply, HeartbeatRequest
from cluster.groups.consumer.turn import ConsumerTurn, let_go


def leave(turn: ConsumerTurn, token: int, request: HeartbeatRequest) -> None:
    """Let a member go, for good or, when it is static, for a while. Raises KafkaError."""
    group = turn.group
    if request.instance_id is None:
        member = group.members.get(request.member_id)
        if member is None:
            message = f"Member {request.member_id} is not a member of group {group.group_id}."
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, message)
    else:
        member = find_static(group, request.instance_id, request.member_id)
    if request.member_epoch == LEAVES_FOR_A_WHILE:
        _step_out(turn, member)
    else:
        let_go(turn, [member.member_id])
    turn.answer(token, HeartbeatReply(member_id=member.member_id, member_epoch=request.member_epoch))


def _step_out(turn: ConsumerTurn, member: ConsumerMember) -> None:
    """It owns nothing now, but what it was assigned is kept for it until its session ends."""
    stepped_out = replace(member, epoch=LEAVES_FOR_A_WHILE, revoking=NO_PARTITIONS, revoke_deadline_ms=None)
    turn.group = turn.group.with_member(stepped_out)


def time_passed(turn: ConsumerTurn) -> None:
    """Fence whoever is late by now."""
    late = [member_id for member_id, member in turn.group.members.items() if member.next_deadline_ms <= turn.now_ms]
    if late:
        let_go(turn, late)
