"""Configs change at run time, with what they mean for partitions at once; elections and producer ids on request."""

from __future__ import annotations

import pytest
from cluster_images import SmallCluster

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.controller import (
    allocate_producer_ids,
    alter_configs,
    alter_partitions,
    balance_leaders,
    elect_leaders,
    fence_broker,
    topic_settings,
)
from cluster.controller.config_changes import APPEND, DELETE, SET, SUBTRACT
from cluster.metadata import BROKER_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE
from cluster.rpc import controller_pb2 as rpc

ORDERS_TOPIC = (TOPIC_RESOURCE, "orders")
ALL_BROKERS = (BROKER_RESOURCE, "")


def two_brokers() -> SmallCluster:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2))
    return cluster


def answer(
    cluster: SmallCluster, resource: tuple[int, str], name: str, operation: int, value: str | None = None
) -> rpc.AlterConfigsResult:
    change = rpc.AlterConfig(name=name, operation=operation, value=value)
    wanted = rpc.AlterConfigsResource(resource_type=resource[0], resource_name=resource[1], configs=[change])
    decision = alter_configs(cluster.image, cluster.configs, rpc.IncrementalAlterConfigsRequest(resources=[wanted]))
    cluster.apply(decision.records)
    return decision.reply.resources[0]


def alter(
    cluster: SmallCluster, resource: tuple[int, str], name: str, operation: int, value: str | None = None
) -> ErrorCode:
    return ErrorCode(answer(cluster, resource, name, operation, value).error_code)


@pytest.mark.parametrize(
    ("broker", "name", "reason"),
    [
        ("", "num.partitions", "num.partitions cannot be changed while brokers run"),
        ("1", "min.insync.replicas", "min.insync.replicas is the same for all brokers"),
        ("", "min.insync", "unknown config 'min.insync'; did you mean min.insync.replicas?"),
    ],
)
def test_why_a_brokers_config_is_not_changed_is_said(broker: str, name: str, reason: str) -> None:
    result = answer(two_brokers(), (BROKER_RESOURCE, broker), name, SET, "2")
    assert (result.error_code, result.error_message) == (ErrorCode.INVALID_CONFIG, reason)


def test_topic_configs_are_set_appended_to_subtracted_from_and_deleted() -> None:
    cluster = two_brokers()
    steps = (
        ("retention.ms", SET, "5", {"retention.ms": "5"}),
        ("cleanup.policy", APPEND, "compact", {"retention.ms": "5", "cleanup.policy": "delete,compact"}),
        ("cleanup.policy", APPEND, "compact", {"retention.ms": "5", "cleanup.policy": "delete,compact"}),
        ("cleanup.policy", SUBTRACT, "delete", {"retention.ms": "5", "cleanup.policy": "compact"}),
        ("retention.ms", DELETE, None, {"cleanup.policy": "compact"}),
        ("leader.replication.throttled.replicas", DELETE, None, {"cleanup.policy": "compact"}),
        ("cleanup.policy", DELETE, None, {}),
    )
    for name, operation, value, expected in steps:
        assert alter(cluster, ORDERS_TOPIC, name, operation, value) is ErrorCode.NONE
        assert cluster.image.topic_configs("orders") == expected


def test_a_group_has_configs_of_its_own_within_the_coordinators_bounds() -> None:
    cluster = two_brokers()
    group, name = (GROUP_RESOURCE, "readers"), "consumer.session.timeout.ms"
    assert alter(cluster, group, name, SET, "50000") is ErrorCode.NONE
    for value in ("44999", "60001", "soon"):
        assert alter(cluster, group, name, SET, value) is ErrorCode.INVALID_CONFIG
    assert cluster.image.group_configs("readers") == {name: "50000"}, "the group need not exist"
    assert alter(cluster, group, name, DELETE, None) is ErrorCode.NONE
    assert alter(cluster, (GROUP_RESOURCE, ""), name, SET, "50000") is ErrorCode.INVALID_REQUEST


def test_a_topic_falls_back_to_what_was_set_on_all_brokers_then_to_the_static_configs() -> None:
    cluster = two_brokers()

    def retention() -> int:
        return topic_settings(cluster.image, cluster.configs, "orders").integer("log.retention.ms")

    assert retention() == 604_800_000
    alter(cluster, ALL_BROKERS, "log.retention.ms", SET, "7")
    assert retention() == 7
    alter(cluster, ORDERS_TOPIC, "retention.ms", SET, "9")
    assert retention() == 9


