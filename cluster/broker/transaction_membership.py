"""Before a leader appends to a transaction it asks whether the transaction is open (KIP-890).

Here: asking the coordinator, once for each transaction and partition. Not here: the answer (`transaction_requests`),
what a client is told (`transactional_produce`, `txn_offset_commit`), and the rule that nothing is appended without it
(`cluster.storage.producers`).

Producers that change their epoch with every transaction need not add partitions themselves: the leader's question
makes the partition part of the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.broker.context import BrokerContext
from cluster.broker.coordinator import TRANSACTION_STATE
from cluster.replication import Partition
from cluster.rpc import transactions_pb2 as rpc

RETRY_MS = 20
RETRIES = 5
"""While the last transaction's markers are being written (`add.partitions.to.txn.retry.backoff.max.ms`: 100)."""

UNANSWERED = (
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.OPERATION_NOT_ATTEMPTED,
)
"""The coordinator could not say."""


async def admit(
    context: BrokerContext,
    transactional_id: str,
    producer: tuple[int, int],
    partitions: Sequence[Partition],
    *,
    adds: bool,
) -> dict[TopicPartition, ErrorCode]:
    """Let a producer (id and epoch) append to partitions that this broker leads; return why it may not.

    What is returned is the coordinator's word, NONE when it may. `adds`: the question makes partitions part of the
    transaction. Whoever is admitted must append before anything else can happen.
    """
    errors = await _admit_once(context, transactional_id, producer, partitions, adds)
    for _ in range(RETRIES if adds else 0):
        if ErrorCode.CONCURRENT_TRANSACTIONS not in errors.values():
            break
        await asyncio.sleep(RETRY_MS / 1000)
        errors = await _admit_once(context, transactional_id, producer, partitions, adds)
    return errors


async def _admit_once(
    context: BrokerContext,
    transactional_id: str,
    producer: tuple[int, int],
    partitions: Sequence[Partition],
    adds: bool,
) -> dict[TopicPartition, ErrorCode]:
    producer_id, epoch = producer
    asked = [each for each in partitions if not each.log.producers.has_open(producer_id, epoch)]
    errors = {each.topic_partition: ErrorCode.NONE for each in partitions}
    if not asked:
        return errors
    tokens = [each.log.producers.expect(producer_id) for each in asked]
    if adds or context.replicas.configs.flag("transaction.partition.verification.enable"):
        names = [each.topic_partition for each in asked]
        request = rpc.AddPartitionsRequest(
            transactional_id=transactional_id,
            producer_id=producer_id,
            producer_epoch=epoch,
            verify_only=not adds,
            partitions=[rpc.PartitionName(topic=each.topic, partition=each.partition) for each in names],
        )
        errors.update(await _ask(context, request, names))
    for partition, token in zip(asked, tokens, strict=True):
        name = partition.topic_partition
        producers = partition.log.producers
        if errors[name] is not ErrorCode.NONE or producers.has_open(producer_id, epoch):
            continue
        if not producers.admit(producer_id, token):
            errors[name] = ErrorCode.INVALID_TXN_STATE
    return errors


async def _ask(
    context: BrokerContext, request: rpc.AddPartitionsRequest, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, ErrorCode]:
    image = context.image()
    number = TRANSACTION_STATE.partition_for(request.transactional_id, image)
    if number is None:
        return dict.fromkeys(partitions, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    state = image.topics[TRANSACTION_STATE.name].partitions[number]
    if not state.has_leader:
        return dict.fromkeys(partitions, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    timeout_ms = context.configs.integer("broker.session.timeout.ms")
    try:
        reply = await context.peers.call(NodeId(state.leader), "AddPartitions", request, timeout_ms=timeout_ms)
    except KafkaError as error:
        return dict.fromkeys(partitions, error.code)
    return {TopicPartition(each.topic, each.partition): ErrorCode(each.error_code) for each in reply.errors}
