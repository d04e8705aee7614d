"""What `kafka-topics --describe` prints (`org.apache.kafka.tools.TopicCommand`), and which topics a pattern means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.console.errors import usage

INTERNAL_TOPICS = ("__consumer_offsets", "__share_group_state", "__transaction_state")


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """What the brokers say about a partition; no leader is None."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the brokers say about a topic. `configs` holds what differs from Kafka's defaults."""

    name: str
    topic_id: str
    partitions: tuple[PartitionFacts, ...]
    configs: Mapping[str, str]
    min_isr: int


@dataclass(frozen=True, slots=True)
class Report:
    """Which partitions are shown; with none of them chosen, all are."""

    under_replicated: bool = False
    unavailable: bool = False
    under_min_isr: bool = False
    at_min_isr: bool = False

    @property
    def is_chosen(self) -> bool:
        """Whether only some partitions are shown, and no topics."""
        return self.under_replicated or self.unavailable or self.under_min_isr or self.at_min_isr

    def shows(self, topic: TopicFacts, partition: PartitionFacts, live_brokers: Sequence[int]) -> bool:
        """Whether a partition is shown."""
        has_leader = partition.leader is not None
        in_sync = len(partition.isr)
        return (
            not self.is_chosen
            or (self.under_replicated and in_sync < len(partition.replicas))
            or (self.unavailable and (not has_leader or partition.leader not in live_brokers))
            or (self.under_min_isr and (not has_leader or in_sync < topic.min_isr))
            or (self.at_min_isr and in_sync == topic.min_isr)
        )


def describe_topic(
    topic: TopicFacts, report: Report, live_brokers: Sequence[int], *, with_partitions: bool
) -> list[str]:
    """Return the lines about one topic."""
    lines = []
    if not report.is_chosen:
        configs = ",".join(f"{name}={value}" for name, value in topic.configs.items())
        replicas = len(topic.partitions[0].replicas) if topic.partitions else 0
        lines.append(
            f"Topic: {topic.name}\tTopicId: {topic.topic_id}\tPartitionCount: {len(topic.partitions)}"
            f"\tReplicationFactor: {replicas}\tConfigs: {configs}"
        )
    if with_partitions:
        ordered = sorted(topic.partitions, key=lambda partition: partition.partition)
        lines += [_partition(topic.name, each) for each in ordered if report.shows(topic, each, live_brokers)]
    return lines


def _partition(topic: str, partition: PartitionFacts) -> str:
    leader = "none" if partition.leader is None else partition.leader
    return (
        f"\tTopic: {topic}\tPartition: {partition.partition}\tLeader: {leader}"
        f"\tReplicas: {_joined(partition.replicas)}\tIsr: {_joined(partition.isr)}"
        # The client cannot ask for these (DescribeTopicPartitions); Kafka's tool says so with the same words.
        "\tElr: N/A\tLastKnownElr: N/A"
    )


def _joined(brokers: Sequence[int]) -> str:
    return ",".join(str(broker) for broker in brokers)


def matching(topics: Sequence[str], pattern: str | None, *, exclude_internal: bool) -> list[str]:
    """Return the topics that a `--topic` means, sorted (class IncludeList). Raises LabError (usage).

    The pattern is a regular expression that fits the whole name, or several of them with commas between.
    """
    chosen = sorted(topic for topic in topics if not (exclude_internal and topic in INTERNAL_TOPICS))
    if pattern is None:
        return chosen
    text = pattern.strip().replace(",", "|").replace(" ", "").strip("\"'")
    try:
        expression = re.compile(text)
    except re.error as error:
        raise usage(f"{pattern} is an invalid regex.", f"It is wrong here: {error}.") from error
    return [topic for topic in chosen if expression.fullmatch(topic)]


def parse_assignment(text: str) -> list[list[int]]:
    """Read `--replica-assignment`: brokers with colons for each partition, commas between. Raises LabError (usage)."""
    try:
        assignment = [[int(broker) for broker in partition.split(":")] for partition in text.split(",")]
    except ValueError as error:
        raise usage(f"{text!r} is not an assignment.", "Write broker:broker,broker:broker, such as 1:2,2:3.") from error
    for number, brokers in enumerate(assignment):
        if len({*brokers}) != len(brokers):
            raise usage(
                f"Partition replica lists may not contain duplicate entries: {_joined(brokers)}",
                "Name each broker once.",
            )
        if len(brokers) != len(assignment[0]):
            raise usage(f"Partition {number} has different replication factor: {brokers}", "Give each as many.")
    return assignment


def parse_topic_configs(texts: Sequence[str]) -> dict[str, str]:
    """Read `--config name=value`. Raises LabError (usage)."""
    configs = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise usage(
                'Invalid topic config: all configs to be added must be in the format "key=val".', f"Correct {text!r}."
            )
        configs[name] = value
    return configs
