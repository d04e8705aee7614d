"""ShareGroupHeartbeat: a member of a share group joins, says what it wants, is told what to read, leaves.

Here: the decisions of Kafka's `shareGroupHeartbeat`. Not here: versions (`cluster.broker.share_group_heartbeat`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicId
from cluster.groups.consumer.group import JOINS, LEAVES, ConsumerMember
from cluster.groups.consumer.partitions import NO_PARTITIONS
from cluster.groups.consumer.requests import HeartbeatReply
from cluster.groups.consumer.turn import ConsumerTurn, assign_if_due, let_go, look_at_topics
from cluster.groups.share.group import SharedTopic, ShareGroup

_REJOIN = "The member must abandon all its partitions and rejoin."


@dataclass(frozen=True, slots=True)
class ShareHeartbeat:
    """What a member says; topics that are None did not change since the last one."""

    member_id: str
    member_epoch: int
    rack_id: str | None = None
    topics: Sequence[str] | None = None
    client_id: str = ""
    client_host: str = ""


def heartbeat(turn: ConsumerTurn, token: int, request: ShareHeartbeat) -> None:
    """Decide on a heartbeat. Raises KafkaError when it is refused."""
    _check(request)
    if request.member_epoch == LEAVES:
        _member(turn, request)
        let_go(turn, [request.member_id])
        turn.answer(token, HeartbeatReply(member_id=request.member_id, member_epoch=LEAVES))
        return
    before = _member(turn, request)
    member = replace(
        before,
        rack_id=before.rack_id if request.rack_id is None else request.rack_id,
        topics=before.topics if request.topics is None else tuple(sorted({*request.topics})),
        client_id=request.client_id,
        client_host=request.client_host,
        expires_ms=turn.now_ms + turn.settings.share_session_timeout_ms,
    )
    is_new = member.member_id not in turn.group.members
    turn.group = turn.group.with_member(member)
    look_at_topics(turn, has_changed=is_new or member.topics != before.topics)
    assign_if_due(turn)
    after = _take_target(turn, member)
    _remember_topics(turn)
    tells = request.member_epoch == JOINS or request.topics is not None or after.assigned != before.assigned
    reply = HeartbeatReply(
        member_id=after.member_id,
        member_epoch=after.epoch,
        heartbeat_interval_ms=turn.settings.share_heartbeat_interval_ms,
        assignment=after.assigned if tells else None,
    )
    turn.answer(token, reply)


def _check(request: ShareHeartbeat) -> None:
    if not request.member_id.strip():
        raise KafkaError(ErrorCode.INVALID_REQUEST, "MemberId can't be empty.")
    if request.rack_id == "":
        raise KafkaError(ErrorCode.INVALID_REQUEST, "RackId can't be empty.")
    if request.member_epoch == JOINS and not request.topics:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "SubscribedTopicNames must be set in first request.")
    if request.member_epoch < LEAVES:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "MemberEpoch is invalid.")


def _member(turn: ConsumerTurn, request: ShareHeartbeat) -> ConsumerMember:
    """Return the member as it was; a new one when somebody joins. Raises KafkaError."""
    member, epoch = turn.group.members.get(request.member_id), request.member_epoch
    if member is None:
        if epoch != JOINS:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {request.member_id} is not a member of the group.")
        if len(turn.group.members) >= turn.settings.share_members_max:
            limit = turn.settings.share_members_max
            message = f"The share group has reached its maximum capacity of {limit} members."
            raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED, message)
        return ConsumerMember(request.member_id)
    if epoch not in (LEAVES, JOINS, member.epoch, member.previous_epoch):
        compared = "greater" if epoch > member.epoch else "smaller"
        message = (
            f"The share group member has a {compared} member epoch ({epoch}) than the one known by the group "
            f"coordinator ({member.epoch}). {_REJOIN}"
        )
        raise KafkaError(ErrorCode.FENCED_MEMBER_EPOCH, message)
    return member


def _take_target(turn: ConsumerTurn, member: ConsumerMember) -> ConsumerMember:
    """What a member shall read it may read at once: records, not partitions, are given to one member at a time."""
    target = turn.group.targets.get(member.member_id, NO_PARTITIONS)
    if member.epoch != turn.group.target_epoch:
        member = replace(member.in_epoch(turn.group.target_epoch), assigned=target)
    turn.group = turn.group.with_member(member)
    return member


def _remember_topics(turn: ConsumerTurn) -> None:
    """Note for which topics there is something to be kept; those that are gone are forgotten."""
    group, image = turn.group, turn.topics.image
    assert isinstance(group, ShareGroup), "the caller has found a share group"
    shared: dict[TopicId, SharedTopic] = {
        topic_id: topic for topic_id, topic in group.shared.items() if topic_id in image.topic_names
    }
    for name in group.subscribed_topics():
        found = image.topics.get(name)
        if found is not None:
            shared[found.topic_id] = SharedTopic(name, len(found.partitions))
    if shared != group.shared:
        turn.group = replace(group, shared=shared)
