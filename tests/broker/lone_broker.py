"""One broker without a network: real replicas on a disk in memory, the controller's real decisions applied at once,
and connections whose other end is the test. Time is virtual: it jumps when everybody waits.
"""

from __future__ import annotations

import asyncio
import io
import random
import selectors
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer
from memory_disk import MemoryDisk

from cluster import controller
from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.ports import SilentTracer
from cluster.broker import BrokerContext
from cluster.broker.connection import KafkaConnection
from cluster.metadata import (
    BrokerRegistration,
    Endpoint,
    MetadataImage,
    PartitionState,
    TopicState,
    apply_batch,
    delta_between,
)
from cluster.node.sharing_service import SharingService
from cluster.node.transaction_service import TransactionService
from cluster.records import build_batch
from cluster.replication import Partition, Replicas
from cluster.rpc import controller_pb2
from cluster.wire import Fields, is_flexible
from cluster.wire.messages import compose
from cluster.wire.primitives import string

CLUSTER_ID = "a-cluster"
EPOCH_MS = 1_700_000_000_000


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.problems: list[dict[str, Any]] = []
        loop = self

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                assert timeout is not None, "everybody waits and nobody set a timer"
                loop.now += max(timeout, 0.0)
                return super().select(0)

        super().__init__(Selector())
        self.set_exception_handler(lambda _, context: self.problems.append(context))

    def time(self) -> float:
        return self.now


class LoopClock:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def wall_ms(self) -> int:
        return EPOCH_MS + self.monotonic_ms()


class LoneWorld:
    tracer = SilentTracer()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.clock = LoopClock(loop)
        self.rng = random.Random(1)

    async def listen(self, protocol_factory: Any, host: str, port: int) -> asyncio.AbstractServer:
        return await asyncio.get_running_loop().create_server(protocol_factory, host, port)


class FakeTransport(asyncio.Transport):
    """The test's end of a connection."""

    def __init__(self, protocol: KafkaConnection) -> None:
        super().__init__({"peername": ("test", 1)})
        self.protocol = protocol
        self.written = bytearray()
        self.writes: list[bytes] = []
        self.is_closed = False
        self.reading_paused = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.writes.append(bytes(data))
        self.written += data

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def pause_reading(self) -> None:
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert self.reading_paused
        self.reading_paused = False


async def turns() -> None:
    """Let everything run that is ready, without letting time pass."""
    for _ in range(10):
        await asyncio.sleep(0)


class Client:
    """Sends frames, reads replies; knows nothing that is not on the wire."""

    def __init__(self, context: BrokerContext) -> None:
        self.connection = KafkaConnection(context, lambda _: None)
        self.transport = FakeTransport(self.connection)
        self.sent: list[tuple[int, int, int]] = []
        self._correlation_id = 0

    def send_bytes(self, data: bytes, piece_bytes: int | None = None) -> None:
        """Let bytes arrive, in pieces of a size or as the buffer takes them."""
        while data and not self.transport.is_closed:
            room = self.connection.get_buffer(-1)
            size = min(len(room), len(data), piece_bytes or len(data))
            room[:size] = data[:size]
            data = data[size:]
            self.connection.buffer_updated(size)

    def send(self, api_key: int, version: int, fields: Fields) -> None:
        """Send a request whose fields are given, written by kio."""
        self.send_bytes(self.frame(api_key, version, encoded_request(api_key, version, fields)))

    def frame(self, api_key: int, version: int, body: bytes) -> bytes:
        self._correlation_id += 1
        self.sent.append((api_key, version, self._correlation_id))
        head = struct.pack(">hhi", api_key, version, self._correlation_id) + string("test", False)
        payload = head + (b"\x00" if is_flexible(api_key, version) else b"") + body
        return struct.pack(">i", len(payload)) + payload

    def replies(self) -> list[Any]:
        """Read all replies that have come, in kio's classes; they must be in the order of the requests."""
        found = []
        while len(self.transport.written) >= 4:
            (size,) = struct.unpack_from(">i", self.transport.written)
            frame = bytes(self.transport.written[4 : 4 + size])
            assert len(frame) == size
            del self.transport.written[: 4 + size]
            api_key, version, correlation_id = self.sent.pop(0)
            message_class = load_response_schema(api_key, version)
            header, used = entity_reader(message_class.__header_schema__)(frame, 0)
            assert header.correlation_id == correlation_id
            message, body_size = entity_reader(message_class)(frame, used)
            assert used + body_size == len(frame), "bytes left over"
            found.append(message)
        return found

    async def ask(self, api_key: int, version: int, fields: Fields, patience_ms: int = 60_000) -> Any:
        """Send a request and return its reply."""
        self.send(api_key, version, fields)
        return await self.reply(patience_ms)

    async def reply(self, patience_ms: int = 60_000) -> Any:
        """Wait for exactly one reply."""
        await turns()
        waited = 0
        while not self.transport.written and waited < patience_ms and not self.transport.is_closed:
            await asyncio.sleep(0.001)
            waited += 1
        assert not self.transport.is_closed, "the broker closed the connection"
        (message,) = self.replies()
        return message


