"""Internal topics: which there are, how they are made, and in which partition a key's state lies.

Here: `__consumer_offsets`, `__transaction_state` and `__share_group_state`. A topic is created by the first who asks
who coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.base.configs import Configs
from cluster.metadata import MetadataImage
from cluster.rpc import controller_pb2


@dataclass(frozen=True, slots=True)
class InternalTopic:
    """An internal topic and the configs that say how it is created."""

    name: str
    partitions_config: str
    replication_factor_config: str
    segment_bytes_config: str
    min_isr_config: str | None = None

    def creation(self, configs: Configs, image: MetadataImage) -> controller_pb2.NewTopic:
        """Return what is to be created.

        Departure: Kafka refuses while there are fewer brokers than replicas wanted; here it gets as many as there are.
        """
        wanted = configs.integer(self.replication_factor_config)
        settings = {"cleanup.policy": "compact", "segment.bytes": configs.text(self.segment_bytes_config)}
        if self.min_isr_config is not None:
            settings["min.insync.replicas"] = configs.text(self.min_isr_config)
        return controller_pb2.NewTopic(
            name=self.name,
            partitions=configs.integer(self.partitions_config),
            replication_factor=max(min(wanted, len(image.brokers)), 1),
            configs=[controller_pb2.ConfigEntry(name=name, value=value) for name, value in settings.items()],
        )

    def partition_for(self, key: str, image: MetadataImage) -> int | None:
        """Return the partition in which a key's state lies; None while there is no such topic."""
        topic = image.topics.get(self.name)
        return None if topic is None else key_hash(key) % len(topic.partitions)


CONSUMER_OFFSETS = InternalTopic(
    "__consumer_offsets",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "offsets.topic.segment.bytes",
)

TRANSACTION_STATE = InternalTopic(
    "__transaction_state",
    "transaction.state.log.num.partitions",
    "transaction.state.log.replication.factor",
    "transaction.state.log.segment.bytes",
    "transaction.state.log.min.isr",
)

SHARE_GROUP_STATE = InternalTopic(
    "__share_group_state",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.segment.bytes",
    "share.coordinator.state.topic.min.isr",
)

INTERNAL_TOPICS: Mapping[str, InternalTopic] = {
    topic.name: topic for topic in (CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE)
}
"""Internal topics by name."""


def key_hash(key: str) -> int:
    """Return the absolute value of Java's `String.hashCode`, with which Kafka spreads keys over partitions.

    The one hash whose absolute value is not a number in Java counts as 0 (`Utils.abs`).
    """
    encoded = key.encode("utf-16-be", "surrogatepass")
    total = 0
    for index in range(0, len(encoded), 2):
        total = (31 * total + (encoded[index] << 8 | encoded[index + 1])) & 0xFFFF_FFFF
    signed = total - 2**32 if total >= 2**31 else total
    return 0 if signed == -(2**31) else abs(signed)
