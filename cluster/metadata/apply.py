"""How records change an image: the only place where metadata changes, on every node alike.

Here: replay. It decides nothing and refuses nothing: a record that does not fit the image it is applied to is
a bug of whoever wrote it, and an assertion stops the node before it can believe something else than its peers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from cluster.base.ids import TopicId
from cluster.metadata.delta import MetadataDelta, delta_between
from cluster.metadata.image import (
    TOPIC_RESOURCE,
    BrokerRegistration,
    MetadataImage,
    PartitionState,
    QuotaEntity,
    TopicState,
)
from cluster.metadata.records import merge_change, quota_entity, read_broker, read_partition
from cluster.rpc import metadata_pb2 as pb


def apply_batch(
    image: MetadataImage, records: Iterable[pb.MetadataRecord], offset: int, epoch: int
) -> tuple[MetadataImage, MetadataDelta]:
    """Fold one batch, the entry at `offset` written in `epoch`, into an image: all of it or, on a bug, nothing.

    A batch without records (the no-op of a new leader) moves the offset only.
    """
    assert offset > image.offset, f"entry {offset} was applied already: the image is at {image.offset}"
    assert epoch >= image.epoch, f"epoch {epoch} follows {image.epoch}"
    draft = _Draft(image)
    for record in records:
        draft.apply(record)
    after = draft.finish(offset, epoch)
    return after, delta_between(image, after)


def image_of(cluster_id: str, records: Iterable[pb.MetadataRecord], offset: int, epoch: int) -> MetadataImage:
    """Fold the records of a snapshot into an image of their own."""
    draft = _Draft(MetadataImage.empty(cluster_id))
    for record in records:
        draft.apply(record)
    return draft.finish(offset, epoch)


class _Draft:
    """An image in the making: parts are copied when they are first touched."""

    def __init__(self, image: MetadataImage) -> None:
        self._image = image
        self._topics: dict[str, TopicState] | None = None
        self._names: dict[TopicId, str] | None = None
        self._partitions: dict[TopicId, list[PartitionState]] = {}
        self._brokers: dict[int, BrokerRegistration] | None = None
        self._configs: dict[tuple[int, str], Mapping[str, str]] | None = None
        self._features: dict[str, int] | None = None
        self._quotas: dict[QuotaEntity, Mapping[str, float]] | None = None
        self._next_producer_id = image.next_producer_id

    def apply(self, record: pb.MetadataRecord) -> None:
        kind = record.WhichOneof("record")
        assert kind is not None, "a record of a kind that this version does not know"
        _APPLIERS[kind](self, record)

    def finish(self, offset: int, epoch: int) -> MetadataImage:
        """Freeze the draft; parts that nothing touched are shared with the image before."""
        image = self._image
        topics, names = self._finish_topics()
        brokers = image.brokers if self._brokers is None else dict(sorted(self._brokers.items()))
        return MetadataImage(
            offset=offset,
            epoch=epoch,
            cluster_id=image.cluster_id,
            topics=topics,
            topic_names=names,
            brokers=brokers,
            configs=image.configs if self._configs is None else self._configs,
            next_producer_id=self._next_producer_id,
            features=image.features if self._features is None else self._features,
            client_quotas=image.client_quotas if self._quotas is None else self._quotas,
        )

    def _finish_topics(self) -> tuple[Mapping[str, TopicState], Mapping[TopicId, str]]:
        if self._topics is None or self._names is None:
            return self._image.topics, self._image.topic_names
        for topic_id, partitions in self._partitions.items():
            name = self._names.get(topic_id)
            if name is not None:
                self._topics[name] = TopicState(name, topic_id, tuple(partitions))
        return dict(sorted(self._topics.items())), self._names

    def _open_topics(self) -> tuple[dict[str, TopicState], dict[TopicId, str]]:
        if self._topics is None or self._names is None:
            self._topics = dict(self._image.topics)
            self._names = dict(self._image.topic_names)
        return self._topics, self._names

    def _open_partitions(self, topic_id: TopicId) -> list[PartitionState]:
        topics, names = self._open_topics()
        assert topic_id in names, f"a record for topic id {topic_id}, which does not exist"
        if topic_id not in self._partitions:
            self._partitions[topic_id] = list(topics[names[topic_id]].partitions)
        return self._partitions[topic_id]

    def _open_brokers(self) -> dict[int, BrokerRegistration]:
        if self._brokers is None:
            self._brokers = dict(self._image.brokers)
        return self._brokers

    def _open_configs(self) -> dict[tuple[int, str], Mapping[str, str]]:
        if self._configs is None:
            self._configs = dict(self._image.configs)
        return self._configs

    # --- one method for each kind of record ---------------------------------------------------------

    def topic(self, record: pb.MetadataRecord) -> None:
        name, topic_id = record.topic.name, UUID(bytes=record.topic.topic_id)
        topics, names = self._open_topics()
        assert name not in topics and topic_id not in names, f"topic {name} exists already"
        topics[name] = TopicState(name, topic_id, ())
        names[topic_id] = name

    def partition(self, record: pb.MetadataRecord) -> None:
        partition = read_partition(record.partition)
        partitions = self._open_partitions(partition.topic_id)
        assert record.partition.partition_id == len(partitions), "partitions are created in order"
        partitions.append(partition)

    def partition_change(self, record: pb.MetadataRecord) -> None:
        change = record.partition_change
        partitions = self._open_partitions(UUID(bytes=change.topic_id))
        assert change.partition_id < len(partitions), f"no partition {change.partition_id}"
        partitions[change.partition_id] = merge_change(partitions[change.partition_id], change)

    def remove_topic(self, record: pb.MetadataRecord) -> None:
        topic_id = UUID(bytes=record.remove_topic.topic_id)
        topics, names = self._open_topics()
        assert topic_id in names, f"topic id {topic_id} does not exist"
        name = names.pop(topic_id)
        del topics[name]
        self._partitions.pop(topic_id, None)
        if (TOPIC_RESOURCE, name) in self._open_configs():
            del self._open_configs()[TOPIC_RESOURCE, name]

    def register_broker(self, record: pb.MetadataRecord) -> None:
        broker = read_broker(record.register_broker)
        known = self._open_brokers().get(broker.broker_id)
        assert known is None or known.broker_epoch < broker.broker_epoch, "broker epochs only rise"
        self._open_brokers()[broker.broker_id] = broker

    def broker_registration_change(self, record: pb.MetadataRecord) -> None:
        change = record.broker_registration_change
        broker = self._open_brokers()[change.broker_id]
        assert broker.broker_epoch == change.broker_epoch, "a change of an older registration"
        self._open_brokers()[change.broker_id] = replace(
            broker,
            fenced=change.fenced if change.HasField("fenced") else broker.fenced,
            in_controlled_shutdown=change.in_controlled_shutdown
            if change.HasField("in_controlled_shutdown")
            else broker.in_controlled_shutdown,
        )

    def unregister_broker(self, record: pb.MetadataRecord) -> None:
        change = record.unregister_broker
        broker = self._open_brokers().pop(change.broker_id)
        assert broker.broker_epoch == change.broker_epoch, "the end of an older registration"

    def config(self, record: pb.MetadataRecord) -> None:
        change = record.config
        key = (change.resource_type, change.resource_name)
        values = dict(self._open_configs().get(key, {}))
        if change.HasField("value"):
            values[change.name] = change.value
        else:
            values.pop(change.name, None)
        if values:
            self._open_configs()[key] = dict(sorted(values.items()))
        else:
            self._open_configs().pop(key, None)

    def producer_ids(self, record: pb.MetadataRecord) -> None:
        assert record.producer_ids.next_producer_id > self._next_producer_id, "producer ids are never given twice"
        self._next_producer_id = record.producer_ids.next_producer_id

    def feature_level(self, record: pb.MetadataRecord) -> None:
        if self._features is None:
            self._features = dict(self._image.features)
        self._features[record.feature_level.name] = record.feature_level.feature_level

    def client_quota(self, record: pb.MetadataRecord) -> None:
        change = record.client_quota
        parts = ((part.type, part.name if part.HasField("name") else None) for part in change.entity)
        entity = quota_entity(parts)
        if self._quotas is None:
            self._quotas = dict(self._image.client_quotas)
        values = dict(self._quotas.pop(entity, {}))
        if change.remove:
            values.pop(change.key, None)
        else:
            values[change.key] = change.value
        if values:
            self._quotas[entity] = dict(sorted(values.items()))

    def nothing(self, record: pb.MetadataRecord) -> None:
        """Records that change no part of the image: no-ops."""


_APPLIERS: Mapping[str, Callable[[_Draft, pb.MetadataRecord], None]] = {
    "topic": _Draft.topic,
    "partition": _Draft.partition,
    "partition_change": _Draft.partition_change,
    "remove_topic": _Draft.remove_topic,
    "register_broker": _Draft.register_broker,
    "broker_registration_change": _Draft.broker_registration_change,
    "unregister_broker": _Draft.unregister_broker,
    "config": _Draft.config,
    "producer_ids": _Draft.producer_ids,
    "feature_level": _Draft.feature_level,
    "no_op": _Draft.nothing,
    "client_quota": _Draft.client_quota,
}
