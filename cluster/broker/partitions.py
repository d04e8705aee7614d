"""From what a request names to a partition of this broker, or to the error and the hint that it gets instead.

Here: lookups that the APIs share which are about partitions, from Produce and Fetch to those of share groups.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.broker.context import BrokerContext
from cluster.replication import Partition
from cluster.wire import NodeEndpoint, TopicKey

MOVED = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
"""Errors with which the current leader is named, when it is known (KIP-951)."""


def find_partition(context: BrokerContext, key: TopicKey, number: int) -> Partition | ErrorCode:
    """Return this broker's replica, or why there is none."""
    if isinstance(key, str):
        found = context.replicas.get(TopicPartition(key, number))
    else:
        found = context.replicas.by_id(key, number)
    if found is not None:
        return found
    image = context.image()
    topic = image.topics.get(key) if isinstance(key, str) else image.topic_by_id(key)
    if topic is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if isinstance(key, str) else ErrorCode.UNKNOWN_TOPIC_ID
    if not 0 <= number < len(topic.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ErrorCode.NOT_LEADER_OR_FOLLOWER


def current_leader(context: BrokerContext, key: TopicKey, number: int) -> tuple[int, int] | None:
    """Return who leads a partition and under which epoch, as far as this broker knows; None when nobody does."""
    image = context.image()
    topic = image.topics.get(key) if isinstance(key, str) else image.topic_by_id(key)
    if topic is None or not 0 <= number < len(topic.partitions):
        return None
    state = topic.partitions[number]
    return (state.leader, state.leader_epoch) if state.has_leader else None


def endpoints_of(context: BrokerContext, leaders: Iterable[tuple[int, int] | None]) -> list[NodeEndpoint]:
    """Return where the named leaders listen, each once, in the order of their ids."""
    brokers = context.image().brokers
    ids = sorted({leader[0] for leader in leaders if leader is not None})
    return [
        NodeEndpoint(node_id, broker.kafka.host, broker.kafka.port, broker.rack)
        for node_id in ids
        if (broker := brokers.get(NodeId(node_id))) is not None and not broker.fenced
    ]
