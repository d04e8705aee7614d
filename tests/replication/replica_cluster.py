"""A few brokers' replicas without a network: a test says who hears of which metadata, and who fetches when.

Here: a cluster with one topic, metadata that a test decides on, and fetches that travel as bytes. Everything is the
real core; only the shell is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.trace import TraceEvent
from cluster.metadata import (
    BrokerRegistration,
    Endpoint,
    MetadataImage,
    PartitionState,
    TopicState,
    delta_between,
)
from cluster.records import build_batch, read_records
from cluster.replication import (
    AppendOutcome,
    FollowerSession,
    IsrAnswer,
    LeaderFeed,
    Partition,
    Replicas,
)
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse

TOPIC = TopicPartition("orders", 0)
TOPIC_ID = UUID(int=7)
LAG_MS = 1000


class Recorder:
    """A tracer that keeps what it hears."""

    enabled = True

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def emit(self, event: TraceEvent) -> None:
        self.events.append(event)


class Stream:
    """One follower's stream to one leader: both ends, joined by bytes."""

    def __init__(self, cluster: ReplicaCluster, follower: NodeId, leader: NodeId, max_bytes: int) -> None:
        self.wakes = 0
        self.max_bytes = max_bytes
        self._cluster = cluster
        self._follower = follower
        self.feed = LeaderFeed(follower, backoff_max_ms=100)
        self.session = FollowerSession(cluster.replicas[leader], 1 << 20, self._woken)
        for partition in cluster.replicas[follower]:
            if cluster.replicas[follower].leader_of(partition) == leader:
                self.feed.follow(partition)

    def _woken(self) -> None:
        self.wakes += 1

    def ask(self) -> FetchRequest:
        epoch = self._cluster.image.brokers[self._follower].broker_epoch
        request = self.feed.request(epoch, 500, self.max_bytes, self._cluster.now_ms)
        received = FetchRequest.FromString(request.SerializeToString())
        self.session.accept(received, self._cluster.now_ms)
        return received

    def answer(self) -> FetchResponse:
        response = FetchResponse.FromString(self.session.respond().SerializeToString())
        self.feed.receive(response, self._cluster.now_ms, self._cluster.wall_ms)
        return response

    def fetch(self) -> FetchResponse:
        self.ask()
        return self.answer()


