"""The transaction coordinator of a broker: the transactional ids whose partition of `__transaction_state` it leads.

Here: the coordinator put together; seeing ended transactions through, marker by marker; looking from time to time for
those that take too long (Kafka: `TransactionCoordinator`, `TransactionMarkerChannelManager`). Not here: how shards live
(`cluster.broker.coordinator`), what transactions decide (`cluster.transactions`), and how a leader writes a marker
(`transaction_requests`).

How a transaction ends is decided when that is committed to the log. From then on it is only carried out: by this
coordinator, or by whoever leads the partition next, until every partition has its marker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.moments import Moment
from cluster.broker.coordinator import (
    TRANSACTION_STATE,
    CoordinatorHost,
    CoordinatorRuntime,
    HostedShard,
    ShardState,
)
from cluster.rpc import transactions_pb2 as rpc
from cluster.transactions import EPOCH_PER_TRANSACTION, Decision, Reply, Settings, Transaction, TransactionShard

log = logging.getLogger(__name__)

RETRY_MS = 20
RETRY_MS_MAX = 500
"""Between two attempts to have markers written; twice as long each time."""

SUPERSEDED = (ErrorCode.TRANSACTION_COORDINATOR_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH)
"""A newer coordinator, or a newer producer, has been there: whoever sends this marker knows less than others."""


class PeerPort(Protocol):
    """The way to other brokers, and to this one."""

    async def call(self, broker: NodeId, method: str, request: Any, *, timeout_ms: int) -> Any:
        """Return a broker's reply. Raises KafkaError(NETWORK_EXCEPTION) when there is none in time."""


class TransactionHost(CoordinatorHost, Protocol):
    """What the coordinator needs of its broker (`BrokerContext` has it)."""

    peers: PeerPort


Hosted = HostedShard[TransactionShard]