def error_of(part: Any) -> str:
    """Return the name of the error that an answer, or a part of one, carries."""
    return ErrorCode(part.error_code.value).name


def encoded_request(api_key: int, version: int, fields: Fields) -> bytes:
    return encoded(compose(load_request_schema(api_key, version), fields, False))


def encoded(message: Any) -> bytes:
    """Return kio's bytes of a message."""
    buffer = io.BytesIO()
    entity_writer(type(message))(buffer, message)
    return buffer.getvalue()


class LonePeers:
    """The way to other brokers: none of them answers, this one does."""

    own: tuple[object, ...] = ()

    async def call(self, broker: NodeId, method: str, request: Any, *, timeout_ms: int) -> Any:
        if broker != 1:
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION)
        service = next(each for each in self.own if hasattr(each, method))
        return await getattr(service, method)(request, None)


class LoneBroker:
    """Broker 1, whose controller decides at once; other brokers exist in the metadata only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, properties: dict[str, str] | None = None) -> None:
        self.loop = loop
        self.disk = MemoryDisk()
        self.configs = Configs.of(properties or {})
        self.world = LoneWorld(loop)
        self.replicas = Replicas(NodeId(1), self.disk, self.configs, SilentTracer())
        self.image = MetadataImage.empty(CLUSTER_ID)
        self.calls: list[str] = []
        self.quorum = controller_pb2.DescribeQuorumReply()
        self.controller_error: KafkaError | None = None
        self.flushed: list[TopicPartition] = []
        self.flush_gate: asyncio.Event | None = None
        self.is_cut_off = False
        self.peers = LonePeers()
        self.context = BrokerContext(
            node_id=NodeId(1),
            cluster_id=CLUSTER_ID,
            configs=self.configs,
            world=self.world,
            replicas=self.replicas,
            image=lambda: self.image,
            controller=self,
            active_controller=lambda: NodeId(101),
            broker_epoch=lambda: 7,
            may_have_replaced_us=lambda: self.is_cut_off,
            heard_again=self._heard_again,
            flush=self._flush,
            peers=self.peers,
        )
        self.peers.own = (TransactionService(self.context), SharingService(self.context))
        self.set_image(replace(self.image, offset=1, brokers={n: registration(n) for n in (1, 2, 3)}))

    async def _heard_again(self, timeout_ms: int) -> bool:
        await asyncio.sleep(timeout_ms / 1000)
        return not self.is_cut_off

    async def _flush(self, partition: Partition) -> None:
        if self.flush_gate is not None:
            await self.flush_gate.wait()
        self.flushed.append(partition.topic_partition)
        now_ms, wall_ms = self.world.clock.monotonic_ms(), self.world.clock.wall_ms()
        partition.log.finish_flush(partition.log.begin_flush(), wall_ms)
        partition.flushed(now_ms, wall_ms)

    def set_image(self, image: MetadataImage) -> None:
        """Apply metadata as a node does."""
        delta = delta_between(self.image, image)
        self.image = image
        self.replicas.apply(delta, self.world.clock.monotonic_ms(), self.world.clock.wall_ms())
        self.context.image_changed()

    def add_topic(self, name: str, *states: PartitionState) -> UUID:
        """Put a topic into the metadata; by default one partition that broker 1 leads alone."""
        topic_id = states[0].topic_id if states else UUID(int=len(self.image.topics) + 1)
        partitions = states or (alone(topic_id),)
        topics = {**self.image.topics, name: TopicState(name, topic_id, partitions)}
        names = {**self.image.topic_names, topic_id: name}
        ordered = dict(sorted(topics.items()))
        self.set_image(replace(self.image, offset=self.image.offset + 1, topics=ordered, topic_names=names))
        return topic_id

    def change_partition(self, topic: str, number: int, **changes: Any) -> None:
        state = self.image.topics[topic]
        partitions = list(state.partitions)
        changed = replace(partitions[number], **changes)
        partitions[number] = replace(changed, partition_epoch=changed.partition_epoch + 1)
        topics = {**self.image.topics, topic: replace(state, partitions=tuple(partitions))}
        self.set_image(replace(self.image, offset=self.image.offset + 1, topics=topics))

    def partition(self, topic: str, number: int = 0) -> Partition:
        found = self.replicas.get(TopicPartition(topic, number))
        assert found is not None
        return found

    def client(self) -> Client:
        return Client(self.context)

    # --- the controller -----------------------------------------------------------------------

    async def call(self, method: str, request: Any, *, timeout_ms: int) -> Any:
        """Decide as the real controller, with the real controller's code."""
        self.calls.append(method)
        await asyncio.sleep(0.005)
        if self.controller_error is not None:
            raise self.controller_error
        image, rng, configs = self.image, self.world.rng, self.configs
        decide: dict[str, Callable[[], Any]] = {
            "CreateTopics": lambda: controller.create_topics(image, configs, request, rng),
            "DeleteTopics": lambda: controller.delete_topics(image, request),
            "CreatePartitions": lambda: controller.create_partitions(image, request, rng),
            "IncrementalAlterConfigs": lambda: controller.alter_configs(image, configs, request),
            "ElectLeaders": lambda: controller.elect_leaders(image, configs, request),
            "AlterPartitionReassignments": lambda: controller.alter_partition_reassignments(image, configs, request),
            "AlterClientQuotas": lambda: controller.alter_client_quotas(image, request),
            "UpdateFeatures": lambda: controller.update_features(image, configs, request),
            "UnregisterBroker": lambda: controller.unregister_broker(image, configs, request),
            "DescribeQuorum": lambda: controller.Decision((), self.quorum),
            "AllocateProducerIds": lambda: controller.allocate_producer_ids(image, request),
        }
        decision = decide[method]()
        if decision.records:
            after, _ = apply_batch(image, decision.records, image.offset + 1, 1)
            self.loop.call_later(0.003, self.set_image, after)  # the broker learns of it later than the controller
        assert decision.reply.status == controller_pb2.Status()
        return decision.reply


