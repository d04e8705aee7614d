"""Admin clients create, grow, configure and delete topics, and what they configure has its effect."""

from __future__ import annotations

import pytest
from admin_faces import ADMINS, ALTERING_ADMINS, Admin
from client_faces import BEGINNING, CLIENTS, Client, Confluent, Given
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from three_brokers import ThreeBrokers, replica_states

from cluster.base.ids import TopicPartition

pytestmark = pytest.mark.live


def everywhere(cluster: ThreeBrokers, topic: str, partitions: int) -> None:
    """Wait until every broker knows so many partitions; the others learn a little later than the one that was asked."""
    cluster.until(
        f"every broker knows {partitions} partitions of {topic}",
        lambda now: (
            len(now.replies) == 3
            and all(sum(state.topic == topic for state in reply.known) == partitions for reply in now.replies.values())
        ),
    )


@pytest.mark.parametrize("admin", ADMINS)
def test_a_topic_is_created_grown_and_deleted(cluster: ThreeBrokers, admin: Admin) -> None:
    topic, bootstrap = cluster.new_name(), cluster.bootstrap
    assert admin.create(bootstrap, topic, 2, 3, {"retention.ms": "12345"}) == "NONE"
    everywhere(cluster, topic, 2)
    assert admin.partition_count(bootstrap, topic) == 2
    configs = admin.configs(bootstrap, topic)
    assert configs["retention.ms"] == "12345"
    assert configs["min.insync.replicas"] == "2", "what is not set on the topic is the brokers'"
    assert configs["max.message.bytes"] == "1048588"
    assert admin.grow(bootstrap, topic, 5) == "NONE"
    everywhere(cluster, topic, 5)
    assert admin.partition_count(bootstrap, topic) == 5
    Confluent().produce(bootstrap, TopicPartition(topic, 4), [Given(b"to a new partition")])
    assert admin.delete(bootstrap, topic) == "NONE"
    everywhere(cluster, topic, 0)
    assert admin.partition_count(bootstrap, topic) == 0


@pytest.mark.parametrize("admin", ADMINS)
def test_what_cannot_be_is_refused_with_kafkas_error(cluster: ThreeBrokers, admin: Admin) -> None:
    topic, bootstrap = cluster.new_topic(partitions=2), cluster.bootstrap
    assert admin.create(bootstrap, topic, 1, 1, {}) == "TOPIC_ALREADY_EXISTS"
    assert admin.create(bootstrap, cluster.new_name(), 1, 4, {}) == "INVALID_REPLICATION_FACTOR"
    assert admin.create(bootstrap, cluster.new_name(), 1, 1, {"retention.ms": "soon"}) == "INVALID_CONFIG"
    assert admin.create(bootstrap, "no/slash", 1, 1, {}) == "INVALID_TOPIC_EXCEPTION"
    assert admin.grow(bootstrap, topic, 1) == "INVALID_PARTITIONS"
    assert admin.delete(bootstrap, cluster.new_name()) == "UNKNOWN_TOPIC_OR_PARTITION"


@pytest.mark.parametrize("admin", ALTERING_ADMINS)
def test_an_altered_config_has_its_effect_at_once(cluster: ThreeBrokers, admin: Admin) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    large = [Given(b"x" * 5000)]
    Confluent().produce(cluster.bootstrap, partition, large)
    leader = cluster.bootstrap_of(cluster.leader(partition))  # it has applied the change when it answers
    assert admin.alter(leader, partition.topic, "max.message.bytes", "2000") == "NONE"
    assert admin.configs(leader, partition.topic)["max.message.bytes"] == "2000"
    assert delivery_error(leader, partition, large) == KafkaError.MSG_SIZE_TOO_LARGE
    assert admin.alter(leader, partition.topic, "max.message.bytes", "many") == "INVALID_CONFIG"
    assert [record.given for record in Confluent().read(leader, partition, BEGINNING, 1)] == large


def delivery_error(bootstrap: str, to: TopicPartition, records: list[Given], **properties: object) -> int | None:
    errors: list[int | None] = []
    producer = Producer({"bootstrap.servers": bootstrap, "retries": 0, **properties})
    for record in records:
        producer.produce(
            to.topic,
            record.value,
            partition=to.partition,
            on_delivery=lambda error, _: errors.append(error.code() if error else None),
        )
    assert producer.flush(15) == 0
    (code,) = errors
    return code


def test_too_few_replicas_in_sync_refuse_acks_all_and_nothing_else(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic(min_insync_replicas="3")
    partition = TopicPartition(topic, 0)
    leader = cluster.leader(partition)
    victim = next(name for name in cluster.target.node_names if name != leader)
    assert delivery_error(cluster.bootstrap, partition, [Given(b"three")]) is None
    cluster.kill(victim)
    cluster.until(
        "its leader has let the dead replica go", lambda now: len(replica_states(now, partition)[leader].isr) == 2
    )
    assert delivery_error(cluster.bootstrap, partition, [Given(b"all")]) == KafkaError.NOT_ENOUGH_REPLICAS
    assert delivery_error(cluster.bootstrap, partition, [Given(b"one")], acks=1) is None
    cluster.mend()
    assert delivery_error(cluster.bootstrap, partition, [Given(b"three again")]) is None
    values = [record.value for record in Confluent().read(cluster.bootstrap, partition, BEGINNING, 3)]
    assert values == [b"three", b"one", b"three again"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_topic_that_is_written_to_comes_to_be(cluster: ThreeBrokers, client: Client) -> None:
    partition = TopicPartition(cluster.new_name(), 1)
    client.produce(cluster.bootstrap, partition, [Given(b"first", b"k")])
    assert [record.value for record in client.read(cluster.bootstrap, partition, BEGINNING, 1)] == [b"first"]
    everywhere(cluster, partition.topic, 2)
    replicas = cluster.until("it is known", lambda now: now.replicas(partition))
    assert sorted(replicas) == ["b1", "b2", "b3"]


def test_the_cluster_describes_itself(cluster: ThreeBrokers) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    found = admin.describe_cluster().result(15)
    assert found.cluster_id == cluster.target.cluster_id
    assert sorted(f"{node.host}:{node.port}" for node in found.nodes) == sorted(cluster.bootstrap.split(","))
    assert found.controller.id in [1, 2, 3]
