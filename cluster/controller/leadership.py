"""What the comings and goings of brokers do to partitions: who leaves which ISR, who leads instead.

Here: one function for each event, over all partitions it concerns (Kafka's `ReplicationControlManager
.generateLeaderAndIsrUpdates`). Each returns records only. Not here: the rules of one election (`elections`),
or the registrations themselves (`brokers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster.base.configs import Configs
from cluster.base.ids import NodeId, TopicPartition
from cluster.controller.decision import topic_settings
from cluster.controller.elections import Election, Nodes
from cluster.controller.partition_change import ChangeRules, change_partition
from cluster.metadata import MetadataImage, PartitionState, elr_is_enabled
from cluster.rpc import metadata_pb2 as pb

Records = tuple[pb.MetadataRecord, ...]


def rules_for(
    image: MetadataImage,
    configs: Configs,
    topic: str,
    may_lead: Callable[[NodeId], bool] | None = None,
    *,
    election: Election | None = None,
    lost: Nodes = (),
) -> ChangeRules:
    """Return the rules for a topic's partitions: as its configs say, unless the caller asks for an election itself."""
    settings = topic_settings(image, configs, topic)
    is_unclean = settings.flag("unclean.leader.election.enable")
    return ChangeRules(
        may_lead=may_lead or image.is_active,
        election=election or (Election.UNCLEAN if is_unclean else Election.CLEAN),
        min_isr=settings.integer("min.insync.replicas"),
        elr_enabled=elr_is_enabled(image, configs),
        lost=lost,
    )


def take_broker_out(image: MetadataImage, configs: Configs, broker_id: NodeId) -> Records:
    """Take a broker out of every ISR and leadership: it was fenced, is shutting down, or stopped in good order."""
    return _without(image, configs, broker_id, lost=())


def take_lost_broker_out(image: MetadataImage, configs: Configs, broker_id: NodeId) -> Records:
    """The same for a broker whose process did not end in good order: its log may lack what it had acknowledged.

    With eligible leader replicas it loses its place in the ELR as well (KIP-966). Without them Kafka knows no
    better than to treat it like any other, and so do we: the last replica may come back and lead with a hole.
    """
    return _without(image, configs, broker_id, lost=(broker_id,))


def _without(image: MetadataImage, configs: Configs, broker_id: NodeId, lost: Nodes) -> Records:
    def may_lead(node: NodeId) -> bool:
        return node != broker_id and image.is_active(node)

    records = []
    for (topic, number), partition in image.partitions():
        if broker_id not in partition.isr and not (lost and broker_id in partition.eligible_leader_replicas):
            continue
        rules = rules_for(image, configs, topic, may_lead, lost=lost)
        isr = tuple(node for node in partition.isr if node != broker_id)
        record = change_partition(number, partition, rules, isr=isr)
        if record is not None:
            records.append(record)
    return tuple(records)


def bring_broker_in(image: MetadataImage, configs: Configs, broker_id: NodeId) -> Records:
    """A broker is being unfenced: partitions without a leader may get it as theirs. ISRs grow by AlterPartition."""

    def may_lead(node: NodeId) -> bool:
        return node == broker_id or image.is_active(node)

    def leaderless() -> Iterator[tuple[TopicPartition, PartitionState]]:
        return (item for item in image.partitions() if not item[1].has_leader)

    changes = [
        change_partition(number, partition, rules_for(image, configs, topic, may_lead))
        for (topic, number), partition in leaderless()
    ]
    return tuple(record for record in changes if record is not None)


def balance_leaders(image: MetadataImage, configs: Configs) -> Records:
    """Give leadership back to the preferred replicas that are in the ISR (`auto.leader.rebalance.enable`)."""
    records = []
    for (topic, number), partition in image.partitions():
        preferred = partition.preferred_leader
        if partition.leader == preferred or preferred not in partition.isr:
            continue
        record = change_partition(number, partition, rules_for(image, configs, topic, election=Election.PREFERRED))
        if record is not None:
            records.append(record)
    return tuple(records)


def reconsider_partitions(image: MetadataImage, configs: Configs, topics: tuple[str, ...]) -> Records:
    """Apply changed configs to partitions as they stand.

    A lower `min.insync.replicas` empties the ELR where the ISR now suffices: from here on records are committed
    without its members. `unclean.leader.election.enable` may give a leader to a partition that has none.
    `image` already holds the new configs.
    """
    changes = [
        change_partition(number, partition, rules_for(image, configs, topic))
        for topic in topics
        for number, partition in enumerate(image.topics[topic].partitions)
    ]
    return tuple(record for record in changes if record is not None)


def leads_any(image: MetadataImage, broker_id: int) -> bool:
    """Whether a broker still leads a partition."""
    return any(partition.leader == broker_id for _, partition in image.partitions())
