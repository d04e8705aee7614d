"""Who reads which partitions of a share group (Kafka: `SimpleAssignor`).

Here: a pure function. Every partition has at least one reader, and every member at least one partition of each topic
that it wants; where there are more members than partitions, members share.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.groups.consumer.assignors import Sizes, Subscriber
from cluster.groups.consumer.partitions import Partitions, TopicIdPartition

SHARE_ASSIGNOR = "simple"


def assign_shared(subscribers: Sequence[Subscriber], sizes: Sizes) -> dict[str, Partitions]:
    """Deal each topic's partitions out in turn, going round members and partitions until both have had one."""
    ordered = sorted(subscribers, key=lambda each: each.member_id)
    given: dict[str, list[TopicIdPartition]] = {each.member_id: [] for each in ordered}
    for topic_id in sorted(sizes):
        wanting = [each.member_id for each in ordered if topic_id in each.topics]
        size = sizes[topic_id]
        for turn in range(max(len(wanting), size) if wanting and size else 0):
            given[wanting[turn % len(wanting)]].append(TopicIdPartition(topic_id, turn % size))
    return {member_id: frozenset(partitions) for member_id, partitions in given.items()}
