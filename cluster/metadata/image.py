"""The metadata image: everything the cluster has agreed on at one offset of the metadata log.

Here: frozen facts and questions about them. Not here: how records change an image (`apply`), or who
decides what to write (`cluster.controller`). Two images are never mixed: a reader takes one and keeps it
for as long as it thinks, because every change makes a new image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from cluster.base.ids import NO_NODE, NodeId, TopicId, TopicPartition

TOPIC_RESOURCE = 2
"""Kafka's `ConfigResource.Type.TOPIC`."""

BROKER_RESOURCE = 4
"""Kafka's `ConfigResource.Type.BROKER`; the empty name means all brokers."""

GROUP_RESOURCE = 32
"""Kafka's `ConfigResource.Type.GROUP`."""

RECOVERED = 0
"""Kafka's `LeaderRecoveryState`: the leader has whatever was committed."""

RECOVERING = 1
"""The leader was elected uncleanly and has not said yet that it has recovered (KIP-704)."""

QuotaEntity = tuple[tuple[str, str | None], ...]
"""Whom a quota is for (KIP-546): pairs of a type and a name, by type; no name means everybody without a quota."""

QUOTA_ENTITY_TYPES = ("client-id", "user")

QUOTA_KEYS = ("consumer_byte_rate", "producer_byte_rate")
"""The quotas that have an effect, in bytes a second and for each broker."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition, as the controller decided it (Kafka's `PartitionRegistration`).

    `leader_epoch` rises when a leader is elected, also when the leader becomes nobody; `partition_epoch`
    rises with every change. `eligible_leader_replicas` left the ISR with every committed record and may
    lead although they are not in it (KIP-966); `last_known_elr` is the last leader of a partition that has
    nobody of either kind left.
    """

    topic_id: TopicId
    replicas: tuple[NodeId, ...]
    isr: tuple[NodeId, ...]
    leader: NodeId
    leader_epoch: int = 0
    partition_epoch: int = 0
    eligible_leader_replicas: tuple[NodeId, ...] = ()
    last_known_elr: tuple[NodeId, ...] = ()
    adding_replicas: tuple[NodeId, ...] = ()
    removing_replicas: tuple[NodeId, ...] = ()
    leader_recovery_state: int = RECOVERED

    @property
    def preferred_leader(self) -> NodeId:
        """The first replica of the assignment, where leadership returns to."""
        return self.replicas[0]

    @property
    def has_leader(self) -> bool:
        """Whether somebody leads."""
        return self.leader != NO_NODE


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic; a partition's number is its place in `partitions`."""

    name: str
    topic_id: TopicId
    partitions: tuple[PartitionState, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a listener can be reached."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class BrokerRegistration:
    """A broker that registered. `incarnation_id` is new at each start of its process, `broker_epoch` at each
    registration; a request that carries another epoch comes from the past."""

    broker_id: NodeId
    incarnation_id: UUID
    broker_epoch: int
    kafka: Endpoint
    rpc: Endpoint
    rack: str | None = None
    fenced: bool = True
    in_controlled_shutdown: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it may lead partitions and join an ISR: neither fenced nor on its way out."""
        return not self.fenced and not self.in_controlled_shutdown


@dataclass(frozen=True, slots=True)
class MetadataImage:
    """All metadata at `offset`, the Raft index of the last entry it includes; 0 when it includes none.

    `topics` and `brokers` are ordered by name and id, so that reading them gives the same order everywhere.
    `configs` is keyed by resource type and name, `client_quotas` by whom they are for.
    """

    offset: int
    epoch: int
    cluster_id: str
    topics: Mapping[str, TopicState] = field(default_factory=dict)
    topic_names: Mapping[TopicId, str] = field(default_factory=dict)
    brokers: Mapping[int, BrokerRegistration] = field(default_factory=dict)
    configs: Mapping[tuple[int, str], Mapping[str, str]] = field(default_factory=dict)
    next_producer_id: int = 0
    features: Mapping[str, int] = field(default_factory=dict)
    client_quotas: Mapping[QuotaEntity, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def empty(cls, cluster_id: str) -> MetadataImage:
        """Return the image before the first record."""
        return cls(0, 0, cluster_id)

    def partition(self, topic_partition: TopicPartition) -> PartitionState | None:
        """Return a partition by name; None when there is no such topic or no such number."""
        topic = self.topics.get(topic_partition.topic)
        if topic is None or not 0 <= topic_partition.partition < len(topic.partitions):
            return None
        return topic.partitions[topic_partition.partition]

    def topic_by_id(self, topic_id: TopicId) -> TopicState | None:
        """Return a topic by its id; None when it was deleted or never existed."""
        name = self.topic_names.get(topic_id)
        return None if name is None else self.topics[name]

    def partitions(self) -> Iterator[tuple[TopicPartition, PartitionState]]:
        """Go through all partitions, by topic name and number."""
        for topic in self.topics.values():
            for number, partition in enumerate(topic.partitions):
                yield TopicPartition(topic.name, number), partition

    def topic_configs(self, name: str) -> Mapping[str, str]:
        """Return what was set on a topic itself, without defaults."""
        return self.configs.get((TOPIC_RESOURCE, name), _NOTHING)

    def broker_configs(self, broker_id: int | None) -> Mapping[str, str]:
        """Return what was set at run time on one broker, or with None on all of them."""
        return self.configs.get((BROKER_RESOURCE, "" if broker_id is None else str(broker_id)), _NOTHING)

    def group_configs(self, group_id: str) -> Mapping[str, str]:
        """Return what was set at run time on a group."""
        return self.configs.get((GROUP_RESOURCE, group_id), _NOTHING)

    def live_brokers(self) -> tuple[BrokerRegistration, ...]:
        """Return the brokers that clients may talk to: those that are not fenced, by id."""
        return tuple(broker for broker in self.brokers.values() if not broker.fenced)

    def is_active(self, broker_id: int) -> bool:
        """Whether a broker may lead: registered, not fenced, not shutting down."""
        broker = self.brokers.get(broker_id)
        return broker is not None and broker.is_active
