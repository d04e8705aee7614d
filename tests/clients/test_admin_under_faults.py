"""What administrators ask for holds while a broker is killed and started again: moves, elections, configs, offsets.

Two admin clients, confluent-kafka's and kafka-python's, where both have the call; what only kafka-python's has, Kafka's
own tools do as well (`test_java_under_faults.py`). Not here: quotas, which neither has (`test_quotas_under_faults.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Protocol

import confluent_kafka
import kafka
import pytest
from client_faces import BEGINNING, Confluent, Given
from confluent_kafka import ElectionType
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
)
from kafka.admin import KafkaAdminClient, UpdateFeatureType
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition

pytestmark = pytest.mark.live

PATIENCE_S = 20.0
TIMEOUT_MS = 15_000
FEATURE = "eligible.leader.replicas.version"


class Admin(Protocol):
    """What both clients can do beyond topics."""

    def elect_preferred(self, bootstrap: str, partition: TopicPartition) -> None: ...
    def set_configs(self, bootstrap: str, kind: str, name: str, values: Mapping[str, str]) -> None: ...
    def configs(self, bootstrap: str, kind: str, name: str) -> Mapping[str, str]: ...
    def offsets(self, bootstrap: str, partition: TopicPartition) -> list[int]:
        """The earliest, the latest, and the one with the greatest timestamp."""

    def delete_records(self, bootstrap: str, partition: TopicPartition, before: int) -> int:
        """Delete what lies before an offset; return the low watermark."""


class ConfluentAdmin:
    """confluent-kafka's AdminClient."""

    def elect_preferred(self, bootstrap: str, partition: TopicPartition) -> None:
        wanted = confluent_kafka.TopicPartition(*partition)
        client = AdminClient({"bootstrap.servers": bootstrap})
        results = client.elect_leaders(ElectionType.PREFERRED, [wanted]).result(PATIENCE_S)
        assert list(results.values()) == [None]

    def set_configs(self, bootstrap: str, kind: str, name: str, values: Mapping[str, str]) -> None:
        resource = ConfigResource(ConfigResource.Type[kind], name)
        for key, value in values.items():
            resource.add_incremental_config(ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET))
        client = AdminClient({"bootstrap.servers": bootstrap})
        client.incremental_alter_configs([resource])[resource].result(PATIENCE_S)

    def configs(self, bootstrap: str, kind: str, name: str) -> Mapping[str, str]:
        resource = ConfigResource(ConfigResource.Type[kind], name)
        client = AdminClient({"bootstrap.servers": bootstrap})
        found = client.describe_configs([resource])[resource].result(PATIENCE_S)
        return {key: entry.value for key, entry in found.items()}

    def offsets(self, bootstrap: str, partition: TopicPartition) -> list[int]:
        client, key = AdminClient({"bootstrap.servers": bootstrap}), confluent_kafka.TopicPartition(*partition)
        specs = (OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp())
        return [client.list_offsets({key: spec})[key].result(PATIENCE_S).offset for spec in specs]

    def delete_records(self, bootstrap: str, partition: TopicPartition, before: int) -> int:
        key = confluent_kafka.TopicPartition(*partition, before)
        client = AdminClient({"bootstrap.servers": bootstrap})
        low_watermark: int = client.delete_records([key])[key].result(PATIENCE_S).low_watermark
        return low_watermark


class KafkaPythonAdmin:
    """kafka-python's KafkaAdminClient."""

    def elect_preferred(self, bootstrap: str, partition: TopicPartition) -> None:
        python_admin(bootstrap, lambda client: client.elect_leaders(0, {partition.topic: [partition.partition]}))

    def set_configs(self, bootstrap: str, kind: str, name: str, values: Mapping[str, str]) -> None:
        resource = kafka.admin.ConfigResource(kind, name, dict(values))
        found = python_admin(bootstrap, lambda client: client.alter_configs([resource]))
        assert found[kind.lower()][name] == "OK", found

    def configs(self, bootstrap: str, kind: str, name: str) -> Mapping[str, str]:
        resource = kafka.admin.ConfigResource(kind, name)
        found = python_admin(bootstrap, lambda client: client.describe_configs([resource], config_filter="all"))
        return {key: entry["value"] for key, entry in found[kind.lower()][name].items()}

    def offsets(self, bootstrap: str, partition: TopicPartition) -> list[int]:
        key = kafka.TopicPartition(*partition)
        found = [
            python_admin(bootstrap, lambda client, time=time: client.list_partition_offsets({key: time}))
            for time in (-2, -1, -3)
        ]
        return [answer[key].offset for answer in found]

    def delete_records(self, bootstrap: str, partition: TopicPartition, before: int) -> int:
        key = kafka.TopicPartition(*partition)
        found = python_admin(bootstrap, lambda client: client.delete_records({key: before}))
        low_watermark: int = found[key]["low_watermark"]
        return low_watermark


