"""A coordinator: one shard for each partition of its internal topic that this broker leads.

Here: which shards there are, as leadership comes and goes, and the way of a request to its shard (Kafka:
`CoordinatorRuntime`). Not here: the life of one shard (`hosted_shard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.base.moments import Moment
from cluster.broker.coordinator.hosted_shard import Decided, HostedShard, Shard, ShardHost, ShardState
from cluster.broker.coordinator.topic import InternalTopic
from cluster.metadata import MetadataImage
from cluster.records import EndMarker
from cluster.replication import AppendOutcome, Replicas


class CoordinatorHost(ShardHost, Protocol):
    """What a coordinator needs of its broker (`BrokerContext` has it)."""

    replicas: Replicas

    @property
    def image(self) -> Callable[[], MetadataImage]: ...


S = TypeVar("S", bound=Shard[Any])
T = TypeVar("T")


class CoordinatorRuntime(Generic[S]):
    """All shards of one coordinator on this broker; `make_shard` returns an empty one."""

    def __init__(self, host: CoordinatorHost, topic: InternalTopic, make_shard: Callable[[], S]) -> None:
        self.topic = topic
        self._host = host
        self._make_shard = make_shard
        self._shards: dict[int, HostedShard[S]] = {}
        self._image: MetadataImage | None = None

    def image_changed(self, image: MetadataImage) -> None:
        """Take new metadata in: begin and end shards as this broker leads their partitions."""
        before, self._image = self._image, image
        if before is None or before.topics is not image.topics:
            self._reconcile(image)

    def _reconcile(self, image: MetadataImage) -> None:
        topic = image.topics.get(self.topic.name)
        for number in range(len(topic.partitions) if topic is not None else 0):
            self._reconcile_one(number)
        for number in [number for number in self._shards if topic is None or number >= len(topic.partitions)]:
            self._shards.pop(number).close()

    def _reconcile_one(self, number: int) -> None:
        partition = self._host.replicas.get(TopicPartition(self.topic.name, number))
        leads = partition is not None and partition.is_leader
        hosted = self._shards.get(number)
        if hosted is not None and (not leads or partition is not hosted.partition):
            self._shards.pop(number).close()
            hosted = None
        # A leader that is elected again keeps its log, and so its shard.
        if leads and hosted is None:
            assert partition is not None
            self._shards[number] = hosted = HostedShard(self._host, partition, self._make_shard())
            self._host.spawn(self.serve(hosted))

    async def serve(self, hosted: HostedShard[S]) -> None:
        """Bring a shard to life."""
        await hosted.load()

    async def ask(self, key: str, decide: Callable[[S, int, Moment], Decided]) -> Any:
        """Let the shard that holds a key decide, and return the reply when it is true.

        Raises KafkaError: NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS or what became of
        the write; the request may have been carried out all the same when the error came after the append.
        """
        return await self._active(key).ask(decide)

    def _active(self, key: str) -> HostedShard[S]:
        hosted = self.hosted_for(key)
        if hosted is None or hosted.state is ShardState.FAILED or not hosted.partition.is_leader:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        if hosted.state is ShardState.LOADING:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return hosted

    def write_marker(self, number: int, marker: EndMarker, is_strict: bool) -> AppendOutcome:
        """End a producer's transaction in a partition of the topic."""
        hosted = self._shards.get(number)
        if hosted is None or hosted.state in (ShardState.FAILED, ShardState.CLOSED):
            return AppendOutcome(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if hosted.state is ShardState.LOADING:
            return AppendOutcome(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return hosted.write_marker(marker, is_strict)

    def hosted_for(self, key: str) -> HostedShard[S] | None:
        """Return the shard that holds a key, in whatever state; None when its partition is led elsewhere."""
        number = self.topic.partition_for(key, self._host.image())
        return None if number is None else self._shards.get(number)

    def look_up(self, key: str, find: Callable[[S], T]) -> T:
        """Return what a question that changes nothing finds. Raises KafkaError as `ask`."""
        return find(self._active(key).shard)

    def epoch_of(self, key: str) -> int:
        """Return the leader epoch under which this broker coordinates a key; NO_EPOCH when it does not."""
        hosted = self.hosted_for(key)
        return NO_EPOCH if hosted is None else hosted.partition.leader_epoch

    def tell_all(self, decide: Callable[[S], Decided]) -> None:
        """Let every shard write something that nobody has asked for."""
        for hosted in self._shards.values():
            if hosted.state is ShardState.ACTIVE:
                hosted.tell(decide)

    def shards(self) -> Iterator[S]:
        """Go through the shards. Raises KafkaError(COORDINATOR_LOAD_IN_PROGRESS) when one is not loaded yet."""
        hosted = [self._shards[number] for number in sorted(self._shards)]
        if any(each.state is ShardState.LOADING for each in hosted):
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return iter([each.shard for each in hosted if each.state is ShardState.ACTIVE])
