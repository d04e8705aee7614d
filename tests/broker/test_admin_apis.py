"""What administrators ask: configs replaced as a whole, topics page by page, features, resources, brokers forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import LoneBroker, alone, on_broker, registration, three_replicas

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.rpc import controller_pb2, metadata_pb2

API_VERSIONS, DESCRIBE_CONFIGS, ALTER_CONFIGS, INCREMENTAL_ALTER, UPDATE_FEATURES = 18, 32, 33, 44, 57
CONSUMER_HEARTBEAT, CONSUMER_DESCRIBE = 68, 69
DESCRIBE_SCRAM, DESCRIBE_PRODUCERS = 50, 61
DESCRIBE_QUORUM, UNREGISTER_BROKER, LIST_CONFIG_RESOURCES, DESCRIBE_TOPIC_PARTITIONS = 55, 64, 74, 75
TOPIC, BROKER, GROUP = 2, 4, 32
TIMEOUT = timedelta(seconds=10)


def error_of(part: Any) -> str:
    return ErrorCode(part.error_code.value).name


def configs_of(kind: int, name: str, validate_only: bool = False, **values: str) -> dict[str, Any]:
    entries = [{"name": key.replace("_", "."), "value": value} for key, value in values.items()]
    resource = {"resource_type": kind, "resource_name": name, "configs": entries}
    return {"resources": [resource], "validate_only": validate_only}


# --- AlterConfigs --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 2])
def test_configs_that_a_replacement_does_not_name_go_back_to_their_defaults(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        client = broker.client()
        for validate_only, values, expected in (
            (False, {"retention_ms": "5", "segment_ms": "7"}, {"retention.ms": "5", "segment.ms": "7"}),
            (True, {"retention_ms": "6"}, {"retention.ms": "5", "segment.ms": "7"}),
            (False, {"retention_ms": "6"}, {"retention.ms": "6"}),
            (False, {}, {}),
        ):
            reply = await client.ask(ALTER_CONFIGS, version, configs_of(TOPIC, "orders", validate_only, **values))
            assert [error_of(result) for result in reply.responses] == ["NONE"]
            assert dict(broker.image.topic_configs("orders")) == expected

    on_broker(run)


@pytest.mark.parametrize(
    ("kind", "name", "values", "error"),
    [
        (TOPIC, "nothing", {}, "UNKNOWN_TOPIC_OR_PARTITION"),
        (TOPIC, "orders", {"retention_ms": "soon"}, "INVALID_CONFIG"),
        (TOPIC, "orders", {"retention_ms": None}, "INVALID_CONFIG"),
        (BROKER, "9", {"log_retention_ms": "5"}, "BROKER_ID_NOT_REGISTERED"),
        (BROKER, "1", {"num_partitions": "5"}, "INVALID_CONFIG"),
        (GROUP, "", {}, "INVALID_REQUEST"),
        (GROUP, "g", {"no_such_config": "5"}, "INVALID_CONFIG"),
        (77, "x", {}, "INVALID_REQUEST"),
    ],
)
def test_a_replacement_that_does_not_fit_changes_nothing(
    kind: int, name: str, values: dict[str, str], error: str
) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        before = broker.image
        reply = await broker.client().ask(ALTER_CONFIGS, 2, configs_of(kind, name, **values))
        assert [error_of(result) for result in reply.responses] == [error]
        assert broker.image is before

    on_broker(run)


def test_a_broker_level_config_without_a_topic_level_one_may_be_dynamic_too() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        change = {"name": "producer.id.expiration.ms", "config_operation": 0, "value": "5000"}
        request = {"resources": [{"resource_type": BROKER, "resource_name": "", "configs": [change]}]}
        reply = await client.ask(INCREMENTAL_ALTER, 1, {**request, "validate_only": False})
        assert error_of(reply.responses[0]) == "NONE"
        wanted = {"resource_type": BROKER, "resource_name": "1", "configuration_keys": None}
        described = await client.ask(DESCRIBE_CONFIGS, 4, {"resources": [wanted], "include_synonyms": True})
        entries = {entry.name: entry for entry in described.results[0].configs}
        assert entries["producer.id.expiration.ms"].value == "5000"
        assert not entries["producer.id.expiration.ms"].read_only and entries["num.partitions"].read_only

    on_broker(run)


# --- DescribeTopicPartitions ---------------------------------------------------------------------


async def page(broker: LoneBroker, names: tuple[str, ...], limit: int, cursor: Any = None) -> tuple[Any, Any]:
    asked = {"topics": [{"name": name} for name in names], "response_partition_limit": limit, "cursor": cursor}
    reply = await broker.client().ask(DESCRIBE_TOPIC_PARTITIONS, 0, asked)
    seen = [
        (topic.name, error_of(topic), [part.partition_index for part in topic.partitions]) for topic in reply.topics
    ]
    found = reply.next_cursor
    following = found and {"topic_name": found.topic_name, "partition_index": found.partition_index}
    return seen, following


def test_topics_are_told_page_by_page() -> None:
    async def run(broker: LoneBroker) -> None:
        for number, (name, partitions) in enumerate((("a", 3), ("b", 2), ("c", 1))):
            broker.add_topic(name, *(alone(UUID(int=number + 1)) for _ in range(partitions)))
        pages, cursor = [], None
        while not pages or cursor is not None:
            seen, cursor = await page(broker, (), 2, cursor)
            pages.append([(name, numbers) for name, _, numbers in seen])
        assert pages == [[("a", [0, 1])], [("a", [2]), ("b", [0])], [("b", [1]), ("c", [0])]]
        assert await page(broker, ("b", "a"), 3) == (
            [("a", "NONE", [0, 1, 2])],
            {"topic_name": "b", "partition_index": 0},
        )
        assert await page(broker, ("no", "b", "b", "!"), 10) == (
            [("!", "INVALID_TOPIC_EXCEPTION", []), ("b", "NONE", [0, 1]), ("no", "UNKNOWN_TOPIC_OR_PARTITION", [])],
            None,
        )
        assert await page(broker, (), 0) == ([("a", "NONE", [0])], {"topic_name": "a", "partition_index": 1})
        gone = {"topic_name": "bb", "partition_index": 1}
        assert await page(broker, (), 9, gone) == ([("c", "NONE", [0])], None), "the cursor's topic was deleted"
        wrong = {"topic_name": "a", "partition_index": -1}
        assert await page(broker, ("a",), 9, wrong) == ([("a", "INVALID_REQUEST", [])], None)

    on_broker(run)


def test_the_broker_limits_the_page_and_tells_who_is_eligible() -> None:
    async def run(broker: LoneBroker) -> None:
        states = [
            three_replicas(
                UUID(int=9), leader=NO_NODE, isr=(), eligible_leader_replicas=(NodeId(2),), last_known_elr=(NodeId(1),)
            )
        ] * 2
        broker.add_topic("orders", *states)
        asked = {"topics": [{"name": "orders"}], "response_partition_limit": 10, "cursor": None}
        reply = await broker.client().ask(DESCRIBE_TOPIC_PARTITIONS, 0, asked)
        (part,) = reply.topics[0].partitions
        assert error_of(part) == "LEADER_NOT_AVAILABLE" and part.leader_id == -1
        assert (part.eligible_leader_replicas, part.last_known_elr, part.replica_nodes) == ((2,), (1,), (1, 2, 3))
        assert reply.next_cursor.partition_index == 1

    on_broker(run, {"max.request.partition.size.limit": "1"})


# --- features ------------------------------------------------------------------------------------


def feature_update(version: int, name: str, level: int, downgrade: bool = False) -> dict[str, Any]:
    kind = {"allow_downgrade": downgrade} if version == 0 else {"upgrade_type": 2 if downgrade else 1}
    return {"timeout": TIMEOUT, "feature_updates": [{"feature": name, "max_version_level": level, **kind}]}


async def levels(broker: LoneBroker, version: int = 4) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    asked = {"client_software_name": "test", "client_software_version": "1"}
    reply = await broker.client().ask(API_VERSIONS, version, asked)
    supported = {feature.name: (feature.min_version, feature.max_version) for feature in reply.supported_features}
    return supported, {feature.name: feature.max_version_level for feature in reply.finalized_features}


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_feature_that_is_lowered_is_finalized_no_more(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        elr = "eligible.leader.replicas.version"
        supported, finalized = await levels(broker)
        assert supported[elr] == (0, 1) and supported["metadata.version"] == (25, 25)
        assert finalized[elr] == 1 and finalized["metadata.version"] == 25
        assert elr not in (await levels(broker, 3))[0], "older clients cannot read a level of 0"
        client = broker.client()
        reply = await client.ask(UPDATE_FEATURES, version, feature_update(version, elr, 0))
        assert error_of(reply) == "INVALID_UPDATE_VERSION" and "downgrade" in reply.error_message
        assert [result.feature for result in getattr(reply, "results", ())] == ([elr] if version < 2 else [])
        reply = await client.ask(UPDATE_FEATURES, version, feature_update(version, elr, 0, downgrade=True))
        assert error_of(reply) == "NONE"
        assert elr not in (await levels(broker))[1]
        assert error_of(await client.ask(UPDATE_FEATURES, version, feature_update(version, elr, 1))) == "NONE"
        assert (await levels(broker))[1][elr] == 1

    on_broker(run)


def test_a_cluster_that_was_started_without_elr_says_so() -> None:
    async def run(broker: LoneBroker) -> None:
        assert "eligible.leader.replicas.version" not in (await levels(broker))[1]

    on_broker(run, {"eligible.leader.replicas.enable": "false"})


def test_an_update_that_is_only_validated_changes_nothing() -> None:
    async def run(broker: LoneBroker) -> None:
        update = feature_update(1, "eligible.leader.replicas.version", 0, downgrade=True)
        before = broker.image
        assert error_of(await broker.client().ask(UPDATE_FEATURES, 1, {**update, "validate_only": True})) == "NONE"
        assert broker.image is before

    on_broker(run)


# --- the rest ------------------------------------------------------------------------------------


def test_resources_with_configs_are_listed_by_kind() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        configs = {(GROUP, "g2"): {"x": "1"}, (GROUP, "g1"): {"x": "1"}}
        brokers = {**broker.image.brokers, 3: replace(registration(3), fenced=True)}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, configs=configs, brokers=brokers))
        client = broker.client()

        async def listed(*kinds: int) -> list[tuple[int, str]]:
            reply = await client.ask(LIST_CONFIG_RESOURCES, 1, {"resource_types": kinds})
            return [(resource.resource_type, resource.resource_name) for resource in reply.config_resources]

        assert await listed(TOPIC) == [(TOPIC, "orders")]
        assert await listed(GROUP, BROKER, GROUP) == [(GROUP, "g1"), (GROUP, "g2"), (BROKER, "1"), (BROKER, "2")]
        assert len(await listed()) == 7, "topics, brokers twice (their loggers too), groups"
        assert error_of(await client.ask(LIST_CONFIG_RESOURCES, 1, {"resource_types": (99,)})) == "UNSUPPORTED_VERSION"
        assert (await client.ask(LIST_CONFIG_RESOURCES, 0, {})).config_resources == ()

    on_broker(run)


def test_a_broker_is_forgotten_once() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        assert error_of(await client.ask(UNREGISTER_BROKER, 0, {"broker_id": 3})) == "NONE"
        await broker.context.when_image(lambda image: 3 not in image.brokers, 1000)
        assert list(broker.image.brokers) == [1, 2]
        reply = await client.ask(UNREGISTER_BROKER, 0, {"broker_id": 3})
        assert error_of(reply) == "BROKER_ID_NOT_REGISTERED" and "3" in reply.error_message

    on_broker(run)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_without_a_controller_nobody_knows_the_quorum(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.controller_error = KafkaError(ErrorCode.REQUEST_TIMED_OUT, "nobody answered")
        reply = await broker.client().ask(DESCRIBE_QUORUM, version, {"topics": ()})
        assert error_of(reply) == "REQUEST_TIMED_OUT"

    on_broker(run)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_quorum_is_told_as_the_controller_knows_it(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.quorum = controller_pb2.DescribeQuorumReply(
            high_watermark=7,
            voters=[controller_pb2.QuorumReplica(replica_id=101, log_end_offset=8, last_fetch_timestamp_ms=3)],
            observers=[controller_pb2.QuorumReplica(replica_id=1, log_end_offset=7, last_caught_up_timestamp_ms=4)],
            nodes=[controller_pb2.QuorumNode(node_id=101, rpc=metadata_pb2.Endpoint(host="c1", port=9093))],
        )
        topics = [
            {"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}, {"partition_index": 1}]},
            {"topic_name": "orders", "partitions": [{"partition_index": 0}]},
        ]
        reply = await broker.client().ask(DESCRIBE_QUORUM, version, {"topics": topics})
        parts = [part for topic in reply.topics for part in topic.partitions]
        assert [error_of(part) for part in parts] == ["NONE"] + ["UNKNOWN_TOPIC_OR_PARTITION"] * 2
        (voter,), (observer,) = parts[0].current_voters, parts[0].observers
        assert (parts[0].high_watermark, voter.replica_id, voter.log_end_offset, observer.replica_id) == (7, 101, 8, 1)
        assert getattr(voter, "last_fetch_timestamp", 3) == 3 and getattr(observer, "last_caught_up_timestamp", 4) == 4
        if version >= 2:
            assert [(node.node_id, node.listeners[0].host, node.listeners[0].port) for node in reply.nodes] == [
                (101, "c1", 9093)
            ]

    on_broker(run)


def test_nobody_has_credentials() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        assert (await client.ask(DESCRIBE_SCRAM, 0, {"users": None})).results == ()
        reply = await client.ask(DESCRIBE_SCRAM, 0, {"users": [{"name": name} for name in ("a", "b", "b")]})
        assert [(result.user, error_of(result)) for result in reply.results] == [
            ("a", "RESOURCE_NOT_FOUND"),
            ("b", "DUPLICATE_RESOURCE"),
        ]

    on_broker(run)


def test_a_follower_tells_of_the_producers_in_its_own_log() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9), leader=2))
        asked = {"topics": [{"name": "orders", "partition_indexes": (0,)}, {"name": "no", "partition_indexes": (0,)}]}
        reply = await broker.client().ask(DESCRIBE_PRODUCERS, 0, asked)
        assert [error_of(topic.partitions[0]) for topic in reply.topics] == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]

    on_broker(run)


@pytest.mark.parametrize("version", [0, 1])
def test_without_the_feature_there_are_no_groups_of_the_new_protocol(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        update = feature_update(1, "group.version", 0, downgrade=True)
        assert error_of(await client.ask(UPDATE_FEATURES, 1, update)) == "NONE"
        reply = await client.ask(CONSUMER_HEARTBEAT, version, {"group_id": "g", "member_id": "m", "member_epoch": 0})
        assert error_of(reply) == "UNSUPPORTED_VERSION"
        described = await client.ask(CONSUMER_DESCRIBE, version, {"group_ids": ("g",)})
        assert error_of(described.groups[0]) == "UNSUPPORTED_VERSION"

    on_broker(run)


def test_what_is_set_on_a_broker_at_run_time_is_in_force_there_and_gone_when_it_is_deleted() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        name = "transaction.partition.verification.enable"
        for resource, operation, value, expected in (
            ("", 0, "false", False),
            ("1", 0, "true", True),
            ("1", 1, None, False),
            ("", 1, None, True),
        ):
            change = {"name": name, "config_operation": operation, "value": value}
            request = {"resources": [{"resource_type": BROKER, "resource_name": resource, "configs": [change]}]}
            reply = await client.ask(INCREMENTAL_ALTER, 1, {**request, "validate_only": False})
            assert error_of(reply.responses[0]) == "NONE"
            assert broker.replicas.configs.flag(name) is expected

    on_broker(run)
