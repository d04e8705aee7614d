"""TxnOffsetCommit (API 28), versions 0 to 5: a group's offsets that count when a transaction is committed.

The offsets are written to `__consumer_offsets` as part of the transaction and wait there for its marker; until it
comes OffsetFetch tells who asks for stable offsets that they are not (UNSTABLE_OFFSET_COMMIT, KIP-447). The transaction
coordinator is asked first whether the transaction is open: TRANSACTION_ABORTABLE (before version 4 INVALID_TXN_STATE)
when not. In version 5 the question makes the group part of the transaction (KIP-890).
From version 3 on the producer says for which member it commits, and is refused as a member would be:
ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. Version 2 adds leader epochs.
"""

from __future__ import annotations

from typing import Any

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.group_trace import OffsetCommitAsked
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import CONSUMER_OFFSETS
from cluster.broker.transaction_membership import UNANSWERED, admit
from cluster.groups import CommitOffset, MemberIdentity
from cluster.wire import Fields, Message

ABORTABLE_SINCE = 4
ADDS_SINCE = 5

Commits = dict[TopicPartition, CommitOffset]


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Write what can be written, and answer for each partition."""
    commits, errors = _sort_out(context, message)
    if commits:
        errors.update(await _commit(context, version, message, commits))
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [
                    {
                        "partition_index": part.partition_index,
                        "error_code": errors[TopicPartition(topic.name, part.partition_index)],
                    }
                    for part in topic.partitions
                ],
            }
            for topic in message.topics
        ]
    }


def _sort_out(context: BrokerContext, message: Message) -> tuple[Commits, dict[TopicPartition, ErrorCode]]:
    """Return the offsets of partitions that exist, and the errors of the others."""
    wall_ms = context.clock.wall_ms()
    image = context.image()
    commits: Commits = {}
    errors: dict[TopicPartition, ErrorCode] = {}
    for topic in message.topics:
        for part in topic.partitions:
            key = TopicPartition(topic.name, part.partition_index)
            if image.partition(key) is None:
                errors[key] = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                continue
            leader_epoch = getattr(part, "committed_leader_epoch", NO_EPOCH)
            commits[key] = CommitOffset(part.committed_offset, leader_epoch, part.committed_metadata or "", wall_ms)
    return commits, errors


async def _commit(
    context: BrokerContext, version: int, message: Message, commits: Commits
) -> dict[TopicPartition, ErrorCode]:
    group_id: str = message.group_id
    if not group_id:
        return dict.fromkeys(commits, ErrorCode.INVALID_GROUP_ID)
    refusal = await _admission_error(context, version, message)
    if refusal is not ErrorCode.NONE:
        return dict.fromkeys(commits, refusal)
    identity = MemberIdentity(
        getattr(message, "member_id", ""),
        getattr(message, "group_instance_id", None),
        getattr(message, "generation_id", -1),
    )
    if context.tracer.enabled:
        for key, commit in commits.items():
            context.tracer.emit(OffsetCommitAsked(group_id, *key, commit.offset))
    producer = (message.producer_id, message.producer_epoch)
    try:
        errors: dict[TopicPartition, ErrorCode] = await context.groups.ask(
            group_id, lambda shard, token, now: shard.commit(token, group_id, identity, commits, now, producer=producer)
        )
    except KafkaError as error:
        return dict.fromkeys(commits, error.code)
    return errors


async def _admission_error(context: BrokerContext, version: int, message: Any) -> ErrorCode:
    """Return why the producer may not write to the group's partition, or NONE; then it has to write at once."""
    number = CONSUMER_OFFSETS.partition_for(message.group_id, context.image())
    partition = None
    if number is not None:
        partition = context.replicas.get(TopicPartition(CONSUMER_OFFSETS.name, number))
    if partition is None or not partition.is_leader:
        return ErrorCode.NOT_COORDINATOR
    producer = (message.producer_id, message.producer_epoch)
    adds = version >= ADDS_SINCE
    errors = await admit(context, message.transactional_id, producer, [partition], adds=adds)
    error = errors[partition.topic_partition]
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    if error is ErrorCode.TRANSACTION_ABORTABLE and version < ABORTABLE_SINCE:
        return ErrorCode.INVALID_TXN_STATE
    if error in UNANSWERED:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if error is ErrorCode.CONCURRENT_TRANSACTIONS and not adds:
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS  # what older clients know how to retry
    return error
