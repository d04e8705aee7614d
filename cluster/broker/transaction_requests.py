"""What brokers ask of each other for transactions (`proto/cluster/rpc/transactions.proto`), served.

Here: a leader writes markers; a coordinator says whether partitions are part of a transaction. Not here: who asks
(`transaction_coordinator`, `transaction_membership`), and how it travels (`cluster.node`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import CONSUMER_OFFSETS
from cluster.records import EndMarker
from cluster.replication import AppendOutcome
from cluster.rpc import transactions_pb2 as rpc
from cluster.transactions import EPOCH_PER_TRANSACTION, AddRequest

Errors = Mapping[TopicPartition, ErrorCode]


async def serve_write_markers(context: BrokerContext, request: rpc.WriteMarkersRequest) -> rpc.PartitionErrors:
    """Write the markers of an ended transaction, and answer when they are committed."""
    marker = EndMarker(request.producer_id, request.producer_epoch, request.is_commit, request.coordinator_epoch)
    partitions = [TopicPartition(each.topic, each.partition) for each in request.partitions]
    return _reply(await write_markers(context, marker, partitions, request.is_strict))


async def write_markers(
    context: BrokerContext, marker: EndMarker, partitions: Sequence[TopicPartition], is_strict: bool
) -> dict[TopicPartition, ErrorCode]:
    """Write a marker to each partition with acks=all; return what became of each."""
    waits = [_write_marker(context, marker, partition, is_strict) for partition in partitions]
    errors = await asyncio.gather(*waits)
    return dict(zip(partitions, errors, strict=True))


async def _write_marker(
    context: BrokerContext, marker: EndMarker, partition: TopicPartition, is_strict: bool
) -> ErrorCode:
    replica = context.replicas.get(partition)
    if replica is None or not replica.is_leader:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    outcome: AppendOutcome
    if partition.topic == CONSUMER_OFFSETS.name:
        outcome = context.groups.write_marker(partition.partition, marker, is_strict)
    else:
        clock = context.clock
        outcome = replica.append_marker(marker, is_strict, clock.monotonic_ms(), clock.wall_ms())
        context.flush_soon(replica)
    if outcome.error is not ErrorCode.NONE:
        return outcome.error
    committed: asyncio.Future[ErrorCode] = asyncio.get_running_loop().create_future()

    def told(error: ErrorCode) -> None:
        if not committed.done():
            committed.set_result(error)

    waiter = replica.when_committed(outcome.required_offset, told)
    timeout_ms = context.configs.integer("broker.session.timeout.ms")
    deadline = context.deadlines.set(timeout_ms, lambda: told(ErrorCode.REQUEST_TIMED_OUT))
    try:
        return await committed
    finally:
        waiter.cancel()
        deadline.cancel()


async def serve_add_partitions(context: BrokerContext, request: rpc.AddPartitionsRequest) -> rpc.PartitionErrors:
    """Say whether partitions are part of a transaction; make them so, unless it is only asked."""
    partitions = [TopicPartition(each.topic, each.partition) for each in request.partitions]
    add = AddRequest(
        request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        partitions,
        EPOCH_PER_TRANSACTION,
    )
    answer = verify_partitions if request.verify_only else add_partitions
    return _reply(await answer(context, add))


async def verify_partitions(context: BrokerContext, request: AddRequest) -> Errors:
    """Ask this broker's coordinator whether partitions are part of a transaction."""
    try:
        errors: Errors = await context.transactions.ask(
            request.transactional_id, lambda shard, token, now: shard.verify_partitions(token, request)
        )
    except KafkaError as error:
        return dict.fromkeys(request.partitions, error.code)
    return errors


async def add_partitions(context: BrokerContext, request: AddRequest) -> Errors:
    """Let this broker's coordinator make partitions part of a transaction: all of them or none.

    It must know the partitions itself: it will have to find their leaders.
    """
    image = context.image()
    unknown = [partition for partition in request.partitions if image.partition(partition) is None]
    if unknown:
        return {
            partition: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if partition in unknown
            else ErrorCode.OPERATION_NOT_ATTEMPTED
            for partition in request.partitions
        }
    try:
        reply = await context.transactions.decide(
            request.transactional_id, lambda shard, token, now: shard.add_partitions(token, request, now)
        )
    except KafkaError as error:
        return dict.fromkeys(request.partitions, error.code)
    return dict.fromkeys(request.partitions, reply.error)


def _reply(errors: Errors) -> rpc.PartitionErrors:
    return rpc.PartitionErrors(
        errors=[
            rpc.PartitionError(topic=each.topic, partition=each.partition, error_code=error)
            for each, error in errors.items()
        ]
    )
