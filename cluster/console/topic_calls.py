"""What the `topics` command asks the brokers, through the admin client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cluster.console.errors import kafka_errors
from cluster.console.topic_text import PartitionFacts, TopicFacts

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

DOING = "Error while executing topic command "

_URL_SAFE = str.maketrans("+/", "-_")
"""librdkafka shows ids in plain base64, Kafka (class Uuid) in the kind that URLs may hold."""


class TopicCalls:
    """Calls that wait for the answer, at most `timeout_ms`. All of them raise LabError."""

    def __init__(self, admin: AdminClient, timeout_ms: int) -> None:
        self._admin = admin
        self._timeout_s = timeout_ms / 1000

    def names(self) -> list[str]:
        """Return all topics."""
        with kafka_errors(DOING):
            return [str(name) for name in self._admin.list_topics(timeout=self._timeout_s).topics]

    def live_brokers(self) -> list[int]:
        """Return the ids of the brokers that are there."""
        with kafka_errors(DOING):
            return [int(broker) for broker in self._admin.list_topics(timeout=self._timeout_s).brokers]

    def create(
        self,
        name: str,
        partitions: int | None,
        replication_factor: int | None,
        assignment: Sequence[Sequence[int]] | None,
        configs: dict[str, str],
        *,
        if_not_exists: bool,
    ) -> bool:
        """Create a topic; whether it was created, which it is not when it exists and may."""
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        shape: dict[str, Any] = {"num_partitions": partitions or -1, "replication_factor": replication_factor or -1}
        if assignment is not None:
            shape = {"num_partitions": len(assignment), "replica_assignment": [list(each) for each in assignment]}
        with kafka_errors(DOING):
            future = self._admin.create_topics([NewTopic(name, config=configs, **shape)], **self._limits())[name]
            try:
                future.result()
            except KafkaException as error:
                if if_not_exists and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
        return True

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics."""
        with kafka_errors(DOING):
            for future in self._admin.delete_topics(list(names), **self._limits()).values():
                future.result()

    def add_partitions(self, names: Sequence[str], count: int, assignment: Sequence[Sequence[int]] | None) -> None:
        """Raise the number of partitions to `count`; an assignment covers all, those that exist are passed over."""
        from confluent_kafka.admin import NewPartitions

        wanted = []
        for topic in self.describe(names):
            added = None if assignment is None else [list(each) for each in assignment[len(topic.partitions) :]]
            shape = {} if added is None else {"replica_assignment": added}
            wanted.append(NewPartitions(topic.name, count, **shape))
        with kafka_errors(DOING):
            for future in self._admin.create_partitions(wanted, **self._limits()).values():
                future.result()

    def describe(self, names: Sequence[str]) -> list[TopicFacts]:
        """Return what the brokers say about topics."""
        from confluent_kafka import TopicCollection
        from confluent_kafka.admin import ConfigResource

        if not names:
            return []
        timeout = {"request_timeout": self._timeout_s}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        with kafka_errors(DOING):
            described = self._admin.describe_topics(TopicCollection(list(names)), **timeout)
            configs = {
                resource.name: future.result()
                for resource, future in self._admin.describe_configs(resources, **timeout).items()
            }
            return [_facts(described[name].result(), configs[name]) for name in names]

    def _limits(self) -> dict[str, float]:
        return {"operation_timeout": self._timeout_s, "request_timeout": self._timeout_s}


def _facts(topic: Any, entries: dict[str, Any]) -> TopicFacts:
    partitions = tuple(
        PartitionFacts(
            each.id,
            None if each.leader is None or each.leader.id < 0 else each.leader.id,
            tuple(node.id for node in each.replicas),
            tuple(node.id for node in each.isr),
        )
        for each in topic.partitions
    )
    changed = {name: entry.value for name, entry in sorted(entries.items()) if not entry.is_default}
    topic_id = str(topic.topic_id).translate(_URL_SAFE).rstrip("=")
    return TopicFacts(topic.name, topic_id, partitions, changed, int(entries["min.insync.replicas"].value))
