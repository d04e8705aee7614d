"""Metadata: records folded into an immutable image, deltas between images, and snapshots of them."""

from cluster.metadata.apply import apply_batch
from cluster.metadata.delta import MetadataDelta, delta_between, trace_delta
from cluster.metadata.features import ELR_FEATURE, FEATURES, GROUP_FEATURE, elr_is_enabled, feature_level
from cluster.metadata.image import (
    BROKER_RESOURCE,
    GROUP_RESOURCE,
    QUOTA_ENTITY_TYPES,
    QUOTA_KEYS,
    RECOVERED,
    RECOVERING,
    TOPIC_RESOURCE,
    BrokerRegistration,
    Endpoint,
    MetadataImage,
    PartitionState,
    QuotaEntity,
    TopicState,
)
from cluster.metadata.records import (
    broker_record,
    config_record,
    merge_change,
    partition_record,
    quota_entity,
    quota_record,
    read_broker,
    read_partition,
)
from cluster.metadata.snapshot import read_snapshot, write_snapshot

__all__ = [
    "BROKER_RESOURCE",
    "ELR_FEATURE",
    "FEATURES",
    "GROUP_FEATURE",
    "GROUP_RESOURCE",
    "QUOTA_ENTITY_TYPES",
    "QUOTA_KEYS",
    "RECOVERED",
    "RECOVERING",
    "TOPIC_RESOURCE",
    "BrokerRegistration",
    "Endpoint",
    "MetadataDelta",
    "MetadataImage",
    "PartitionState",
    "QuotaEntity",
    "TopicState",
    "apply_batch",
    "broker_record",
    "config_record",
    "delta_between",
    "elr_is_enabled",
    "feature_level",
    "merge_change",
    "partition_record",
    "quota_entity",
    "quota_record",
    "read_broker",
    "read_partition",
    "read_snapshot",
    "trace_delta",
    "write_snapshot",
]
