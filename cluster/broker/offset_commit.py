"""OffsetCommit (API 8), versions 2 to 10: remember how far a group has read.

Acknowledged when the offsets are committed to `__consumer_offsets` by all in-sync replicas: a coordinator that was
fenced cannot acknowledge. A topic that does not exist is UNKNOWN_TOPIC_OR_PARTITION (from version 10 on, where topics
have ids, UNKNOWN_TOPIC_ID); a note longer than `offset.metadata.max.bytes` is OFFSET_METADATA_TOO_LARGE. The other
offsets of the request are remembered all the same.

Versions 2 to 4 may ask for a retention. 6 adds the leader epoch, 7 static members. From version 9 on the generation may
be a member epoch of the new protocol: STALE_MEMBER_EPOCH when it is not the member's present one, GROUP_ID_NOT_FOUND
when there is no such group (KIP-848).
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import OffsetCommitAsked, OffsetCommitted
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.topic_names import BY_ID_FROM, topic_key, topic_name
from cluster.groups import CommitOffset, MemberIdentity
from cluster.wire import Fields, Message

NO_RETENTION = -1

MEMBER_EPOCHS_FROM = 9


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Commit what can be committed, and answer for each partition."""
    commits, errors = _sort_out(context, version, message)
    identity = MemberIdentity(
        message.member_id, getattr(message, "group_instance_id", None), message.generation_id_or_member_epoch
    )
    if commits:
        errors.update(await _commit(context, version, message.group_id, identity, commits))
    unknown = ErrorCode.UNKNOWN_TOPIC_ID if version >= BY_ID_FROM else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def error_of(topic: Message, number: int) -> ErrorCode:
        name = topic_name(context, version, topic)
        return unknown if name is None else errors.get(TopicPartition(name, number), unknown)

    return {
        "topics": [
            {
                **topic_key(version, topic),
                "partitions": [
                    {
                        "partition_index": part.partition_index,
                        "error_code": error_of(topic, part.partition_index),
                    }
                    for part in topic.partitions
                ],
            }
            for topic in message.topics
        ]
    }


def _sort_out(
    context: BrokerContext, version: int, message: Message
) -> tuple[dict[TopicPartition, CommitOffset], dict[TopicPartition, ErrorCode]]:
    """Return the offsets of partitions that exist, and the errors of the others."""
    wall_ms = context.clock.wall_ms()
    retention_ms = _retention_ms(message)
    expires_ms = -1 if retention_ms == NO_RETENTION else wall_ms + retention_ms
    image = context.image()
    commits: dict[TopicPartition, CommitOffset] = {}
    errors: dict[TopicPartition, ErrorCode] = {}
    for topic in message.topics:
        name = topic_name(context, version, topic)
        for part in topic.partitions if name is not None else ():
            assert name is not None
            key = TopicPartition(name, part.partition_index)
            if image.partition(key) is None:
                errors[key] = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                continue
            leader_epoch = getattr(part, "committed_leader_epoch", NO_EPOCH)
            note = part.committed_metadata or ""
            commits[key] = CommitOffset(part.committed_offset, leader_epoch, note, wall_ms, expires_ms)
    return commits, errors


def _retention_ms(message: Message) -> int:
    retention: Any = getattr(message, "retention_time", NO_RETENTION)
    return retention if isinstance(retention, int) else round(retention.total_seconds() * 1000)


async def _commit(
    context: BrokerContext,
    version: int,
    group_id: str,
    identity: MemberIdentity,
    commits: dict[TopicPartition, CommitOffset],
) -> dict[TopicPartition, ErrorCode]:
    if not group_id:
        return dict.fromkeys(commits, ErrorCode.INVALID_GROUP_ID)
    if context.tracer.enabled:
        for key, commit in commits.items():
            context.tracer.emit(OffsetCommitAsked(group_id, *key, commit.offset))
    epoch = context.groups.epoch_of(group_id)
    try:
        errors: dict[TopicPartition, ErrorCode] = await context.groups.ask(
            group_id,
            lambda shard, token, now: shard.commit(
                token, group_id, identity, commits, now, speaks_epochs=version >= MEMBER_EPOCHS_FROM
            ),
        )
    except KafkaError as error:
        return dict.fromkeys(commits, error.code)
    if context.tracer.enabled:
        for key, answer in errors.items():
            if answer is ErrorCode.NONE:
                offset = commits[key].offset
                context.tracer.emit(OffsetCommitted(group_id, identity.generation, *key, offset, epoch))
    return errors
