"""librdkafka's share consumers in one share group, polled in turn, and what they were told (KIP-932).

Here: who was given which record, and whose acknowledgement was answered. Not here: what brokers go through meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from confluent_kafka import AcknowledgeType, KafkaException, Message, ShareConsumer, TopicCollection
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from group_clients import SOON_S, Brokers, eventually

from cluster.broker.coordinator import key_hash
from cluster.sharing import SharePartitionKey

Place = tuple[int, int]
"""A partition and an offset."""

Choose = Callable[[Message], AcknowledgeType]
EARLIEST = {"share.auto.offset.reset": "earliest"}


class ShareMembers:
    """Share consumers that acknowledge each record, and note when they get one again that was done."""

    def __init__(self, brokers: Brokers, topic: str, group: str, choose: Choose | None = None, **configs: str) -> None:
        self.group = group
        self.done: dict[Place, str] = {}
        """What was accepted or rejected, by value, and a broker has answered that."""
        self.deliveries: list[tuple[str, Place, int]] = []
        """Who was given what, and for which time, as the broker counts."""
        self.wrong: list[str] = []
        self._choose = choose or (lambda message: AcknowledgeType.ACCEPT)
        self._topic = topic
        self._options = {
            "bootstrap.servers": brokers.bootstrap,
            "group.id": group,
            "share.acknowledgement.mode": "explicit",
            "max.poll.records": 5,  # else the first who asks gets everything
        }
        self.consumers: dict[str, ShareConsumer] = {}
        set_group_configs(brokers, group, {**EARLIEST, **configs})

    def add(self, name: str, **options: Any) -> None:
        consumer = ShareConsumer({**self._options, "client.id": name, **options})
        consumer.subscribe([self._topic])
        self.consumers[name] = consumer

    def remove(self, name: str) -> None:
        self.consumers.pop(name).close()

    def close(self) -> None:
        for name in tuple(self.consumers):
            self.remove(name)

    def poll(self) -> None:
        """Give each member a turn: it takes what it is given, chooses, and waits for the brokers' answer."""
        for name, consumer in self.consumers.items():
            messages = [message for message in consumer.poll(0.05) if message.error() is None]
            chosen = {_place(message): self._choose(message) for message in messages}
            for message in messages:
                self._note(name, message)
                consumer.acknowledge(message, chosen[_place(message)])
            if not messages:
                continue
            try:
                answers = consumer.commit_sync(SOON_S)
            except KafkaException:
                continue  # nobody promised anything
            kept = {part.partition for part, error in answers.items() if error is None}
            for message in messages:
                place = _place(message)
                if place[0] in kept and chosen[place] is not AcknowledgeType.RELEASE:
                    self.done[place] = (message.value() or b"").decode()

    def until(self, claim: Callable[[], bool]) -> None:
        def polled() -> bool:
            self.poll()
            return claim()

        eventually(polled)

    def _note(self, name: str, message: Message) -> None:
        place = _place(message)
        if place in self.done:
            self.wrong.append(f"{place} was done, and {name} has it again")
        self.deliveries.append((name, place, message.delivery_count() or 0))


def set_group_configs(brokers: Brokers, group: str, configs: dict[str, str]) -> None:
    """Set configs of one group, and return when that is answered."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in configs.items()]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
    admin = brokers.new_admin()  # must live until the answer is here
    admin.incremental_alter_configs([resource])[resource].result(SOON_S)


def share_coordinator(brokers: Brokers, group: str, topic: str, partition: int) -> str:
    """Return the broker that remembers how far a group is with one partition."""
    admin = brokers.new_admin()
    found = admin.describe_topics(TopicCollection([topic]))[topic].result(SOON_S).topic_id
    halves = found.get_most_significant_bits(), found.get_least_significant_bits()
    topic_id = UUID(bytes=b"".join(half.to_bytes(8, signed=True) for half in halves))
    partitions = admin.list_topics(timeout=SOON_S).topics["__share_group_state"].partitions
    key = SharePartitionKey(group, topic_id, partition)
    return f"b{partitions[key_hash(key.text) % len(partitions)].leader}"


def _place(message: Message) -> Place:
    partition, offset = message.partition(), message.offset()
    assert partition is not None and offset is not None, "only a producer's message may have none"
    return partition, offset
