"""OffsetFetch (API 9), versions 1 to 10: how far has a group read?

Only what is committed to `__consumer_offsets` is told. A partition without an offset is -1 without an error, also
when there is no such group. Null for the topics means all that have one (version 2).

Version 5 adds leader epochs, 7 `require_stable` (KIP-447): an offset that an open transaction may change is then
UNSTABLE_OFFSET_COMMIT, and consumers ask again. 8 adds several groups at once, 10 topic ids; an id that is not known is
UNKNOWN_TOPIC_ID. From 9 on a member of the new protocol says who it is (KIP-848): UNKNOWN_MEMBER_ID,
STALE_MEMBER_EPOCH.
Departures: a coordinator whose records are held back by a lack of in-sync replicas lets readers wait with writers. One
whose heartbeats the controller does not answer may have been replaced: it tells nothing until it is heard again, and
says NOT_COORDINATOR when that takes `offsets.commit.timeout.ms`. In Kafka it tells what it knew until it hears of its
successor, and a copier that believes it copies twice, transactions or not. It waits because a heartbeat may only be
late, and librdkafka does not ask again for offsets that were refused unless it has to rejoin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import OffsetFetched
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.topic_names import BY_ID_FROM, topic_key, topic_name
from cluster.groups import NO_COMMIT, UNSTABLE, CommitOffset, MemberIdentity
from cluster.wire import Fields, Message

SEVERAL_GROUPS_FROM = 8

Found = Mapping[TopicPartition, CommitOffset] | ErrorCode


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Answer for one group, or for each of several."""
    if version < SEVERAL_GROUPS_FROM:
        return await _answer(context, version, message, message)
    return {
        "groups": [
            {"group_id": group.group_id, **await _answer(context, version, message, group)} for group in message.groups
        ]
    }


async def _answer(context: BrokerContext, version: int, message: Message, asked: Any) -> Fields:
    must_be_stable = getattr(message, "require_stable", False)
    identity = MemberIdentity(getattr(asked, "member_id", None) or "", None, getattr(asked, "member_epoch", -1))
    partitions = _partitions(context, version, asked)
    found = await _fetch(context, asked.group_id, partitions, identity, must_be_stable)
    if isinstance(found, ErrorCode):
        topics = [_refused_topic(context, version, topic, found) for topic in asked.topics or ()]
        # Version 1 has no place for an error but in each partition; later ones have, and the partitions repeat it.
        return {"error_code": found, "topics": topics}
    if asked.topics is None:
        return {"topics": _all_topics(context, version, found)}
    return {"topics": [_topic(context, version, topic, found) for topic in asked.topics]}


def _partitions(context: BrokerContext, version: int, asked: Any) -> list[TopicPartition] | None:
    if asked.topics is None:
        return None
    return [
        TopicPartition(name, number)
        for topic in asked.topics
        if (name := topic_name(context, version, topic)) is not None
        for number in topic.partition_indexes
    ]


async def _fetch(
    context: BrokerContext,
    group_id: str,
    partitions: Sequence[TopicPartition] | None,
    identity: MemberIdentity,
    must_be_stable: bool,
) -> Found:
    if not group_id:
        return ErrorCode.INVALID_GROUP_ID
    epoch = context.groups.epoch_of(group_id)
    timeout_ms = context.configs.integer("offsets.commit.timeout.ms")
    while True:
        try:
            found: Found = await context.groups.ask(
                group_id, lambda shard, token, now: shard.fetch(token, group_id, partitions, identity, must_be_stable)
            )
        except KafkaError as error:
            return error.code
        if not context.may_have_replaced_us():
            break
        if not await context.heard_again(timeout_ms):
            return ErrorCode.NOT_COORDINATOR
    if context.tracer.enabled and not isinstance(found, ErrorCode):
        for key, commit in ((key, commit) for key, commit in found.items() if commit is not UNSTABLE):
            context.tracer.emit(OffsetFetched(group_id, *key, commit.offset, epoch))
    return found


def _topic(context: BrokerContext, version: int, topic: Any, found: Mapping[TopicPartition, CommitOffset]) -> Fields:
    name = topic_name(context, version, topic)
    if name is None:
        return _refused_topic(context, version, topic, ErrorCode.UNKNOWN_TOPIC_ID)
    parts = [_part(number, found[TopicPartition(name, number)]) for number in topic.partition_indexes]
    return {**topic_key(version, topic), "partitions": parts}


def _refused_topic(context: BrokerContext, version: int, topic: Any, error: ErrorCode) -> Fields:
    parts = [{**_part(number, NO_COMMIT), "error_code": error} for number in topic.partition_indexes]
    return {**topic_key(version, topic), "partitions": parts}


def _all_topics(context: BrokerContext, version: int, found: Mapping[TopicPartition, CommitOffset]) -> list[Fields]:
    parts: dict[str, list[Fields]] = {}
    for key in sorted(found):
        parts.setdefault(key.topic, []).append(_part(key.partition, found[key]))
    topics = context.image().topics
    if version < BY_ID_FROM:
        return [{"name": name, "partitions": partitions} for name, partitions in parts.items()]
    return [
        {"topic_id": topics[name].topic_id, "partitions": partitions}
        for name, partitions in parts.items()
        if name in topics
    ]


def _part(number: int, commit: CommitOffset) -> Fields:
    if commit is UNSTABLE:
        return {**_part(number, NO_COMMIT), "error_code": ErrorCode.UNSTABLE_OFFSET_COMMIT}
    return {
        "partition_index": number,
        "committed_offset": commit.offset,
        "committed_leader_epoch": commit.leader_epoch,
        "metadata": commit.metadata,
    }