class ReplicaCluster:
    """Brokers 1 to n with one partition, `orders-0`, on all of them; broker 1 leads at first."""

    def __init__(self, size: int = 3, told: bool = True, **configs: str) -> None:
        self.now_ms = 0
        self.configs = Configs(
            {
                "replica.lag.time.max.ms": str(LAG_MS),
                **{name.replace("_", "."): value for name, value in configs.items()},
            }
        )
        self.nodes = tuple(NodeId(number) for number in range(1, size + 1))
        self.disks = {node: MemoryDisk() for node in self.nodes}
        self.recorders = {node: Recorder() for node in self.nodes}
        self.replicas = {node: self._start(node) for node in self.nodes}
        self.image = MetadataImage.empty("c")
        brokers = {
            node: BrokerRegistration(
                node, UUID(int=node), int(node), Endpoint("b", 1), Endpoint("b", 2), None, fenced=False
            )
            for node in self.nodes
        }
        state = PartitionState(TOPIC_ID, self.nodes, self.nodes, self.nodes[0])
        self._become(replace(self.image, brokers=brokers))
        self.decide(state)
        if told:
            self.tell(*self.nodes)

    @property
    def wall_ms(self) -> int:
        return 1_700_000_000_000 + self.now_ms

    @property
    def state(self) -> PartitionState:
        state = self.image.partition(TOPIC)
        assert state is not None
        return state

    def _start(self, node: NodeId) -> Replicas:
        return Replicas(node, self.disks[node], self.configs, self.recorders[node])

    def _become(self, image: MetadataImage) -> None:
        self.image = replace(image, offset=self.image.offset + 1)

    # --- the controller ---------------------------------------------------------------------------

    def decide(self, state: PartitionState) -> None:
        """Commit a partition's state; nobody hears of it yet."""
        topic = TopicState(TOPIC.topic, TOPIC_ID, (state,))
        self._become(replace(self.image, topics={TOPIC.topic: topic}, topic_names={TOPIC_ID: TOPIC.topic}))

    def elect(self, leader: int, isr: Sequence[int] | None = None) -> None:
        """Commit another leader under the next epoch."""
        state = self.state
        members = state.isr if isr is None else tuple(NodeId(node) for node in isr)
        self.decide(
            replace(
                state,
                leader=NodeId(leader),
                isr=members,
                leader_epoch=state.leader_epoch + 1,
                partition_epoch=state.partition_epoch + 1,
            )
        )

    def change_broker(self, node: int, *, fenced: bool = False, broker_epoch: int | None = None) -> None:
        """Commit a broker's fencing, unfencing or new registration."""
        broker = self.image.brokers[node]
        changed = replace(broker, fenced=fenced, broker_epoch=broker_epoch or broker.broker_epoch)
        self._become(replace(self.image, brokers={**self.image.brokers, node: changed}))

    def tell(self, *nodes: int) -> None:
        """Let brokers hear of everything that is committed."""
        for number in nodes:
            replicas = self.replicas[NodeId(number)]
            replicas.apply(delta_between(replicas.image, self.image), self.now_ms, self.wall_ms)

    def commit_proposal(self, node: int) -> IsrAnswer:
        """Commit what a leader proposes, as a controller that agrees; return the answer, which may get lost."""
        proposal = self[node].pending_isr_change
        assert proposal is not None, "nothing was proposed"
        assert (proposal.leader_epoch, proposal.partition_epoch) == (
            self.state.leader_epoch,
            self.state.partition_epoch,
        )
        self.decide(replace(self.state, isr=proposal.isr, partition_epoch=self.state.partition_epoch + 1))
        state = self.state
        return IsrAnswer(ErrorCode.NONE, state.leader, state.leader_epoch, state.isr, state.partition_epoch)

    def answer_proposal(self, node: int, answer: IsrAnswer | None = None) -> bool:
        """Let a leader hear the answer to its proposal: yes, unless another is given."""
        partition = self[node]
        proposal = partition.pending_isr_change
        assert proposal is not None, "nothing was proposed"
        return partition.isr_change_answered(proposal, answer or self.commit_proposal(node), self.now_ms)

    # --- brokers ----------------------------------------------------------------------------------

    def __getitem__(self, node: int) -> Partition:
        partition = self.replicas[NodeId(node)].get(TOPIC)
        assert partition is not None
        return partition

    def stream(self, follower: int, leader: int, max_bytes: int = 1 << 20) -> Stream:
        return Stream(self, NodeId(follower), NodeId(leader), max_bytes)

    def catch_up(self, follower: int, leader: int, rounds: int = 10) -> None:
        """Fetch over a new stream until everything is copied and known to be."""
        stream = self.stream(follower, leader)
        for _ in range(rounds):
            stream.fetch()

    def produce(self, node: int, *values: str, acks: int = 1) -> AppendOutcome:
        """Append one batch."""
        batch = build_batch([(None, value.encode(), ()) for value in values], timestamp_ms=self.wall_ms)
        return self[node].append(memoryview(batch), acks, self.now_ms, self.wall_ms)

    def values(self, node: int, end_offset: int | None = None) -> list[str]:
        """What a replica's log holds, below `end_offset`."""
        log = self[node].log
        end = log.log_end_offset if end_offset is None else end_offset
        found: list[str] = []
        offset = log.log_start_offset
        while offset < end:
            records = list(read_records(memoryview(log.read(offset, 1 << 20, end, True))))
            found += [(record.value or b"").decode() for record in records]
            offset = records[-1].offset + 1
        return found

    def kill(self, node: int, checkpointed: bool = True) -> None:
        """End a broker's process and start it again; it hears of nothing until it is told. Files stay."""
        if checkpointed:
            self.replicas[NodeId(node)].checkpoint_high_watermarks()
        self.replicas[NodeId(node)] = self._start(NodeId(node))

    def lose_tail(self, node: int, end_offset: int) -> None:
        """Let a loss of power take what a broker did not sync."""
        self[node].log.truncate_to(end_offset)
        self.kill(node, checkpointed=False)

    def events(self, node: int, kind: type[TraceEvent]) -> list[TraceEvent]:
        return [event for event in self.recorders[NodeId(node)].events if isinstance(event, kind)]