class TransactionCoordinator(CoordinatorRuntime[TransactionShard]):
    """All transactional ids that this broker coordinates."""

    def __init__(self, host: TransactionHost) -> None:
        settings = settings_of(host.configs)
        super().__init__(host, TRANSACTION_STATE, lambda: TransactionShard(settings, host.tracer))
        self._broker = host
        self._ending: dict[tuple[str, int], None] = {}
        self._look_interval_ms = host.configs.integer("transaction.abort.timed.out.transaction.cleanup.interval.ms")
        self._expiry_interval_ms = host.configs.integer("transaction.remove.expired.transaction.cleanup.interval.ms")
        self._call_timeout_ms = host.configs.integer("broker.session.timeout.ms")

    # --- requests ---------------------------------------------------------------------------------

    def needs_producer_id(self, transactional_id: str) -> bool:
        """Whether a request about it may need a new producer id; False when it is not coordinated here."""
        hosted = self.hosted_for(transactional_id)
        if hosted is None or hosted.state is not ShardState.ACTIVE:
            return False
        return hosted.shard.needs_producer_id(transactional_id)

    async def decide(self, transactional_id: str, decide: Callable[[TransactionShard, int, Moment], Decision]) -> Reply:
        """Return the reply of a shard, and carry out what it has decided. Raises KafkaError as `ask`."""
        hosted = self.hosted_for(transactional_id)
        reply: Reply = await self.ask(transactional_id, decide)
        if reply.ending is not None and hosted is not None:
            self._carry_out(hosted, reply.ending)
        return reply

    # --- looking after shards ---------------------------------------------------------------------

    async def serve(self, hosted: Hosted) -> None:
        """Load a shard, finish what its last coordinator began, and look at it from time to time."""
        await hosted.load()
        expiry_ms = self._broker.clock.monotonic_ms() + self._expiry_interval_ms
        while hosted.state is ShardState.ACTIVE:
            try:
                await self._look_after(hosted)
            except KafkaError as error:
                log.info("%s: transactions are looked after later: %s", hosted.partition.topic_partition, error)
            except Exception as error:  # noqa: BLE001 - a bug is told, and does not leave all others to themselves
                context = {"message": "looking after transactions failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            if self._broker.clock.monotonic_ms() >= expiry_ms and hosted.state is ShardState.ACTIVE:
                expiry_ms += self._expiry_interval_ms
                hosted.tell(lambda shard: shard.expire(self._broker.clock.wall_ms()))
            await asyncio.sleep(self._look_interval_ms / 1000)

    async def _look_after(self, hosted: Hosted) -> None:
        ending: Sequence[Transaction] = await hosted.ask(lambda shard, token, now: shard.ending(token))
        for transaction in ending:
            self._carry_out(hosted, transaction)
        for transactional_id in hosted.shard.timed_out(self._broker.clock.wall_ms()):
            log.info("the transaction of %s takes too long and is aborted", transactional_id)
            self._broker.spawn(self._fence(hosted, transactional_id))

    async def _fence(self, hosted: Hosted, transactional_id: str) -> None:
        try:
            reply: Reply = await hosted.ask(lambda shard, token, now: shard.fence(token, transactional_id, now))
        except KafkaError as error:  # it is looked after again
            log.info("the transaction of %s is aborted later: %s", transactional_id, error)
            return
        if reply.ending is not None:
            self._carry_out(hosted, reply.ending)

    # --- carrying out -----------------------------------------------------------------------------

    def _carry_out(self, hosted: Hosted, transaction: Transaction) -> None:
        """Have all markers written, unless somebody is at it already."""
        key = (transaction.transactional_id, hosted.partition.leader_epoch)
        if key not in self._ending:
            self._ending[key] = None
            self._broker.spawn(self._write_all(hosted, transaction, key))

    async def _write_all(self, hosted: Hosted, transaction: Transaction, key: tuple[str, int]) -> None:
        try:
            if await self._write_markers(hosted, transaction):
                await hosted.ask(lambda shard, token, now: shard.complete(token, transaction, now))
        except KafkaError as error:  # it is looked after again, here or by the next coordinator
            log.info("the transaction of %s is ended later: %s", transaction.transactional_id, error)
        finally:
            del self._ending[key]

    async def _write_markers(self, hosted: Hosted, transaction: Transaction) -> bool:
        """Return true when every partition has its marker, false when this is not for this coordinator to do."""
        remaining = dict.fromkeys(transaction.partitions)
        pause_ms = RETRY_MS
        while hosted.state is ShardState.ACTIVE:
            by_leader = self._by_leader(remaining)
            answers = await asyncio.gather(
                *(self._ask_leader(leader, hosted, transaction, parts) for leader, parts in by_leader.items())
            )
            for partition, error in (found for answer in answers for found in answer.items()):
                if error is ErrorCode.NONE:
                    del remaining[partition]
                elif error in SUPERSEDED:
                    log.warning("%s: the marker for %s is %s", partition, transaction.transactional_id, error.name)
                    return False
            if not remaining:
                return True
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, RETRY_MS_MAX)
        return False

    def _by_leader(self, remaining: dict[TopicPartition, None]) -> dict[NodeId, list[TopicPartition]]:
        """Group partitions by who leads them; those of topics that are gone need no marker any more."""
        image = self._broker.image()
        by_leader: dict[NodeId, list[TopicPartition]] = {}
        for partition in tuple(remaining):
            state = image.partition(partition)
            if state is None:
                del remaining[partition]
            elif state.has_leader:
                by_leader.setdefault(NodeId(state.leader), []).append(partition)
        return by_leader

    async def _ask_leader(
        self, leader: NodeId, hosted: Hosted, transaction: Transaction, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        request = rpc.WriteMarkersRequest(
            producer_id=transaction.producer_id,
            producer_epoch=transaction.epoch,
            is_commit=transaction.is_commit,
            coordinator_epoch=hosted.partition.leader_epoch,
            is_strict=transaction.client_version >= EPOCH_PER_TRANSACTION,
            partitions=[rpc.PartitionName(topic=each.topic, partition=each.partition) for each in partitions],
        )
        try:
            reply = await self._broker.peers.call(leader, "WriteMarkers", request, timeout_ms=self._call_timeout_ms)
        except KafkaError as error:
            return dict.fromkeys(partitions, error.code)
        return {TopicPartition(each.topic, each.partition): ErrorCode(each.error_code) for each in reply.errors}


def settings_of(configs: Configs) -> Settings:
    """Return what transactions have to know of a broker's configs."""
    return Settings(
        timeout_ms_max=configs.integer("transaction.max.timeout.ms"),
        id_expiration_ms=configs.integer("transactional.id.expiration.ms"),
    )
