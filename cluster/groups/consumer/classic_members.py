"""Members that speak the classic protocol in a consumer group, while a group is being upgraded (KIP-848).

Here: JoinGroup, SyncGroup, Heartbeat and LeaveGroup of such a member. To it the member epoch is the generation, and its
part of the target assignment the assignment; it never leads, so that it never has to assign. When its epoch is behind,
when it must revoke, or when what it waits for is free, a heartbeat tells it to join again: each time it takes one step
of reconciliation, as others do with each heartbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.base.errors import ErrorCode, KafkaError
from cluster.groups.consumer.group import ClassicSide, ConsumerMember
from cluster.groups.consumer.heartbeat import find_static, replace_static
from cluster.groups.consumer.partitions import NO_PARTITIONS, identified, named
from cluster.groups.consumer.states import MemberState
from cluster.groups.consumer.turn import ConsumerTurn, assign_if_due, let_go, look_at_topics, take_step
from cluster.groups.requests import (
    UNKNOWN_MEMBER,
    JoinReply,
    JoinRequest,
    MemberIdentity,
    SyncReply,
    SyncRequest,
)
from cluster.groups.subscription import CONSUMER_PROTOCOL, read_subscription, write_assignment
from cluster.wire import MalformedMessage


def join(turn: ConsumerTurn, token: int, request: JoinRequest) -> None:
    """Let a classic member join, or take its next step. Raises KafkaError when it may not."""
    group, identity = turn.group, request.member
    is_unknown = identity.member_id == UNKNOWN_MEMBER
    member_id = request.new_member_id if is_unknown else identity.member_id
    if len(group.members) >= turn.settings.consumers_max and member_id not in group.members:
        raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED)
    names = tuple(name for name, _ in request.protocols)
    if request.protocol_type != CONSUMER_PROTOCOL or not group.supports_classic(names):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    try:
        subscription = read_subscription(request.protocols[0][1])
    except MalformedMessage as error:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, str(error)) from None
    if is_unknown and identity.instance_id is None and request.needs_known_id:
        turn.answer(token, JoinReply(ErrorCode.MEMBER_ID_REQUIRED, member_id))
        return
    before = _member_who_joins(turn, identity, member_id, is_unknown)
    member = replace(
        before,
        instance_id=identity.instance_id if identity.instance_id is not None else before.instance_id,
        rack_id=before.rack_id if subscription.rack_id is None else subscription.rack_id,
        client_id=request.client_id,
        client_host=request.client_host,
        topics=tuple(sorted({*subscription.topics})),
        regex=None,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        assignor=None,
        classic=ClassicSide(request.session_timeout_ms, request.protocols),
        expires_ms=turn.now_ms + request.session_timeout_ms,
        revoke_deadline_ms=None,
        join_deadline_ms=None,
        sync_deadline_ms=turn.now_ms + request.rebalance_timeout_ms,
    )
    is_new = member.member_id not in turn.group.members
    turn.group = turn.group.with_member(member)
    look_at_topics(turn, has_changed=is_new or (before.topics, before.regex) != (member.topics, None))
    assign_if_due(turn)
    after = take_step(turn, member, identified(subscription.owned, turn.topics.image))
    reply = JoinReply(ErrorCode.NONE, after.member_id, after.epoch, CONSUMER_PROTOCOL, request.protocols[0][0])
    turn.answer(token, reply)


def _member_who_joins(turn: ConsumerTurn, identity: MemberIdentity, member_id: str, is_unknown: bool) -> ConsumerMember:
    """Return the member as it was. One that the group does not know joins with the id that it was given (KIP-394)."""
    if identity.instance_id is None:
        return turn.group.members.get(member_id, ConsumerMember(member_id))
    if not is_unknown:
        return find_static(turn.group, identity.instance_id, member_id)
    former = turn.group.static_member(identity.instance_id)
    return ConsumerMember(member_id) if former is None else replace_static(turn, former, member_id)


def sync(turn: ConsumerTurn, token: int, request: SyncRequest) -> None:
    """Tell a classic member what it is assigned in its epoch. Raises KafkaError."""
    member, classic = _present_member(turn, request.member)
    names_other_type = request.protocol_type not in (None, CONSUMER_PROTOCOL)
    if names_other_type or request.protocol not in (None, classic.protocols[0][0]):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    # One that is revoking has joined already: it gets what it keeps, and joins again after that.
    if turn.group.epoch > member.epoch and member.state is not MemberState.UNREVOKED_PARTITIONS:
        raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
    expires_ms = turn.now_ms + classic.session_timeout_ms
    turn.group = turn.group.with_member(replace(member, expires_ms=expires_ms, sync_deadline_ms=None))
    version = read_subscription(classic.protocols[0][1]).version
    assignment = write_assignment(named(member.assigned, turn.topics.image), version)
    turn.answer(token, SyncReply(ErrorCode.NONE, CONSUMER_PROTOCOL, classic.protocols[0][0], assignment))


def heartbeat(turn: ConsumerTurn, token: int, identity: MemberIdentity) -> None:
    """Take a sign of life; REBALANCE_IN_PROGRESS when the member can take a step. Raises KafkaError."""
    member, classic = _present_member(turn, identity)
    look_at_topics(turn, has_changed=False)
    group = turn.group
    is_behind = member.epoch < group.epoch
    must_revoke = member.state is MemberState.UNREVOKED_PARTITIONS
    can_go_on = member.state is MemberState.UNRELEASED_PARTITIONS and not _waits_for_others(turn, member)
    joins_again = is_behind or must_revoke or can_go_on
    deadline_ms = member.join_deadline_ms
    if joins_again and deadline_ms is None:
        deadline_ms = turn.now_ms + member.rebalance_timeout_ms
    expires_ms = turn.now_ms + classic.session_timeout_ms
    turn.group = group.with_member(replace(member, expires_ms=expires_ms, join_deadline_ms=deadline_ms))
    turn.answer(token, ErrorCode.REBALANCE_IN_PROGRESS if joins_again else ErrorCode.NONE)


def _waits_for_others(turn: ConsumerTurn, member: ConsumerMember) -> bool:
    wanted = turn.group.targets.get(member.member_id, NO_PARTITIONS) - member.assigned
    return bool(wanted & turn.group.owned_by_others(member.member_id))


def leave(turn: ConsumerTurn, token: int, identities: Sequence[MemberIdentity]) -> None:
    """Let classic members go; the answer has one error for each. An admin names static ones without their member id."""
    errors, leaving = [], []
    for identity in identities:
        try:
            leaving.append(_member_who_leaves(turn, identity).member_id)
            errors.append(ErrorCode.NONE)
        except KafkaError as error:
            errors.append(error.code)
    if leaving:
        let_go(turn, leaving)
    turn.answer(token, tuple(errors))


def _member_who_leaves(turn: ConsumerTurn, identity: MemberIdentity) -> ConsumerMember:
    if identity.instance_id is not None and identity.member_id == UNKNOWN_MEMBER:
        member = turn.group.static_member(identity.instance_id)
    else:
        member = _member(turn, identity)
    if member is None or member.classic is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
    return member


def _member(turn: ConsumerTurn, identity: MemberIdentity) -> ConsumerMember | None:
    if identity.instance_id is not None:
        return find_static(turn.group, identity.instance_id, identity.member_id)
    return turn.group.members.get(identity.member_id)


def _present_member(turn: ConsumerTurn, identity: MemberIdentity) -> tuple[ConsumerMember, ClassicSide]:
    """Return the classic member that speaks. Raises KafkaError, ILLEGAL_GENERATION for another epoch than its own."""
    member = _member(turn, identity)
    if member is None or member.classic is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
    if identity.generation != member.epoch:
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
    return member, member.classic