def registration(node: int) -> BrokerRegistration:
    endpoint = Endpoint(f"host-{node}", 9090 + node)
    return BrokerRegistration(NodeId(node), UUID(int=node), 7, endpoint, endpoint, fenced=False)


def alone(topic_id: UUID, **changes: Any) -> PartitionState:
    """A partition that broker 1 leads and nobody follows."""
    one = NodeId(1)
    return replace(PartitionState(topic_id, replicas=(one,), isr=(one,), leader=one), **changes)


def three_replicas(topic_id: UUID, leader: int = 1, **changes: Any) -> PartitionState:
    nodes = (NodeId(1), NodeId(2), NodeId(3))
    return replace(PartitionState(topic_id, replicas=nodes, isr=nodes, leader=NodeId(leader)), **changes)


def batch(*values: bytes, **options: Any) -> bytes:
    """Build a producer's batch."""
    options.setdefault("timestamp_ms", EPOCH_MS)
    return bytes(build_batch([(None, value, ()) for value in values], **options))


def on_broker(
    test: Callable[[LoneBroker], Awaitable[None]], properties: dict[str, str] | None = None, may_fail: bool = False
) -> LoneBroker:
    """Run a test against a new broker; an exception that nobody handled fails it."""
    loop = JumpingLoop()
    try:
        broker: list[LoneBroker] = []

        async def main() -> None:
            broker.append(LoneBroker(loop, properties))
            await asyncio.wait_for(test(broker[0]), 600)
            broker[0].context.close()
            await asyncio.sleep(0)

        loop.run_until_complete(main())
        assert may_fail or not loop.problems, loop.problems
    finally:
        loop.close()
    return broker[0]
