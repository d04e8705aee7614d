"""Topics are created, grown and deleted, with Kafka's answers to what does not fit."""

from __future__ import annotations

from uuid import UUID

import pytest
from cluster_images import SmallCluster, configs

from cluster.base.errors import ErrorCode
from cluster.controller import create_partitions, create_topics, delete_topics
from cluster.rpc import controller_pb2 as rpc


def two_brokers() -> SmallCluster:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    return cluster


def create(cluster: SmallCluster, *topics: rpc.NewTopic, validate_only: bool = False) -> list[rpc.TopicResult]:
    request = rpc.CreateTopicsRequest(topics=topics, validate_only=validate_only)
    decision = create_topics(cluster.image, cluster.configs, request, cluster.rng)
    cluster.apply(decision.records)
    return list(decision.reply.topics)


def topic(name: str = "orders", partitions: int = 1, factor: int = 1, **more: object) -> rpc.NewTopic:
    return rpc.NewTopic(name=name, partitions=partitions, replication_factor=factor, **more)  # type: ignore[arg-type]


def assigned(*replicas: tuple[int, ...], first: int = 0) -> list[rpc.ManualAssignment]:
    return [rpc.ManualAssignment(partition=number, replicas=nodes) for number, nodes in enumerate(replicas, first)]


def test_a_topic_is_created_with_leaders_and_full_isrs() -> None:
    cluster = two_brokers()
    [result] = create(cluster, topic(partitions=4, factor=2))
    assert (result.error_code, result.partitions, result.replication_factor) == (0, 4, 2)
    created = cluster.image.topics["orders"]
    assert created.topic_id == UUID(bytes=result.topic_id)
    for state in created.partitions:
        assert state.isr == state.replicas and state.leader == state.replicas[0] and state.leader_epoch == 0


def test_counts_that_are_not_given_come_from_the_configs() -> None:
    cluster = SmallCluster(configs(num_partitions="3", default_replication_factor="2"))
    cluster.add_brokers(1, 2)
    [result] = create(cluster, topic(partitions=-1, factor=-1))
    assert (result.partitions, result.replication_factor) == (3, 2)


