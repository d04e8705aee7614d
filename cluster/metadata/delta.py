"""What changed between two images, and the trace events that tell it.

Here: comparison only, so that one committed batch and a snapshot that skips a thousand of them look alike
to whoever reacts to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from cluster.base.ids import TopicPartition
from cluster.base.ports import Tracer
from cluster.base.trace import BrokerStateChanged, PartitionMetadataApplied, TopicConfigApplied, TopicDeleted
from cluster.metadata.image import TOPIC_RESOURCE, BrokerRegistration, MetadataImage, PartitionState, TopicState

_Key = TypeVar("_Key", int, tuple[int, str])


@dataclass(frozen=True, slots=True)
class MetadataDelta:
    """The way from one image to another.

    A topic that was deleted and created again under its name is in `deleted_topics` with its old id, and its
    new partitions are in `changed_partitions`: react to deletions first. Everything is ordered by name or id.
    """

    image_before: MetadataImage
    image_after: MetadataImage
    changed_partitions: tuple[tuple[TopicPartition, PartitionState], ...] = ()
    deleted_topics: tuple[TopicState, ...] = ()
    changed_brokers: tuple[int, ...] = ()
    changed_configs: tuple[tuple[int, str], ...] = ()


def delta_between(before: MetadataImage, after: MetadataImage) -> MetadataDelta:
    """Compare two images. What they share (most of it, as images share their parts) costs one look each."""
    changed: list[tuple[TopicPartition, PartitionState]] = []
    deleted: list[TopicState] = []
    if before.topics is not after.topics:
        for name, topic in after.topics.items():
            changed.extend(_changed_partitions(before.topics.get(name), topic))
        for name, topic in before.topics.items():
            successor = after.topics.get(name)
            if successor is None or successor.topic_id != topic.topic_id:
                deleted.append(topic)
    return MetadataDelta(
        before,
        after,
        tuple(changed),
        tuple(deleted),
        _changed_keys(before.brokers, after.brokers),
        _changed_keys(before.configs, after.configs),
    )


def _changed_partitions(old: TopicState | None, new: TopicState) -> list[tuple[TopicPartition, PartitionState]]:
    if old is new:
        return []
    known = old.partitions if old is not None and old.topic_id == new.topic_id else ()
    return [
        (TopicPartition(new.name, number), partition)
        for number, partition in enumerate(new.partitions)
        if number >= len(known) or known[number] != partition
    ]


def _changed_keys(before: Mapping[_Key, object], after: Mapping[_Key, object]) -> tuple[_Key, ...]:
    if before is after:
        return ()
    changed: list[_Key] = [key for key, value in after.items() if before.get(key) != value]
    changed.extend(key for key in before if key not in after)
    return tuple(sorted(changed))


def trace_delta(tracer: Tracer, delta: MetadataDelta) -> None:
    """Tell what this node just learned. Every node calls it once for each delta that it applies."""
    if not tracer.enabled:
        return
    offset = delta.image_after.offset
    for topic in delta.deleted_topics:
        tracer.emit(TopicDeleted(topic.name, offset))
    for broker_id in delta.changed_brokers:
        before = delta.image_before.brokers.get(broker_id)
        after = delta.image_after.brokers.get(broker_id)
        registration = after or before
        assert registration is not None
        for state in _broker_states(before, after):
            tracer.emit(BrokerStateChanged(broker_id, registration.broker_epoch, state, offset))
    for kind, name in delta.changed_configs:
        if kind == TOPIC_RESOURCE:
            values = delta.image_after.topic_configs(name)
            tracer.emit(TopicConfigApplied(name, tuple(f"{key}={value}" for key, value in values.items()), offset))
    for (topic_name, number), partition in delta.changed_partitions:
        tracer.emit(
            PartitionMetadataApplied(
                topic_name,
                number,
                partition.leader,
                partition.leader_epoch,
                partition.partition_epoch,
                partition.replicas,
                partition.isr,
                partition.eligible_leader_replicas,
                offset,
                partition.last_known_elr,
            )
        )


def _broker_states(before: BrokerRegistration | None, after: BrokerRegistration | None) -> list[str]:
    """Return what a learner would say happened to a broker, in order."""
    if after is None:
        return ["unregistered"]
    states = []
    was_fenced, was_leaving = (before.fenced, before.in_controlled_shutdown) if before else (True, False)
    if before is None or before.broker_epoch != after.broker_epoch:
        states.append("registered")
        was_fenced, was_leaving = True, False
    if was_fenced != after.fenced:
        states.append("fenced" if after.fenced else "unfenced")
    if after.in_controlled_shutdown and not was_leaving:
        states.append("shutting-down")
    return states
