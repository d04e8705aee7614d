"""ISR changes on their way to the controller (Kafka: `AlterPartitionManager`), and the timer that looks for them.

Here: collecting proposals into one AlterPartition request, one request at a time, again until it is answered. Not
here: who should be in the ISR (`cluster.replication`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicId
from cluster.node.controller_client import ControllerClient
from cluster.node.world import World
from cluster.replication import IsrAnswer, IsrProposal, Partition, Replicas
from cluster.rpc.controller_pb2 import AlterPartitionReply, AlterPartitionRequest, AlterPartitionResult

RETRY_MS = 50
"""The pause before a request that nobody answered, or that must be repeated, is sent again."""

_logger = logging.getLogger(__name__)
_Unsent = tuple[Partition, IsrProposal]


class IsrUpdates:
    """Sends what the partitions of one broker propose."""

    def __init__(
        self,
        node_id: NodeId,
        world: World,
        configs: Configs,
        replicas: Replicas,
        client: ControllerClient,
        *,
        broker_epoch: Callable[[], int],
    ) -> None:
        self._node_id = node_id
        self._clock = world.clock
        self._replicas = replicas
        self._client = client
        self._broker_epoch = broker_epoch
        self._check_interval_ms = max(1, configs.integer("replica.lag.time.max.ms") // 2)
        self._timeout_ms = configs.integer("broker.session.timeout.ms")
        self._wanted = asyncio.Event()
        self._unsent: dict[tuple[TopicId, int], _Unsent] = {}
        replicas.on_isr_change = self._wanted.set

    async def run(self) -> None:
        """Look for laggards from time to time and send proposals as they come, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._check())
            tasks.create_task(self._send())

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(self._check_interval_ms / 1000)
            self._replicas.check_isr(self._clock.monotonic_ms())

    async def _send(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._collect()
            if self._unsent and not await self._send_once():
                self._wanted.set()
                await asyncio.sleep(RETRY_MS / 1000)

    def _collect(self) -> None:
        """Add new proposals, and drop those that metadata has overtaken."""
        for partition in self._replicas.take_isr_changes():
            proposal = partition.pending_isr_change
            if proposal is not None:
                key = (partition.topic_id, partition.topic_partition.partition)
                self._unsent[key] = (partition, proposal)
        self._unsent = {
            key: (partition, proposal)
            for key, (partition, proposal) in self._unsent.items()
            if partition.pending_isr_change is proposal
        }

    async def _send_once(self) -> bool:
        """Ask the controller once. Return whether everything is answered for good."""
        sent = dict(self._unsent)
        try:
            reply = await self._client.call("AlterPartition", self._request(sent), timeout_ms=self._timeout_ms)
        except KafkaError as error:
            _logger.info("no controller took %d ISR changes: %s", len(sent), error)
            return False
        assert isinstance(reply, AlterPartitionReply), "a call is answered with its own reply"
        if reply.status.error_code != ErrorCode.NONE:
            _logger.info("the controller refused ISR changes: %s", ErrorCode(reply.status.error_code).name)
            return False
        answered = {(UUID(bytes=row.topic_id), row.partition): _answer(row) for row in reply.partitions}
        return self._take(sent, answered)

    def _take(
        self, sent: Mapping[tuple[TopicId, int], _Unsent], answered: Mapping[tuple[TopicId, int], IsrAnswer]
    ) -> bool:
        now_ms = self._clock.monotonic_ms()
        for key, (partition, proposal) in sent.items():
            answer = answered.get(key)
            if answer is not None and partition.isr_change_answered(proposal, answer, now_ms):
                del self._unsent[key]
        return not self._unsent

    def _request(self, sent: Mapping[tuple[TopicId, int], _Unsent]) -> AlterPartitionRequest:
        own_epoch = self._broker_epoch()
        request = AlterPartitionRequest(broker_id=self._node_id, broker_epoch=own_epoch)
        for (topic_id, number), (_, proposal) in sent.items():
            row = request.partitions.add(
                topic_id=topic_id.bytes,
                partition=number,
                leader_epoch=proposal.leader_epoch,
                partition_epoch=proposal.partition_epoch,
            )
            for node, broker_epoch in zip(proposal.isr, proposal.broker_epochs, strict=True):
                epoch = own_epoch if node == self._node_id else broker_epoch
                row.new_isr.add(broker_id=node, broker_epoch=epoch)
        return request


def _answer(row: AlterPartitionResult) -> IsrAnswer:
    return IsrAnswer(
        ErrorCode(row.error_code),
        NodeId(row.leader_id),
        row.leader_epoch,
        tuple(NodeId(node) for node in row.isr),
        row.partition_epoch,
    )
