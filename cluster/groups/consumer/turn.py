"""A decision about one consumer group while it is made, and the steps that decisions have in common.

Here: looking at the cluster's topics, raising the epoch, making the target assignment, letting members go. Not here:
what clients ask (`heartbeat`, `classic_members`), one member's way to its target (`reconciliation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from cluster.base.answers import Answer
from cluster.base.ids import TopicId
from cluster.base.moments import Moment
from cluster.base.regexes import matching
from cluster.base.trace import TraceEvent
from cluster.groups.consumer.assignors import Subscriber, targets_of
from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember, ResolvedRegex
from cluster.groups.consumer.partitions import NO_PARTITIONS, Partitions
from cluster.groups.consumer.reconciliation import reconcile
from cluster.groups.consumer.states import MemberState
from cluster.groups.decision import Settings
from cluster.groups.share.assignor import assign_shared
from cluster.groups.share.group import ShareGroup
from cluster.metadata import MetadataImage


@dataclass(frozen=True, slots=True)
class Topics:
    """The cluster's topics as a group sees them. `version` counts how often they have changed."""

    image: MetadataImage
    version: int = 0


@dataclass(slots=True)
class ConsumerTurn:
    """One consumer group's decision while it is being made. `settings` are the group's own."""

    group: ConsumerGroup
    topics: Topics
    settings: Settings
    now: Moment
    answers: list[Answer] = field(default_factory=list)
    traces: list[TraceEvent] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        """The monotonic time of the decision, from which deadlines are counted."""
        return self.now.monotonic_ms

    def answer(self, token: int, reply: Any) -> None:
        """Answer a request."""
        self.answers.append(Answer(token, reply))


def look_at_topics(turn: ConsumerTurn, *, has_changed: bool) -> None:
    """Raise the group's epoch when members or subscriptions have changed, or what the subscribed topics are.

    Regular expressions are looked up when they are new and whenever the cluster's topics change (Kafka: in the
    background, at the latest after `group.consumer.regex.refresh.interval.ms`).
    """
    group, topics = turn.group, turn.topics
    if not has_changed and group.topics_seen == topics.version:
        return
    group = _resolve_regexes(group, topics, turn.now)
    has_changed = has_changed or group.regexes != turn.group.regexes
    metadata_hash = _hash_of(group.subscribed_topics(), topics.image)
    if has_changed or metadata_hash != group.metadata_hash:
        group = replace(group, epoch=group.epoch + 1, metadata_hash=metadata_hash)
    turn.group = replace(group, topics_seen=topics.version)


def _resolve_regexes(group: ConsumerGroup, topics: Topics, now: Moment) -> ConsumerGroup:
    wanted = dict.fromkeys(member.regex for member in group.members.values() if member.regex)
    resolved: dict[str, ResolvedRegex] = {}
    for regex in wanted:
        known = group.regexes.get(regex)
        if known is not None and group.topics_seen == topics.version:
            resolved[regex] = known
            continue
        found = matching(regex, topics.image.topics)
        is_same = known is not None and known.topics == found
        fresh = ResolvedRegex(found, topics.image.offset, now.wall_ms)
        resolved[regex] = known if is_same and known is not None else fresh
    return replace(group, regexes=resolved)


def _hash_of(names: Sequence[str], image: MetadataImage) -> int:
    """Return a number that changes when topics come, go, are made anew or grow; 0 when none of them exists."""
    digest = blake2b(digest_size=8)
    is_empty = True
    for name in names:
        topic = image.topics.get(name)
        if topic is not None:
            digest.update(f"{name}\0{topic.topic_id}\0{len(topic.partitions)}\0".encode())
            is_empty = False
    return 0 if is_empty else int.from_bytes(digest.digest(), "big", signed=True)


def assign_if_due(turn: ConsumerTurn) -> None:
    """Make the target assignment of the group's epoch, if it is not made yet."""
    group, image = turn.group, turn.topics.image
    if group.epoch <= group.target_epoch:
        return
    subscribers = [
        Subscriber(
            member.member_id,
            member.instance_id,
            _ids_of(group.topics_of(member), image),
            group.targets.get(member.member_id, NO_PARTITIONS),
        )
        for member in group.members.values()
    ]
    sizes: dict[TopicId, int] = {}
    for name in group.subscribed_topics():
        topic = image.topics.get(name)
        if topic is not None:
            sizes[topic.topic_id] = len(topic.partitions)
    targets = (
        assign_shared(subscribers, sizes)
        if isinstance(group, ShareGroup)
        else targets_of(preferred_assignor(group, turn.settings), subscribers, sizes)
    )
    turn.group = replace(group, targets=targets, target_epoch=group.epoch)


def _ids_of(names: Sequence[str], image: MetadataImage) -> frozenset[TopicId]:
    return frozenset(image.topics[name].topic_id for name in names if name in image.topics)


def preferred_assignor(group: ConsumerGroup, settings: Settings) -> str:
    """Return the assignor that most members ask for; the first of `group.consumer.assignors` when nobody does.

    Where Kafka leaves a tie to the order of a hash map, the first of the configured ones wins.
    """
    votes = dict.fromkeys(settings.assignors, 0)
    for member in group.members.values():
        if member.assignor in votes:
            votes[member.assignor] += 1
    return max(settings.assignors, key=votes.__getitem__)


def take_step(turn: ConsumerTurn, member: ConsumerMember, reported: Partitions | None) -> ConsumerMember:
    """Bring a member a step nearer to its target assignment, and set or end the time that it has to revoke."""
    group = turn.group
    target = group.targets.get(member.member_id, NO_PARTITIONS)
    others = NO_PARTITIONS
    if not member.is_reconciled_to(group.target_epoch):
        others = group.owned_by_others(member.member_id)
    after = reconcile(member, group.target_epoch, target, others, reported)
    if after is not member:
        is_revoking = after.state is MemberState.UNREVOKED_PARTITIONS and after.classic is None
        deadline_ms = turn.now_ms + after.rebalance_timeout_ms if is_revoking else None
        after = replace(after, revoke_deadline_ms=deadline_ms)
    turn.group = group.with_member(after)
    return after


def let_go(turn: ConsumerTurn, member_ids: Sequence[str]) -> None:
    """Remove members and raise the epoch: the next heartbeat of the others makes a new assignment."""
    group = turn.group
    for member_id in member_ids:
        group = group.without_member(member_id)
    group = _resolve_regexes(group, turn.topics, turn.now)
    metadata_hash = _hash_of(group.subscribed_topics(), turn.topics.image)
    turn.group = replace(group, epoch=group.epoch + 1, metadata_hash=metadata_hash, topics_seen=turn.topics.version)