def test_a_fenced_replica_is_not_in_the_first_isr() -> None:
    cluster = two_brokers()
    cluster.register(3)
    create(cluster, topic(partitions=-1, factor=-1, assignments=assigned((3, 1))))
    assert cluster.partition().isr == (1,) and cluster.partition().leader == 1


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (topic(name=""), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name=".."), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name="a b"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name="naïve"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name="x" * 250), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name="here_it.is"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (topic(name="here.it.is"), ErrorCode.TOPIC_ALREADY_EXISTS),
        (topic(partitions=0), ErrorCode.INVALID_PARTITIONS),
        (topic(partitions=-2), ErrorCode.INVALID_PARTITIONS),
        (topic(partitions=10_001), ErrorCode.POLICY_VIOLATION),
        (topic(factor=0), ErrorCode.INVALID_REPLICATION_FACTOR),
        (topic(factor=4), ErrorCode.INVALID_REPLICATION_FACTOR),
        (topic(configs=[rpc.ConfigEntry(name="no.such", value="1")]), ErrorCode.INVALID_CONFIG),
        (topic(configs=[rpc.ConfigEntry(name="retention.ms", value="soon")]), ErrorCode.INVALID_CONFIG),
        (topic(configs=[rpc.ConfigEntry(name="retention.ms")]), ErrorCode.INVALID_CONFIG),
        (topic(assignments=assigned((1,))), ErrorCode.INVALID_REQUEST),
        (topic(partitions=-1, factor=-1, assignments=assigned((1, 9))), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (topic(partitions=-1, factor=-1, assignments=assigned((1, 1))), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (topic(partitions=-1, factor=-1, assignments=assigned(())), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (topic(partitions=-1, factor=-1, assignments=assigned((1, 2), (1,))), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (topic(partitions=-1, factor=-1, assignments=assigned((1,), first=1)), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (topic(partitions=-1, factor=-1, assignments=assigned((3,))), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_a_topic_that_does_not_fit_is_refused_and_the_others_are_not(wanted: rpc.NewTopic, error: ErrorCode) -> None:
    cluster = two_brokers()
    cluster.register(3)  # fenced
    create(cluster, topic("here.it.is"))
    refused, created = create(cluster, wanted, topic("other"))
    assert ErrorCode(refused.error_code) is error, refused.error_message
    assert refused.error_message
    assert created.error_code == 0 and "other" in cluster.image.topics


def test_a_name_may_be_asked_for_once_in_a_request() -> None:
    cluster = two_brokers()
    results = create(cluster, topic("a"), topic("a"))
    assert [result.error_code for result in results] == [ErrorCode.INVALID_REQUEST] * 2
    assert not cluster.image.topics


def test_validation_writes_nothing() -> None:
    cluster = two_brokers()
    assert create(cluster, topic(), validate_only=True)[0].error_code == 0
    assert not cluster.image.topics


def test_a_topic_that_comes_again_has_another_id_and_none_of_the_old_configs() -> None:
    cluster = two_brokers()
    wanted = topic(configs=[rpc.ConfigEntry(name="retention.ms", value="5")])
    create(cluster, wanted)
    old = cluster.image.topics["orders"].topic_id
    assert cluster.image.topic_configs("orders") == {"retention.ms": "5"}
    request = rpc.DeleteTopicsRequest(topics=[rpc.DeleteTopic(name="orders")])
    cluster.apply(delete_topics(cluster.image, request).records)
    assert not cluster.image.topics and not cluster.image.topic_names
    create(cluster, topic())
    assert cluster.image.topics["orders"].topic_id != old and not cluster.image.topic_configs("orders")


def test_topics_are_deleted_by_name_or_id_each_once() -> None:
    cluster = two_brokers()
    create(cluster, topic("a"), topic("b"))
    topic_id = cluster.image.topics["b"].topic_id.bytes
    request = rpc.DeleteTopicsRequest(
        topics=[
            rpc.DeleteTopic(name="a"),
            rpc.DeleteTopic(topic_id=topic_id),
            rpc.DeleteTopic(name="b"),
            rpc.DeleteTopic(name="c"),
            rpc.DeleteTopic(topic_id=bytes(16)),
            rpc.DeleteTopic(name="a", topic_id=topic_id),
            rpc.DeleteTopic(),
        ]
    )
    decision = delete_topics(cluster.image, request)
    cluster.apply(decision.records)
    assert [ErrorCode(result.error_code).name for result in decision.reply.topics] == [
        "NONE",
        "NONE",
        "INVALID_REQUEST",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "UNKNOWN_TOPIC_ID",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
    ]
    assert not cluster.image.topics


def grow(cluster: SmallCluster, **wanted: object) -> rpc.TopicResult:
    request = rpc.CreatePartitionsRequest(topics=[rpc.NewPartitions(**wanted)])  # type: ignore[arg-type]
    decision = create_partitions(cluster.image, request, cluster.rng)
    cluster.apply(decision.records)
    return decision.reply.topics[0]


def test_a_topic_grows_with_its_own_replication_factor() -> None:
    cluster = two_brokers()
    create(cluster, topic(partitions=1, factor=2))
    assert grow(cluster, name="orders", count=3).error_code == 0
    assert grow(cluster, name="orders", count=4, assignments=assigned((2, 1))).error_code == 0
    states = cluster.image.topics["orders"].partitions
    assert [len(state.replicas) for state in states] == [2, 2, 2, 2] and states[3].leader == 2


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": "nowhere", "count": 3}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ({"name": "orders", "count": 2}, ErrorCode.INVALID_PARTITIONS),
        ({"name": "orders", "count": 1}, ErrorCode.INVALID_PARTITIONS),
        ({"name": "orders", "count": 20_000}, ErrorCode.POLICY_VIOLATION),
        ({"name": "orders", "count": 4, "assignments": assigned((1,))}, ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ({"name": "orders", "count": 3, "assignments": assigned((1, 2))}, ErrorCode.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_growth_that_does_not_fit_is_refused(wanted: dict[str, object], error: ErrorCode) -> None:
    cluster = two_brokers()
    create(cluster, topic(partitions=2))
    assert ErrorCode(grow(cluster, **wanted).error_code) is error
    assert len(cluster.image.topics["orders"].partitions) == 2
