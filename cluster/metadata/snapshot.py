"""A whole image as bytes: the records that rebuild it, which is also how Kafka writes its snapshots.

Here: writing and reading. Equal images give equal bytes. Not here: when a snapshot is taken (`cluster.raft`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.metadata.apply import image_of
from cluster.metadata.image import MetadataImage, QuotaEntity
from cluster.metadata.records import broker_record, config_record, partition_record, quota_record
from cluster.rpc import metadata_pb2 as pb


def write_snapshot(image: MetadataImage) -> bytes:
    """Return the image as a `MetadataSnapshot`; its offset and epoch travel beside it."""
    return pb.MetadataSnapshot(cluster_id=image.cluster_id, records=_records(image)).SerializeToString(
        deterministic=True
    )


def read_snapshot(data: bytes, offset: int, epoch: int) -> MetadataImage:
    """Rebuild the image that covers the log up to and including `offset`."""
    snapshot = pb.MetadataSnapshot.FromString(data)
    return image_of(snapshot.cluster_id, snapshot.records, offset, epoch)


def _records(image: MetadataImage) -> Iterator[pb.MetadataRecord]:
    for name, level in sorted(image.features.items()):
        yield pb.MetadataRecord(feature_level=pb.FeatureLevelRecord(name=name, feature_level=level))
    for broker in image.brokers.values():
        yield broker_record(broker)
    for topic in image.topics.values():
        yield pb.MetadataRecord(topic=pb.TopicRecord(name=topic.name, topic_id=topic.topic_id.bytes))
        for number, partition in enumerate(topic.partitions):
            yield partition_record(number, partition)
    for (resource_type, resource_name), values in sorted(image.configs.items()):
        for name, value in values.items():
            yield config_record(resource_type, resource_name, name, value)
    for entity in sorted(image.client_quotas, key=_order_of):
        for key, limit in image.client_quotas[entity].items():
            yield quota_record(entity, key, limit)
    if image.next_producer_id > 0:
        yield pb.MetadataRecord(producer_ids=pb.ProducerIdsRecord(next_producer_id=image.next_producer_id))


def _order_of(entity: QuotaEntity) -> list[tuple[str, bool, str]]:
    return [(type_, name is not None, name or "") for type_, name in entity]