@pytest.mark.parametrize(
    ("resource", "name", "operation", "value", "error"),
    [
        ((TOPIC_RESOURCE, "nowhere"), "retention.ms", SET, "1", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (ORDERS_TOPIC, "retention", SET, "1", ErrorCode.INVALID_CONFIG),
        (ORDERS_TOPIC, "retention.ms", SET, "x", ErrorCode.INVALID_CONFIG),
        (ORDERS_TOPIC, "retention.ms", SET, None, ErrorCode.INVALID_CONFIG),
        (ORDERS_TOPIC, "retention.ms", APPEND, "1", ErrorCode.INVALID_CONFIG),
        (ORDERS_TOPIC, "retention.ms", 9, "1", ErrorCode.INVALID_REQUEST),
        (ALL_BROKERS, "broker.heartbeat.interval.ms", SET, "5", ErrorCode.INVALID_CONFIG),
        ((BROKER_RESOURCE, "1"), "min.insync.replicas", SET, "2", ErrorCode.INVALID_CONFIG),
        ((BROKER_RESOURCE, "8"), "log.retention.ms", SET, "2", ErrorCode.BROKER_ID_NOT_REGISTERED),
        ((3, ""), "anything", SET, "2", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_does_not_fit_is_refused(
    resource: tuple[int, str], name: str, operation: int, value: str | None, error: ErrorCode
) -> None:
    cluster = two_brokers()
    assert alter(cluster, resource, name, operation, value) is error
    assert not cluster.image.configs


def test_a_lower_minimum_empties_the_elr_because_records_are_now_committed_without_it() -> None:
    for resource in (ORDERS_TOPIC, ALL_BROKERS):
        cluster = two_brokers()
        alter(cluster, resource, "min.insync.replicas", SET, "2")
        cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(2)))
        assert cluster.partition().eligible_leader_replicas == (2,)
        alter(cluster, resource, "min.insync.replicas", SET, "1")
        assert cluster.partition().eligible_leader_replicas == ()


def elect(cluster: SmallCluster, election_type: int, **more: object) -> rpc.ElectLeadersReply:
    request = rpc.ElectLeadersRequest(election_type=election_type, **more)  # type: ignore[arg-type]
    decision = elect_leaders(cluster.image, cluster.configs, request)
    cluster.apply(decision.records)
    return decision.reply


ORDERS = [rpc.TopicPartitionName(topic="orders", partition=0)]


def test_leadership_goes_back_to_the_preferred_replica_once_it_is_in_sync() -> None:
    cluster = two_brokers()
    assert elect(cluster, 0, partitions=ORDERS).partitions[0].error_code == ErrorCode.ELECTION_NOT_NEEDED
    assert not elect(cluster, 0, all_partitions=True).partitions
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(1)))
    assert elect(cluster, 0, partitions=ORDERS).partitions[0].error_code == ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
    cluster.heartbeat(1)
    assert not balance_leaders(cluster.image, cluster.configs), "1 runs but is not in the ISR yet"
    state = cluster.partition()
    change = rpc.AlterPartitionData(
        topic_id=state.topic_id.bytes,
        leader_epoch=state.leader_epoch,
        partition_epoch=state.partition_epoch,
        new_isr=[rpc.BrokerState(broker_id=node, broker_epoch=-1) for node in (2, 1)],
    )
    request = rpc.AlterPartitionRequest(
        broker_id=2, broker_epoch=cluster.image.brokers[2].broker_epoch, partitions=[change]
    )
    cluster.apply(alter_partitions(cluster.image, cluster.configs, request).records)
    balanced = balance_leaders(cluster.image, cluster.configs)
    assert len(balanced) == 1
    assert elect(cluster, 0, partitions=ORDERS).partitions[0].error_code == ErrorCode.NONE
    assert (cluster.partition().leader, cluster.partition().leader_epoch) == (1, 2)


def test_an_unclean_election_on_request_needs_a_partition_without_leader_and_a_running_replica() -> None:
    cluster = two_brokers()
    assert elect(cluster, 1, partitions=ORDERS).partitions[0].error_code == ErrorCode.ELECTION_NOT_NEEDED
    for broker_id in (2, 1):
        cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(broker_id)))
    assert elect(cluster, 1, partitions=ORDERS).partitions[0].error_code == ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    cluster.heartbeat(2)
    assert cluster.partition().leader == NO_NODE
    assert elect(cluster, 1, partitions=ORDERS).partitions[0].error_code == ErrorCode.NONE
    assert cluster.partition().leader == 2


def test_elections_that_make_no_sense_are_refused() -> None:
    cluster = two_brokers()
    nowhere = [rpc.TopicPartitionName(topic="orders", partition=5)]
    assert elect(cluster, 0, partitions=nowhere).partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert elect(cluster, 7, partitions=ORDERS).partitions[0].error_code == ErrorCode.INVALID_REQUEST


def test_producer_ids_come_in_blocks_and_are_never_given_twice() -> None:
    cluster = two_brokers()
    starts = []
    for broker_id in (1, 2, 1):
        request = rpc.AllocateProducerIdsRequest(
            broker_id=broker_id, broker_epoch=cluster.image.brokers[broker_id].broker_epoch
        )
        decision = allocate_producer_ids(cluster.image, request)
        cluster.apply(decision.records)
        starts.append((decision.reply.producer_id_start, decision.reply.producer_id_len))
    assert starts == [(0, 1000), (1000, 1000), (2000, 1000)]
    with pytest.raises(KafkaError) as refusal:
        allocate_producer_ids(cluster.image, rpc.AllocateProducerIdsRequest(broker_id=1, broker_epoch=99))
    assert refusal.value.code is ErrorCode.STALE_BROKER_EPOCH
