"""What the Kafka handlers may touch: one narrow context for each broker.

Here: the context and the ports it is built from; the node that assembles a broker fills them in. Not here: the
handlers, one file for each API, and the connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.base.configs import Configs
from cluster.base.ids import NodeId
from cluster.base.limits import RECORDS_READ_BYTES_MAX
from cluster.base.ports import Clock, DiskError, Rng, Tracer
from cluster.base.request_faults import RequestFaults
from cluster.broker.deadlines import Deadlines
from cluster.broker.fetch_sessions import FetchSessions
from cluster.broker.group_coordinator import GroupCoordinator
from cluster.broker.producer_ids import ProducerIdBlock
from cluster.broker.producer_queues import ProducerQueues
from cluster.broker.quotas import ClientQuotas
from cluster.broker.replies import ReplyCache
from cluster.broker.share_partitions import SharePartitions
from cluster.broker.share_sessions import ShareSessions
from cluster.broker.share_states import ShareCoordinator
from cluster.broker.transaction_coordinator import PeerPort, TransactionCoordinator
from cluster.metadata import MetadataImage
from cluster.replication import Partition, Replicas


class BrokerWorld(Protocol):
    """The part of a node's world that the Kafka listener uses (`cluster.node.World` has it)."""

    @property
    def clock(self) -> Clock: ...
    @property
    def rng(self) -> Rng: ...
    @property
    def tracer(self) -> Tracer: ...

    async def listen(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> asyncio.AbstractServer:
        """Listen for Kafka clients. Raises OSError when the address is taken."""


class ControllerPort(Protocol):
    """The way to the active controller."""

    async def call(self, method: str, request: Any, *, timeout_ms: int) -> Any:
        """Return the reply of the active controller. Raises KafkaError, REQUEST_TIMED_OUT when none answered."""


@dataclass(slots=True)
class _ImageWait:
    predicate: Callable[[MetadataImage], bool]
    done: asyncio.Future[None]


@dataclass
class BrokerContext:
    """One broker as its handlers see it.

    `image` returns the latest metadata that was applied; the node calls `image_changed` after each change. `flush`
    makes a partition's log durable, and raises DiskError when it cannot. `peers` is the way to other brokers.
    `active_controller` is whom this broker believes to lead the quorum, which `may_have_replaced_us` when it has not
    answered a heartbeat for a session; `heard_again` waits so many milliseconds at most until it does.
    """

    node_id: NodeId
    cluster_id: str
    configs: Configs
    world: BrokerWorld
    replicas: Replicas
    image: Callable[[], MetadataImage]
    controller: ControllerPort
    active_controller: Callable[[], NodeId]
    broker_epoch: Callable[[], int]
    may_have_replaced_us: Callable[[], bool]
    heard_again: Callable[[int], Awaitable[bool]]
    flush: Callable[[Partition], Awaitable[None]]
    peers: PeerPort
    request_faults: RequestFaults | None = None
    as_release: str = field(init=False)
    fetch_bytes_max: int = field(init=False)
    deadlines: Deadlines = field(init=False)
    fetch_sessions: FetchSessions = field(init=False)
    groups: GroupCoordinator = field(init=False)
    transactions: TransactionCoordinator = field(init=False)
    shares: ShareCoordinator = field(init=False)
    share_partitions: SharePartitions = field(init=False)
    share_sessions: ShareSessions = field(init=False)
    producer_queues: ProducerQueues = field(default_factory=ProducerQueues, init=False)
    producer_ids: ProducerIdBlock = field(default_factory=ProducerIdBlock, init=False)
    quotas: ClientQuotas = field(init=False)
    metadata_replies: ReplyCache = field(default_factory=ReplyCache, init=False)
    topics_in_creation: dict[str, None] = field(default_factory=dict, init=False)
    _image_waits: list[_ImageWait] = field(default_factory=list, init=False)
    _tasks: dict[asyncio.Task[None], None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.as_release = self.configs.text("fencepost.as.version")
        self.fetch_bytes_max = min(self.configs.integer("fetch.max.bytes"), RECORDS_READ_BYTES_MAX)
        self.deadlines = Deadlines(self.world.clock)
        self.fetch_sessions = FetchSessions(self.configs, self.world.rng)
        self.groups = GroupCoordinator(self)
        self.quotas = ClientQuotas(self.configs)
        self.transactions = TransactionCoordinator(self)
        self.shares = ShareCoordinator(self)
        self.share_partitions = SharePartitions(self)
        self.share_sessions = ShareSessions(self.configs.integer("group.share.max.share.sessions"))

    @property
    def clock(self) -> Clock:
        """The world's clock."""
        return self.world.clock

    @property
    def tracer(self) -> Tracer:
        """The world's tracer."""
        return self.world.tracer

    def image_changed(self) -> None:
        """Coordinate what is led here now, and let those go on who wait for the metadata that was just applied."""
        image = self.image()
        self.groups.image_changed(image)
        self.quotas.image_changed(image)
        self.transactions.image_changed(image)
        self.shares.image_changed(image)
        self.share_partitions.image_changed()
        for wait in self._image_waits:
            if not wait.done.done() and wait.predicate(image):
                wait.done.set_result(None)

    async def when_image(self, predicate: Callable[[MetadataImage], bool], timeout_ms: int) -> bool:
        """Return true once the predicate holds of the applied metadata, false when time is up."""
        if predicate(self.image()):
            return True
        wait = _ImageWait(predicate, asyncio.get_running_loop().create_future())
        self._image_waits.append(wait)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await wait.done
        except TimeoutError:
            return False
        finally:
            self._image_waits.remove(wait)
        return True

    def flush_soon(self, partition: Partition) -> None:
        """Have what was just appended synced, when its topic asks for that: before, it is not committed."""
        if partition.flush_needed():
            self.spawn(self._flush(partition))

    async def _flush(self, partition: Partition) -> None:
        with suppress(DiskError):  # the partition is offline then, and whoever waits for the commit is told so
            await self.flush(partition)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work beside the requests, until it ends or the listener stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def close(self) -> None:
        """Stop all work and forget all deadlines."""
        for task in tuple(self._tasks):
            task.cancel()
        self.deadlines.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "work of a broker failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