def python_admin(bootstrap: str, call: Callable[[Any], Any]) -> Any:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)) as client:
        return call(client)


ADMINS = [
    pytest.param(ConfluentAdmin(), id="confluent-kafka"),
    pytest.param(KafkaPythonAdmin(), id="kafka-python"),
]


def in_sync(cluster: ThreeBrokers, partition: TopicPartition, *names: str) -> None:
    cluster.until(f"{partition} is in sync on {names}", lambda now: sorted(now.isr(partition)) == sorted(names))


def on_every_broker(cluster: ThreeBrokers, partition: TopicPartition, replicas: list[int]) -> None:
    """Wait until every broker's metadata has these replicas, and no others."""

    def is_known(reply: Any) -> bool:
        states = [s for s in reply.known if (s.topic, s.partition) == (partition.topic, partition.partition)]
        return bool(states) and list(states[0].replicas) == replicas

    cluster.until(
        f"all know that {partition} is on {replicas}",
        lambda now: len(now.replies) == 3 and all(is_known(reply) for reply in now.replies.values()),
    )


def kill_and_fence(cluster: ThreeBrokers, name: str) -> None:
    """Kill a broker and wait until no client is sent to it any more."""
    witness = TopicPartition(cluster.new_topic(), 0)
    cluster.kill(name)
    cluster.until(f"{name} is fenced", lambda now: len(now.isr(witness)) == 2 and len(now.replies) == 2)


def test_a_move_waits_for_a_dead_broker_ends_when_it_is_back_and_can_be_taken_back(cluster: ThreeBrokers) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    key = kafka.TopicPartition(*partition)
    others = cluster.bootstrap_without("b3")
    records = [Given(b"%d" % number) for number in range(50)]
    Confluent().produce(cluster.bootstrap, partition, records)

    def move(to: list[int] | None) -> Any:
        return python_admin(others, lambda client: client.alter_partition_reassignments({key: to}))[key]

    def moving() -> Any:
        return python_admin(others, lambda client: client.list_partition_reassignments()).get(key)

    assert move([1, 2]) is None
    on_every_broker(cluster, partition, [1, 2])
    kill_and_fence(cluster, "b3")
    assert move([3, 1]) is None
    assert moving() == {"replicas": [3, 1, 2], "adding_replicas": [3], "removing_replicas": [2]}
    assert move(None) is None
    assert moving() is None
    assert move(None) is kafka.errors.NoReassignmentInProgressError
    assert move([3, 1]) is None
    cluster.mend()
    in_sync(cluster, partition, "b1", "b3")
    on_every_broker(cluster, partition, [3, 1])
    assert moving() is None
    assert [record.given for record in Confluent().read(cluster.bootstrap, partition, BEGINNING, 50)] == records
    assert not (cluster.target.directory("b2") / str(partition)).exists()
    assert move([1, 2, 3]) is None
    in_sync(cluster, partition, "b1", "b2", "b3")
    assert len(cluster.stored_batches(partition)) > 0


