"""The server-side assignors: who shall own what (Kafka: `RangeAssignor`, `UniformAssignor`).

Here: pure functions of subscriptions, sizes of topics and the last target assignment. Members are taken in an order of
their own, so that every coordinator comes to the same result.

`range`: the partitions of each topic in contiguous ranges; members with the same subscription get the same numbers of
every topic, so that topics with equal partitioning can be joined. `uniform`: as evenly as subscriptions allow, moving
as little as possible (Kafka sets it out in two builders; ties may fall differently here).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from cluster.base.ids import TopicId
from cluster.groups.consumer.partitions import NO_PARTITIONS, Partitions, TopicIdPartition


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One member as an assignor sees it: the topics it wants, and its part of the last target assignment."""

    member_id: str
    instance_id: str | None
    topics: frozenset[TopicId]
    target: Partitions


Sizes = Mapping[TopicId, int]
"""How many partitions each topic has."""

Assignor = Callable[[Sequence[Subscriber], Sizes], dict[str, Partitions]]


def assign_range(subscribers: Sequence[Subscriber], sizes: Sizes) -> dict[str, Partitions]:
    """Give each topic's partitions out in ranges; static members come first, by their instance ids."""
    given: dict[str, list[TopicIdPartition]] = {each.member_id: [] for each in subscribers}
    ordered = sorted(subscribers, key=lambda each: (each.instance_id is None, each.instance_id or each.member_id))
    for topic_id in sorted(sizes):
        wanting = [each for each in ordered if topic_id in each.topics]
        for index, each in enumerate(wanting):
            quota, extra = divmod(sizes[topic_id], len(wanting))
            start = index * quota + min(index, extra)
            end = start + quota + (index < extra)
            given[each.member_id] += [TopicIdPartition(topic_id, number) for number in range(start, end)]
    return {member_id: frozenset(partitions) for member_id, partitions in given.items()}


def assign_uniform(subscribers: Sequence[Subscriber], sizes: Sizes) -> dict[str, Partitions]:
    """Give everybody as much as anybody else, as far as subscriptions allow, and leave what can stay where it is."""
    ordered = sorted(subscribers, key=lambda each: each.member_id)
    if not ordered:
        return {}
    taken: dict[TopicIdPartition, str] = {}
    held: dict[str, list[TopicIdPartition]] = {}
    for each in ordered:
        kept = [part for part in sorted(each.target) if part not in taken and _may_hold(each, part, sizes)]
        taken |= dict.fromkeys(kept, each.member_id)
        held[each.member_id] = kept
    free = [
        part
        for topic_id in sorted(sizes)
        for number in range(sizes[topic_id])
        if (part := TopicIdPartition(topic_id, number)) not in taken
    ]
    if all(each.topics == ordered[0].topics for each in ordered):
        free = [part for part in free if part.topic_id in ordered[0].topics]
        _fill_quotas(held, free)
    else:
        _give_to_the_poorest(ordered, held, free)
        _level(ordered, held, sizes)
    return {member_id: frozenset(partitions) for member_id, partitions in held.items()}


def _may_hold(subscriber: Subscriber, partition: TopicIdPartition, sizes: Sizes) -> bool:
    return partition.topic_id in subscriber.topics and partition.partition < sizes.get(partition.topic_id, 0)


def _fill_quotas(held: dict[str, list[TopicIdPartition]], free: list[TopicIdPartition]) -> None:
    """All want the same: everybody's quota is known. Those who hold the most keep the extra ones."""
    total = len(free) + sum(map(len, held.values()))
    quota, extra = divmod(total, len(held))
    richest_first = sorted(held, key=lambda member_id: -len(held[member_id]))
    quotas = {member_id: quota + (place < extra) for place, member_id in enumerate(richest_first)}
    for member_id, partitions in held.items():
        free += partitions[quotas[member_id] :]
        del partitions[quotas[member_id] :]
    remaining = iter(free)
    for member_id, partitions in held.items():
        while len(partitions) < quotas[member_id]:
            partitions.append(next(remaining))


def _give_to_the_poorest(
    subscribers: Sequence[Subscriber], held: dict[str, list[TopicIdPartition]], free: Iterable[TopicIdPartition]
) -> None:
    """Give what nobody has to whoever wants it and has the least; topics that few want come first."""
    wanting: dict[TopicId, list[str]] = {}
    for each in subscribers:
        for topic_id in sorted(each.topics):
            wanting.setdefault(topic_id, []).append(each.member_id)
    topics: dict[TopicId, list[TopicIdPartition]] = {}
    for partition in free:
        topics.setdefault(partition.topic_id, []).append(partition)
    for topic_id in sorted(topics, key=lambda key: (len(wanting.get(key, ())), key)):
        poorest = [(len(held[member_id]), member_id) for member_id in wanting.get(topic_id, ())]
        heapify(poorest)
        for partition in topics[topic_id] if poorest else ():
            count, member_id = heappop(poorest)
            held[member_id].append(partition)
            heappush(poorest, (count + 1, member_id))


def _level(subscribers: Sequence[Subscriber], held: dict[str, list[TopicIdPartition]], sizes: Sizes) -> None:
    """Move partitions from whoever has more to whoever wants them and has at least two fewer, until nobody has.

    Each move makes the counts more equal, so that it ends.
    """
    moved = True
    while moved:
        moved = False
        for topic_id in sorted(sizes):
            wanting = [each.member_id for each in subscribers if topic_id in each.topics]
            while _move_one(topic_id, wanting, held):
                moved = True


def _move_one(topic_id: TopicId, wanting: Sequence[str], held: dict[str, list[TopicIdPartition]]) -> bool:
    holding = [member_id for member_id in wanting if any(part.topic_id == topic_id for part in held[member_id])]
    if not holding:
        return False
    richest = max(holding, key=lambda member_id: len(held[member_id]))
    poorest = min(wanting, key=lambda member_id: len(held[member_id]))
    if len(held[richest]) - len(held[poorest]) < 2:
        return False
    partition = next(part for part in reversed(held[richest]) if part.topic_id == topic_id)
    held[richest].remove(partition)
    held[poorest].append(partition)
    return True


ASSIGNORS: Mapping[str, Assignor] = {"uniform": assign_uniform, "range": assign_range}
"""The assignors by the names that members ask for."""


def targets_of(assignor: str, subscribers: Sequence[Subscriber], sizes: Sizes) -> dict[str, Partitions]:
    """Return the target assignment of every member, in the order of `subscribers`."""
    given = ASSIGNORS[assignor](subscribers, sizes)
    return {each.member_id: given.get(each.member_id, NO_PARTITIONS) for each in subscribers}
