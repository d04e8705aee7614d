"""Which replica a consumer should read from (KIP-392; Kafka: `RackAwareReplicaSelector`).

Here: the leader's choice. Not here: reading (`fetch`); a follower serves whoever names a rack, chosen or not.
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, NodeId
from cluster.broker.context import BrokerContext
from cluster.replication import Partition

RACK_AWARE = "RackAwareReplicaSelector"


def selects_by_rack(context: BrokerContext) -> bool:
    """Whether `replica.selector.class` asks for it; the class may be named with its package."""
    return context.configs.text("replica.selector.class").rpartition(".")[2] == RACK_AWARE


def preferred_replica(context: BrokerContext, partition: Partition, fetch_offset: int, rack_id: str) -> NodeId:
    """Return the follower that a consumer of this rack should read from, NO_NODE when that is the leader.

    It is one in the consumer's rack that is live and in sync and has the offset; of several the one that has most.
    """
    leadership = partition.leadership
    brokers = context.image().brokers
    own = brokers.get(context.node_id)
    if leadership is None or (own is not None and own.rack == rack_id):
        return NO_NODE
    candidates = [
        (follower.log_end_offset, follower.caught_up_ms, -follower.node_id)
        for follower in leadership.followers.values()
        if follower.node_id in leadership.isr
        and follower.log_start_offset <= fetch_offset <= follower.log_end_offset
        and (broker := brokers.get(follower.node_id)) is not None
        and not broker.fenced
        and broker.rack == rack_id
    ]
    return NodeId(-max(candidates)[2]) if candidates else NO_NODE
