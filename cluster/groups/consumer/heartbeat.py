"""ConsumerGroupHeartbeat: a member joins, says what it wants and has, is told what it gets, leaves.

Here: the decisions of Kafka's `consumerGroupHeartbeat`. Not here: what becomes of the group when a member goes
(`leaving`), and versions (`cluster.broker.consumer_group_heartbeat`).
"""

from __future__ import annotations

from dataclasses import replace

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import ConsumerReported
from cluster.base.regexes import check_regex
from cluster.groups.consumer.group import JOINS, LEAVES, LEAVES_FOR_A_WHILE, ConsumerGroup, ConsumerMember
from cluster.groups.consumer.partitions import named
from cluster.groups.consumer.requests import NOT_SAID, HeartbeatReply, HeartbeatRequest
from cluster.groups.consumer.turn import ConsumerTurn, assign_if_due, look_at_topics, take_step
from cluster.groups.decision import Settings

_REJOIN = "The member must abandon all its partitions and rejoin."


def check_heartbeat(request: HeartbeatRequest, settings: Settings) -> None:
    """Raise KafkaError when a request makes no sense whatever the group is."""
    _refuse_if(request.instance_id == "", "InstanceId can't be empty.")
    _refuse_if(request.rack_id == "", "RackId can't be empty.")
    is_known = request.member_epoch > 0 or request.member_epoch in (LEAVES, LEAVES_FOR_A_WHILE)
    _refuse_if((request.needs_member_id or is_known) and not request.member_id.strip(), "MemberId can't be empty.")
    if request.member_epoch == JOINS:
        no_timeout = request.rebalance_timeout_ms == NOT_SAID
        _refuse_if(no_timeout, "RebalanceTimeoutMs must be provided in first request.")
        owns_something = request.owned is None or bool(request.owned)
        _refuse_if(owns_something, "TopicPartitions must be empty when (re-)joining.")
        no_topics = request.topics is None and request.regex is None
        _refuse_if(no_topics, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
    elif request.member_epoch == LEAVES_FOR_A_WHILE:
        _refuse_if(request.instance_id is None, "InstanceId can't be null.")
    _refuse_if(request.member_epoch < LEAVES_FOR_A_WHILE, "MemberEpoch is invalid.")
    if request.assignor is not None and request.assignor not in settings.assignors:
        supported = ", ".join(settings.assignors)
        message = f"ServerAssignor {request.assignor} is not supported. Supported assignors: {supported}."
        raise KafkaError(ErrorCode.UNSUPPORTED_ASSIGNOR, message)
    if request.regex:
        check_regex("SubscribedTopicRegex", request.regex)


def _refuse_if(condition: bool, message: str) -> None:
    if condition:
        raise KafkaError(ErrorCode.INVALID_REQUEST, message)


def heartbeat(turn: ConsumerTurn, token: int, request: HeartbeatRequest) -> None:
    """Decide on the heartbeat of somebody who joins or stays. Raises KafkaError when it is refused."""
    before = _member_who_speaks(turn, request)
    member = _updated(turn, before, request)
    is_new = before.member_id not in turn.group.members
    turn.group = turn.group.with_member(member)
    subscription_changed = (before.topics, before.regex) != (member.topics, member.regex)
    look_at_topics(turn, has_changed=is_new or subscription_changed)
    assign_if_due(turn)
    after = take_step(turn, member, request.owned)
    if request.owned is not None:
        owned = tuple(map(str, named(request.owned, turn.topics.image)))
        turn.traces.append(ConsumerReported(turn.group.group_id, after.member_id, request.member_epoch, owned))
    tells = request.says_everything or after.assigned != before.assigned
    reply = HeartbeatReply(
        member_id=after.member_id,
        member_epoch=after.epoch,
        heartbeat_interval_ms=turn.settings.consumer_heartbeat_interval_ms,
        assignment=after.assigned if tells else None,
    )
    turn.answer(token, reply)


def _member_who_speaks(turn: ConsumerTurn, request: HeartbeatRequest) -> ConsumerMember:
    """Return the member as it was; a new one when somebody joins. Raises KafkaError."""
    group, joins = turn.group, request.member_epoch == JOINS
    member_id = request.member_id or request.new_member_id
    if len(group.members) >= turn.settings.consumers_max and member_id not in group.members:
        message = f"The consumer group has reached its maximum capacity of {turn.settings.consumers_max} members."
        raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED, message)
    if request.instance_id is not None:
        return _static_member(turn, request, member_id)
    member = group.members.get(member_id)
    if member is None:
        if not joins:
            message = f"Member {member_id} is not a member of group {group.group_id}."
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, message)
        return ConsumerMember(member_id)
    _check_epoch(member, request)
    return member


