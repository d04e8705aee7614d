"""All replicas of one broker (Kafka: the core half of `ReplicaManager`).

Here: metadata applied to partitions (created, led, followed, deleted), finding them, watching them, and what the
shell is to do next: ISR changes to send, followers to reconcile. Not here: the shell (`cluster.node`), a single
partition's rules (`partition`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_NODE, NodeId, TopicId, TopicPartition
from cluster.base.ports import Disk, DiskError, DiskSpace, Tracer
from cluster.metadata import BROKER_RESOURCE, TOPIC_RESOURCE, MetadataDelta, MetadataImage, PartitionState
from cluster.replication.high_watermark_checkpoint import read_high_watermarks, write_high_watermarks
from cluster.replication.partition import Partition
from cluster.replication.waiters import Watch, Watches
from cluster.storage import DELETED_SUFFIX, Log, read_topic_id

_logger = logging.getLogger(__name__)


class Replicas:
    """The partitions of one broker. Everything happens in `apply`, or inside a partition; nothing waits.

    `on_isr_change` is called when a partition has a proposal for the controller, `on_role_change` when one has
    another leader, another epoch, or is gone; both may be called many times in a row and should only take note.
    `on_disk_failure` is called when a log could not be read or written. `configs` are this broker's, with what was set
    on it at run time.
    """

    def __init__(self, node_id: NodeId, disk: Disk, configs: Configs, tracer: Tracer) -> None:
        self.node_id = node_id
        self.tracer = tracer
        self.watches = Watches()
        self.lag_time_max_ms = configs.integer("replica.lag.time.max.ms")
        self.image = MetadataImage.empty("")
        self.on_isr_change: Callable[[], None] = _nothing
        self.on_role_change: Callable[[], None] = _nothing
        self.on_disk_failure: Callable[[Exception], None] = _ignored
        self._disk = disk
        self._configs = configs
        self.configs = configs
        self._partitions: dict[TopicPartition, Partition] = {}
        self._by_id: dict[tuple[TopicId, int], Partition] = {}
        self._isr_changes: dict[TopicPartition, Partition] = {}
        self._role_changes: dict[tuple[TopicId, int], Partition] = {}
        self._failed: dict[TopicPartition, TopicId] = {}  # replicas whose log could not even be opened
        self._high_watermarks = read_high_watermarks(disk)
        self._checkpointed = dict(self._high_watermarks)

    # --- finding ----------------------------------------------------------------------------------

    def get(self, topic_partition: TopicPartition) -> Partition | None:
        """Return the replica of a partition on this broker."""
        return self._partitions.get(topic_partition)

    def by_id(self, topic_id: TopicId, partition: int) -> Partition | None:
        """Return the replica of a partition on this broker, by the topic's id."""
        return self._by_id.get((topic_id, partition))

    def __iter__(self) -> Iterator[Partition]:
        """Go through the replicas by topic name and number."""
        return iter([self._partitions[key] for key in sorted(self._partitions)])

    def __len__(self) -> int:
        return len(self._partitions)

    def disk_space(self) -> DiskSpace:
        """Return where the logs lie and how much room there is. Raises DiskError."""
        return self._disk.space()

    def watch(self, topic_partitions: Sequence[TopicPartition], on_change: Callable[[], None]) -> Watch:
        """Call `on_change` when the high watermark, the role or the end of any of them moves, until it is cancelled."""
        return self.watches.add(topic_partitions, on_change)

    # --- metadata ---------------------------------------------------------------------------------

    def apply(self, delta: MetadataDelta, now_ms: int, wall_ms: int) -> None:
        """Do what committed metadata says: delete, create, lead, follow, reconfigure. `now_ms` is monotonic."""
        self.image = delta.image_after
        for topic in delta.deleted_topics:
            for number in range(len(topic.partitions)):
                key = TopicPartition(topic.name, number)
                self._remove(key, topic.topic_id, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        for resource, name in delta.changed_configs:
            self._reconfigure(resource, name)
        for topic_partition, state in delta.changed_partitions:
            if self.node_id in state.replicas:
                self._take(topic_partition, state, now_ms, wall_ms)
            else:  # it moved elsewhere: clients should look for it
                self._remove(topic_partition, state.topic_id, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if delta.changed_brokers:
            for partition in self:
                partition.brokers_changed(now_ms)

    def delete_strays(self, image: MetadataImage) -> None:
        """Delete what went while this broker was down: topics, replicas that moved elsewhere, half done deletions.

        Only for an image that has this broker's own registration: an older one may lack a topic that exists
        (KAFKA-14616).
        """
        for directory in self._disk.list(""):
            if directory.endswith(DELETED_SUFFIX) or self._is_stray(directory, image):
                _logger.info("%s is of no replica any more and is deleted", directory)
                try:
                    self._disk.delete(directory)
                except DiskError as error:
                    _logger.error("%s could not be deleted: %s", directory, error)

    def _is_stray(self, directory: str, image: MetadataImage) -> bool:
        topic_id = read_topic_id(self._disk, directory)
        if topic_id is None:
            return False  # no log of a partition
        topic = image.topic_by_id(topic_id)
        if topic is None:
            return True
        for number, partition in enumerate(topic.partitions):
            if directory == str(TopicPartition(topic.name, number)):
                return self.node_id not in partition.replicas
        return False  # whatever it is, no log that this broker has made

    def _take(self, topic_partition: TopicPartition, state: PartitionState, now_ms: int, wall_ms: int) -> None:
        partition = self._partitions.get(topic_partition)
        if partition is None and topic_partition not in self._failed:
            partition = self._open(topic_partition, state.topic_id, wall_ms)
        if partition is None or not partition.is_online:
            return
        assert partition.topic_id == state.topic_id, "a topic that is created anew was deleted before"
        before = (partition.role, partition.leader_epoch)
        if state.leader == self.node_id:
            partition.become_leader(state, now_ms)
        else:
            partition.become_follower(state)
        if before != (partition.role, partition.leader_epoch):
            self._role_changed(partition)

    def _open(self, topic_partition: TopicPartition, topic_id: TopicId, wall_ms: int) -> Partition | None:
        directory = str(topic_partition)
        configs = self._topic_configs(topic_partition.topic)
        try:
            owner = read_topic_id(self._disk, directory)
            if owner is not None and owner != topic_id:
                _logger.warning("%s holds a deleted topic of the same name and is emptied", directory)
                self._disk.delete(directory)
                self._high_watermarks.pop(topic_partition, None)
            log = Log.open(self._disk, directory, configs, wall_ms)
            log.assign_topic_id(topic_id)
        except DiskError as error:
            _logger.error("%s is offline, its log cannot be opened: %s", directory, error)
            self._failed[topic_partition] = topic_id
            self.on_disk_failure(error)
            return None
        high_watermark = self._high_watermarks.get(topic_partition, 0)
        partition = Partition(
            self, topic_partition, topic_id, log=log, configs=configs, high_watermark=high_watermark, wall_ms=wall_ms
        )
        self._partitions[topic_partition] = partition
        self._by_id[topic_id, topic_partition.partition] = partition
        return partition

    def _remove(self, topic_partition: TopicPartition, topic_id: TopicId, answer: ErrorCode) -> None:
        """Delete a replica; whoever waits for it gets `answer`."""
        if self._failed.get(topic_partition) == topic_id:
            del self._failed[topic_partition]
        partition = self._partitions.get(topic_partition)
        if partition is None or partition.topic_id != topic_id:
            return
        del self._partitions[topic_partition]
        del self._by_id[topic_id, topic_partition.partition]
        self._isr_changes.pop(topic_partition, None)
        self._high_watermarks.pop(topic_partition, None)
        partition.go_offline(answer)
        self._role_changed(partition)
        try:
            partition.log.delete()
        except DiskError as error:
            _logger.error("%s is gone but its files could not be deleted: %s", topic_partition, error)

    def _reconfigure(self, resource: int, name: str) -> None:
        if resource == BROKER_RESOURCE:
            run_time = {**self.image.broker_configs(None), **self.image.broker_configs(self.node_id)}
            self.configs = Configs({**self._configs.values, **run_time}) if run_time else self._configs
            affected = list(self)
        elif resource == TOPIC_RESOURCE:
            affected = [partition for partition in self if partition.topic_partition.topic == name]
        else:
            return
        for partition in affected:
            if partition.is_online:
                partition.reconfigure(self._topic_configs(partition.topic_partition.topic))

    def _topic_configs(self, topic: str) -> Configs:
        return self.configs.for_topic(self.image.topic_configs(topic))

    # --- for partitions (PartitionHost) -----------------------------------------------------------

    def may_be_in_sync(self, node: NodeId, broker_epoch: int) -> bool:
        """Whether a broker may enter an ISR: registered under this epoch, not fenced, not shutting down (KIP-903)."""
        broker = self.image.brokers.get(node)
        return broker is not None and broker.is_active and broker.broker_epoch == broker_epoch

    def is_live(self, node: NodeId) -> bool:
        """Whether a broker is registered and not fenced."""
        broker = self.image.brokers.get(node)
        return broker is not None and not broker.fenced

    def isr_change_wanted(self, topic_partition: TopicPartition) -> None:
        """Take note of a partition's proposal."""
        self._isr_changes[topic_partition] = self._partitions[topic_partition]
        self.on_isr_change()

    def disk_failed(self, topic_partition: TopicPartition, error: Exception) -> None:
        """Take one partition offline, and say so: others lie on the same disk."""
        failed = self._partitions[topic_partition]
        failed.go_offline(ErrorCode.KAFKA_STORAGE_ERROR)
        self._role_changed(failed)
        self.on_disk_failure(error)

    # --- for the shell ----------------------------------------------------------------------------

    def check_isr(self, now_ms: int) -> None:
        """Look for followers that lag or caught up; called every half `replica.lag.time.max.ms`, as in Kafka."""
        for partition in self:
            partition.check_isr(now_ms)

    def enforce_retention(self, wall_ms: int) -> None:
        """Delete old segments; called every `log.retention.check.interval.ms`."""
        for partition in self:
            partition.enforce_retention(wall_ms)

    def take_isr_changes(self) -> tuple[Partition, ...]:
        """Return the partitions that have a proposal for the controller which was not handed out yet."""
        changes, self._isr_changes = self._isr_changes, {}
        return tuple(changes.values())

    def take_role_changes(self) -> tuple[Partition, ...]:
        """Return the partitions whose leader, epoch or existence may have changed since the last call."""
        changes, self._role_changes = self._role_changes, {}
        return tuple(changes.values())

    def _role_changed(self, partition: Partition) -> None:
        self._role_changes[partition.topic_id, partition.topic_partition.partition] = partition
        self.on_role_change()

    def leader_of(self, partition: Partition) -> NodeId:
        """Return whom this replica should fetch from; NO_NODE when it leads, is offline or has no leader."""
        follows = partition.is_online and not partition.is_leader and partition.leader != self.node_id
        return partition.leader if follows else NO_NODE

    def is_stale_broker(self, node: NodeId, broker_epoch: int) -> bool:
        """Whether a request comes from an earlier incarnation of a broker than the one that is registered."""
        broker = self.image.brokers.get(node)
        return broker is not None and broker_epoch < broker.broker_epoch

    def checkpoint_high_watermarks(self) -> None:
        """Write the checkpoint file when something moved. A disk that refuses costs only knowledge."""
        for key, partition in self._partitions.items():
            self._high_watermarks[key] = partition.high_watermark
        if self._high_watermarks == self._checkpointed:
            return
        try:
            write_high_watermarks(self._disk, self._high_watermarks)
        except DiskError as error:
            _logger.error("the high watermarks could not be written: %s", error)
            return
        self._checkpointed = dict(self._high_watermarks)

    def close(self) -> bool:
        """Write the checkpoint and close all logs; return whether all of them were in good order."""
        self.checkpoint_high_watermarks()
        is_clean = True
        for partition in self:
            if not partition.is_online:
                is_clean = False
                continue
            try:
                partition.log.close()
            except DiskError as error:
                is_clean = False
                _logger.error("%s was not closed in good order: %s", partition.topic_partition, error)
        return is_clean


def _nothing() -> None:
    """Nobody has asked to be told yet."""


def _ignored(error: Exception) -> None:
    """Nobody has asked to be told of failures either: the partition is offline, the others go on."""