@pytest.mark.parametrize("admin", ADMINS)
def test_leadership_returns_to_a_broker_that_was_killed_when_it_is_asked_for(
    cluster: ThreeBrokers, admin: Admin
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    first = cluster.leader(partition)
    cluster.kill(first)
    other = cluster.new_leader(partition, first)
    Confluent().produce(cluster.bootstrap_of(other), partition, [Given(b"without it")])
    cluster.mend()
    admin.elect_preferred(cluster.bootstrap, partition)
    cluster.until("the first leader leads again", lambda now: now.leader(partition) == first)
    assert [record.value for record in Confluent().read(cluster.bootstrap, partition, BEGINNING, 1)] == [b"without it"]


@pytest.mark.parametrize("admin", ADMINS)
def test_configs_that_change_while_a_broker_is_down_hold_when_it_is_back(cluster: ThreeBrokers, admin: Admin) -> None:
    topic = cluster.new_topic()
    kill_and_fence(cluster, "b2")
    others = cluster.bootstrap_without("b2")
    admin.set_configs(others, "TOPIC", topic, {"retention.ms": "123456"})
    admin.set_configs(others, "BROKER", "1", {"log.retention.ms": "7777777"})
    cluster.mend()
    assert admin.configs(cluster.bootstrap_of("b2"), "TOPIC", topic)["retention.ms"] == "123456"
    assert admin.configs(cluster.bootstrap_of("b1"), "BROKER", "1")["log.retention.ms"] == "7777777"
    assert admin.configs(cluster.bootstrap_of("b2"), "BROKER", "2")["log.retention.ms"] == "604800000"
    admin.set_configs(cluster.bootstrap_of("b1"), "BROKER", "1", {"log.retention.ms": "604800000"})


@pytest.mark.parametrize("admin", ADMINS)
def test_offsets_are_the_same_before_and_after_a_leader_is_killed(cluster: ThreeBrokers, admin: Admin) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    times = [1_700_000_000_000 + offset for offset in (0, 5, 9, 3)]
    records = [Given(b"%d" % number, timestamp_ms=time) for number, time in enumerate(times)]
    Confluent().produce(cluster.bootstrap, partition, records)
    assert admin.offsets(cluster.bootstrap, partition) == [0, 4, 2]
    old = cluster.leader(partition)
    cluster.kill(old)
    cluster.new_leader(partition, old)
    cluster.until("everything is committed again", lambda now: now.state(partition) is not None)
    assert admin.offsets(cluster.bootstrap_without(old), partition) == [0, 4, 2]


@pytest.mark.parametrize("admin", ADMINS)
def test_records_that_are_deleted_while_a_replica_is_dead_are_gone_from_it_when_it_is_back(
    cluster: ThreeBrokers, admin: Admin
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    records = [Given(b"%d" % number) for number in range(10)]
    for record in records:
        Confluent().produce(cluster.bootstrap, partition, [record])
    first = cluster.leader(partition)
    kill_and_fence(cluster, first)
    others = cluster.bootstrap_without(first)
    assert admin.delete_records(others, partition, 6) == 6
    cluster.mend()
    admin.elect_preferred(cluster.bootstrap, partition)
    cluster.until("the first leader leads again", lambda now: now.leader(partition) == first)
    assert admin.offsets(cluster.bootstrap, partition)[:2] == [6, 10]
    read = Confluent().read(cluster.bootstrap, partition, BEGINNING, 4)
    assert [record.given for record in read] == records[6:]


def test_the_quorum_features_topics_and_resources_are_told_by_any_broker(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic(partitions=3)
    others = cluster.bootstrap_without("b1")

    def ask(name: str, *words: Any, **more: Any) -> Any:
        return python_admin(others, lambda client: getattr(client, name)(*words, **more))

    before = ask("describe_metadata_quorum")
    assert {voter["replica_id"] for voter in quorum_of(before)["current_voters"]} == {1, 2, 3}
    kill_and_fence(cluster, "b1")
    first = ask("describe_topic_partitions", [topic], response_partition_limit=2)
    assert [part["partition_index"] for part in first["topics"][0]["partitions"]] == [0, 1]
    second = ask("describe_topic_partitions", [topic], response_partition_limit=2, cursor=first["next_cursor"])
    assert [part["partition_index"] for part in second["topics"][0]["partitions"]] == [2]
    assert ask("update_features", {FEATURE: (UpdateFeatureType.SAFE_DOWNGRADE, 0)})[FEATURE] == "OK"
    assert "finalized" not in ask("describe_features").get(FEATURE, {})
    assert ask("update_features", {FEATURE: 1})[FEATURE] == "OK"
    assert ask("describe_features")[FEATURE]["finalized"] == (1, 1)
    assert topic in ask("list_config_resources", ["TOPIC"])["topic"]
    after = quorum_of(ask("describe_metadata_quorum"))
    assert after["leader_id"] in (2, 3) and after["leader_epoch"] >= quorum_of(before)["leader_epoch"]
    cluster.mend()


def quorum_of(answer: Any) -> Any:
    return answer["topics"][0]["partitions"][0]