def _static_member(turn: ConsumerTurn, request: HeartbeatRequest, member_id: str) -> ConsumerMember:
    member = turn.group.static_member(request.instance_id)
    if request.member_epoch == JOINS:
        if member is None:
            return turn.group.members.get(member_id, ConsumerMember(member_id))
        if member.classic is None and member.epoch != LEAVES_FOR_A_WHILE:
            if member.member_id == member_id:  # its answer was lost
                _check_epoch(member, request)
                return member
            message = (
                f"Static member {member_id} with instance id {request.instance_id} cannot join the group because the "
                f"instance id is owned by {member.member_id} member."
            )
            raise KafkaError(ErrorCode.UNRELEASED_INSTANCE_ID, message)
        return replace_static(turn, member, member_id)
    found = find_static(turn.group, request.instance_id, member_id)
    _check_epoch(found, request)
    return found


def find_static(group: ConsumerGroup, instance_id: str | None, member_id: str) -> ConsumerMember:
    """Return the member with an instance id. Raises KafkaError when there is none, or another process has it now."""
    member = group.static_member(instance_id)
    if member is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if member.member_id != member_id:
        message = f"Static member {member_id} with instance id {instance_id} was fenced by member {member.member_id}."
        raise KafkaError(ErrorCode.FENCED_INSTANCE_ID, message)
    return member


def replace_static(turn: ConsumerTurn, former: ConsumerMember, member_id: str) -> ConsumerMember:
    """A static member is back under another id: it takes over what its former self was assigned (KIP-345)."""
    member = replace(former, member_id=member_id, epoch=JOINS, previous_epoch=JOINS)
    group = turn.group
    targets = {(member_id if key == former.member_id else key): target for key, target in group.targets.items()}
    members = {
        (member_id if key == former.member_id else key): (member if key == former.member_id else other)
        for key, other in group.members.items()
    }
    turn.group = replace(group, members=members, targets=targets)
    return member


def _check_epoch(member: ConsumerMember, request: HeartbeatRequest) -> None:
    """Fence whoever speaks of another epoch; only the answer that brought it to its present one may be lost."""
    epoch, owned = request.member_epoch, request.owned
    if epoch == member.epoch:
        return
    is_repetition = epoch == member.previous_epoch and owned is not None and owned <= member.assigned
    if epoch > member.epoch or not is_repetition:
        compared = "greater" if epoch > member.epoch else "smaller"
        message = (
            f"The consumer group member has a {compared} member epoch ({epoch}) than the one known by the group "
            f"coordinator ({member.epoch}). {_REJOIN}"
        )
        raise KafkaError(ErrorCode.FENCED_MEMBER_EPOCH, message)


def _updated(turn: ConsumerTurn, member: ConsumerMember, request: HeartbeatRequest) -> ConsumerMember:
    """Return the member with what it says of itself now, after this sign of life."""
    timeout_ms = request.rebalance_timeout_ms
    return replace(
        member,
        instance_id=member.instance_id if request.instance_id is None else request.instance_id,
        rack_id=member.rack_id if request.rack_id is None else request.rack_id,
        rebalance_timeout_ms=member.rebalance_timeout_ms if timeout_ms == NOT_SAID else timeout_ms,
        topics=member.topics if request.topics is None else tuple(sorted({*request.topics})),
        regex=member.regex if request.regex is None else request.regex,
        assignor=member.assignor if request.assignor is None else request.assignor,
        client_id=request.client_id,
        client_host=request.client_host,
        classic=None,
        expires_ms=turn.now_ms + turn.settings.consumer_session_timeout_ms,
        join_deadline_ms=None,
        sync_deadline_ms=None,
    )
