"""What administrators do to groups and their offsets is there with the next coordinator, and what they delete is not.

Two admin clients, confluent-kafka's and kafka-python's. Not here: groups with members (`tests/groups`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

import confluent_kafka
import kafka
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient
from kafka.admin import KafkaAdminClient
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash

pytestmark = pytest.mark.live

PATIENCE_S = 20.0
TIMEOUT_MS = 15_000


class Admin(Protocol):
    """What both clients can do to a group without members."""

    def commit(self, bootstrap: str, group: str, offsets: dict[TopicPartition, int]) -> None: ...
    def committed(self, bootstrap: str, group: str) -> dict[TopicPartition, int]: ...
    def groups(self, bootstrap: str) -> set[str]: ...
    def delete(self, bootstrap: str, group: str) -> None: ...


class ConfluentAdmin:
    """confluent-kafka's AdminClient."""

    def commit(self, bootstrap: str, group: str, offsets: dict[TopicPartition, int]) -> None:
        wanted = [confluent_kafka.TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        client = AdminClient({"bootstrap.servers": bootstrap})
        asked = client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
        assert [each.error for each in asked[group].result(PATIENCE_S).topic_partitions] == [None] * len(wanted)

    def committed(self, bootstrap: str, group: str) -> dict[TopicPartition, int]:
        client = AdminClient({"bootstrap.servers": bootstrap})
        found = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE_S)
        return {TopicPartition(each.topic, each.partition): each.offset for each in found.topic_partitions}

    def groups(self, bootstrap: str) -> set[str]:
        client = AdminClient({"bootstrap.servers": bootstrap})
        found = client.list_consumer_groups().result(PATIENCE_S)
        assert not found.errors
        return {each.group_id for each in found.valid}

    def delete(self, bootstrap: str, group: str) -> None:
        client = AdminClient({"bootstrap.servers": bootstrap})
        client.delete_consumer_groups([group])[group].result(PATIENCE_S)


class KafkaPythonAdmin:
    """kafka-python's KafkaAdminClient."""

    def commit(self, bootstrap: str, group: str, offsets: dict[TopicPartition, int]) -> None:
        wanted = {
            kafka.TopicPartition(*partition): kafka.structs.OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }
        found = python_admin(bootstrap, lambda client: client.alter_group_offsets(group, wanted))
        assert found == dict.fromkeys(wanted, kafka.errors.NoError)

    def committed(self, bootstrap: str, group: str) -> dict[TopicPartition, int]:
        found = python_admin(bootstrap, lambda client: client.list_group_offsets(group))[group]
        return {TopicPartition(*partition): kept.offset for partition, kept in found.items()}

    def groups(self, bootstrap: str) -> set[str]:
        return {each["group_id"] for each in python_admin(bootstrap, lambda client: client.list_groups())}

    def delete(self, bootstrap: str, group: str) -> None:
        assert python_admin(bootstrap, lambda client: client.delete_groups([group])) == {group: "OK"}


def python_admin(bootstrap: str, call: Callable[[Any], Any]) -> Any:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)) as client:
        return call(client)


def change_coordinator(cluster: ThreeBrokers, group: str) -> str:
    """Kill the group's coordinator, wait for another and until nobody is sent to the old one; return where to ask."""
    state, witness = TopicPartition("__consumer_offsets", key_hash(group) % 50), TopicPartition(cluster.new_topic(), 0)
    old = cluster.leader(state)
    cluster.kill(old)
    cluster.new_leader(state, old)
    cluster.until(f"{old} is fenced", lambda now: len(now.isr(witness)) == 2 and len(now.replies) == 2)
    return cluster.bootstrap_without(old)


@pytest.mark.parametrize(
    "admin",
    [pytest.param(ConfluentAdmin(), id="confluent-kafka"), pytest.param(KafkaPythonAdmin(), id="kafka-python")],
)
def test_groups_and_offsets_that_were_set_or_deleted_are_so_with_the_next_coordinator(
    cluster: ThreeBrokers, admin: Admin
) -> None:
    topic, kept, deleted = cluster.new_topic(partitions=2), cluster.new_name(), cluster.new_name()
    first, second = (TopicPartition(topic, number) for number in range(2))
    for group in (kept, deleted):
        admin.commit(cluster.bootstrap, group, {first: 3, second: 5})
    others = change_coordinator(cluster, kept)
    assert admin.committed(others, kept) == {first: 3, second: 5}
    assert {kept, deleted} <= admin.groups(others)
    admin.commit(others, kept, {second: 4})
    cluster.mend()
    admin.delete(cluster.bootstrap, deleted)
    assert kept in admin.groups(cluster.bootstrap) and deleted not in admin.groups(cluster.bootstrap)
    others = change_coordinator(cluster, deleted)
    assert deleted not in admin.groups(others)
    assert admin.committed(others, deleted) == {}
    cluster.mend()
    assert admin.committed(change_coordinator(cluster, kept), kept) == {first: 3, second: 4}
