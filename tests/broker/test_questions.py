"""Everything that is neither produced nor fetched: metadata, offsets, topics, configs, producer ids."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import EPOCH_MS, LoneBroker, alone, batch, on_broker, registration, three_replicas, turns

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId

LIST_OFFSETS, METADATA, FIND_COORDINATOR, API_VERSIONS = 2, 3, 10, 18
CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH = 19, 20, 22, 23
DESCRIBE_CONFIGS, CREATE_PARTITIONS, ELECT_LEADERS, ALTER_CONFIGS, DESCRIBE_CLUSTER = 32, 37, 43, 44, 60
TIMEOUT = timedelta(seconds=10)
TOPIC, BROKER = 2, 4


def error_of(part: Any) -> str:
    return ErrorCode(part.error_code.value).name


def append(broker: LoneBroker, topic: str, *values: bytes, timestamp_ms: int = EPOCH_MS) -> None:
    records = memoryview(bytearray(batch(*values, timestamp_ms=timestamp_ms)))
    broker.partition(topic).append(records, 1, broker.world.clock.monotonic_ms(), broker.world.clock.wall_ms())


# --- Metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(14))
def test_metadata_tells_who_leads_what_in_every_version(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = broker.add_topic("orders", three_replicas(UUID(int=9), leader_epoch=4))
        brokers = {**broker.image.brokers, 3: replace(registration(3), fenced=True)}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, brokers=brokers))
        client = broker.client()
        for _ in range(2):  # the second time from memory
            reply = await client.ask(METADATA, version, {"topics": () if version == 0 else None})
            assert [(b.node_id, b.host, b.port) for b in reply.brokers] == [(1, "host-1", 9091), (2, "host-2", 9092)]
            (topic,) = reply.topics
            (partition,) = topic.partitions
            assert (topic.name, error_of(topic), partition.leader_id) == ("orders", "NONE", 1)
            assert partition.replica_nodes == ((1, 2) if version == 0 else (1, 2, 3))
            assert getattr(partition, "offline_replicas", (3,)) == (3,)
            assert getattr(partition, "leader_epoch", 4) == 4
            assert getattr(topic, "topic_id", topic_id) == topic_id
            assert getattr(reply, "controller_id", 1) == 1
            assert getattr(reply, "cluster_id", "a-cluster") == "a-cluster"

    on_broker(run)


def test_metadata_is_new_when_the_cluster_has_changed() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9)))
        client = broker.client()
        for leader in (1, 2):
            if leader == 2:
                broker.change_partition("orders", 0, leader=NodeId(2), leader_epoch=1)
            reply = await client.ask(METADATA, 12, {"topics": None})
            assert reply.topics[0].partitions[0].leader_id == leader

    on_broker(run)


def test_no_topics_and_all_topics_are_different_questions() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        reply = await broker.client().ask(METADATA, 1, {"topics": ()})
        assert reply.topics == ()

    on_broker(run)


def test_a_partition_without_a_live_leader_has_none() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", three_replicas(UUID(int=9), leader=3))
        brokers = {**broker.image.brokers, 3: replace(registration(3), fenced=True)}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, brokers=brokers))
        reply = await broker.client().ask(METADATA, 12, {"topics": None})
        partition = reply.topics[0].partitions[0]
        assert (error_of(partition), partition.leader_id) == ("LEADER_NOT_AVAILABLE", -1)

    on_broker(run)


def test_topics_are_found_by_id() -> None:
    async def run(broker: LoneBroker) -> None:
        topic_id = broker.add_topic("orders")
        wanted = [{"topic_id": topic_id, "name": None}, {"topic_id": UUID(int=77), "name": None}]
        reply = await broker.client().ask(METADATA, 12, {"topics": wanted})
        assert [(topic.name, error_of(topic)) for topic in reply.topics] == [
            ("orders", "NONE"),
            (None, "UNKNOWN_TOPIC_ID"),
        ]

    on_broker(run)


def test_a_missing_topic_is_created_once_when_the_client_allows_it() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        question = {"topics": [{"name": "new", "topic_id": None}], "allow_auto_topic_creation": True}
        refusal = {**question, "allow_auto_topic_creation": False}
        reply = await client.ask(METADATA, 12, refusal)
        assert error_of(reply.topics[0]) == "UNKNOWN_TOPIC_OR_PARTITION"
        assert broker.calls == []
        for _ in range(3):
            client.send(METADATA, 12, question)
        await turns()
        assert [error_of(reply.topics[0]) for reply in client.replies()] == ["UNKNOWN_TOPIC_OR_PARTITION"] * 3
        await broker.context.when_image(lambda image: "new" in image.topics, 1000)
        reply = await client.ask(METADATA, 12, question)
        assert (error_of(reply.topics[0]), len(reply.topics[0].partitions)) == ("NONE", 3)
        assert broker.calls == ["CreateTopics"]

    on_broker(run, {"num.partitions": "3"})


def test_a_creation_that_failed_is_tried_again_when_the_client_asks_again() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        broker.controller_error = KafkaError(ErrorCode.REQUEST_TIMED_OUT, "no controller")
        for _ in range(2):
            await client.ask(METADATA, 12, {"topics": [{"name": "new", "topic_id": None}]})
            await asyncio.sleep(1)
        assert broker.calls == ["CreateTopics"] * 2

    on_broker(run)


def test_illegal_names_and_a_cluster_that_forbids_it_create_nothing() -> None:
    async def run(broker: LoneBroker) -> None:
        names = ("new", "not legal", "..", "x" * 250)
        question = {"topics": [{"name": name, "topic_id": None} for name in names]}
        reply = await broker.client().ask(METADATA, 12, question)
        errors = [error_of(topic) for topic in reply.topics]
        assert errors == ["UNKNOWN_TOPIC_OR_PARTITION"] + ["INVALID_TOPIC_EXCEPTION"] * 3
        assert broker.calls == []

    on_broker(run, {"auto.create.topics.enable": "false"})


# --- offsets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, 12))
def test_offsets_are_found_at_both_ends_and_by_time(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        for number in range(5):
            append(broker, "orders", b"x", timestamp_ms=EPOCH_MS + (number if number != 2 else 100) * 1000)
        expected = {-1: 5, -2: 0, EPOCH_MS + 500: 1, EPOCH_MS + 3500: 2, EPOCH_MS + 200_000: -1}
        if version >= 7:
            expected[-3] = 2
        client = broker.client()
        for timestamp, offset in expected.items():
            asked = {"replica_id": -1, "topics": [{"name": "orders", "partitions": [{"timestamp": timestamp}]}]}
            reply = await client.ask(LIST_OFFSETS, version, asked)
            (part,) = reply.topics[0].partitions
            assert (error_of(part), part.offset) == ("NONE", offset), timestamp
        unknown = {"replica_id": -1, "topics": [{"name": "orders", "partitions": [{"timestamp": -7}]}]}
        assert error_of((await client.ask(LIST_OFFSETS, version, unknown)).topics[0].partitions[0]) == (
            "UNSUPPORTED_VERSION"
        )

    on_broker(run)


def test_offsets_of_strange_partitions_are_errors_of_theirs() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("mine", alone(UUID(int=5), leader_epoch=3))
        broker.add_topic("theirs", three_replicas(UUID(int=6), leader=2))
        asked = [
            ("mine", [{"timestamp": -1, "current_leader_epoch": 1}]),
            ("theirs", [{"timestamp": -1}]),
            ("nothing", [{"timestamp": -1}]),
            ("mine", [{"timestamp": -1, "partition_index": 3}, {"timestamp": -2, "partition_index": 3}]),
        ]
        topics = [{"name": name, "partitions": parts} for name, parts in asked]
        reply = await broker.client().ask(LIST_OFFSETS, 7, {"replica_id": -1, "topics": topics})
        errors = [error_of(part) for topic in reply.topics for part in topic.partitions]
        assert errors == [
            "FENCED_LEADER_EPOCH",
            "NOT_LEADER_OR_FOLLOWER",
            "UNKNOWN_TOPIC_OR_PARTITION",
            "INVALID_REQUEST",
            "INVALID_REQUEST",
        ]

    on_broker(run)


@pytest.mark.parametrize("version", range(2, 5))
def test_the_end_of_an_epoch_is_known(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders", alone(UUID(int=9)))
        append(broker, "orders", b"a", b"b")
        broker.change_partition("orders", 0, leader_epoch=5)
        append(broker, "orders", b"c")
        parts = [{"leader_epoch": epoch, "current_leader_epoch": 5} for epoch in (0, 3, 5, 9)]
        asked = {"topics": [{"topic": "orders", "partitions": parts}, {"topic": "nothing", "partitions": parts[:1]}]}
        reply = await broker.client().ask(OFFSET_FOR_LEADER_EPOCH, version, asked)
        found = [(error_of(part), part.leader_epoch, part.end_offset) for part in reply.topics[0].partitions]
        assert found == [("NONE", 0, 2), ("NONE", 0, 2), ("NONE", 5, 3), ("NONE", -1, -1)]
        assert error_of(reply.topics[1].partitions[0]) == "UNKNOWN_TOPIC_OR_PARTITION"

    on_broker(run)


# --- topics --------------------------------------------------------------------------------------


def new_topic(name: str, **fields: Any) -> Any:
    return {"name": name, "num_partitions": 2, "replication_factor": 1, "assignments": (), "configs": (), **fields}


@pytest.mark.parametrize("version", range(2, 8))
def test_a_topic_that_was_created_is_in_the_next_metadata(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        configs = [{"name": "retention.ms", "value": "1000"}]
        asked = {"topics": [new_topic("a", configs=configs), new_topic("b", replication_factor=9)], "timeout": TIMEOUT}
        reply = await client.ask(CREATE_TOPICS, version, asked)
        assert [error_of(topic) for topic in reply.topics] == ["NONE", "INVALID_REPLICATION_FACTOR"]
        metadata = await client.ask(METADATA, 12, {"topics": None})
        assert [(topic.name, len(topic.partitions)) for topic in metadata.topics] == [("a", 2)]
        if version >= 5:
            made = {entry.name: (entry.value, entry.config_source) for entry in reply.topics[0].configs}
            assert made["retention.ms"] == ("1000", 1)
            assert made["cleanup.policy"] == ("delete", 5)
            assert (reply.topics[0].num_partitions, reply.topics[0].replication_factor) == (2, 1)
        if version >= 7:
            assert reply.topics[0].topic_id == metadata.topics[0].topic_id

    on_broker(run)


def test_validating_creates_nothing() -> None:
    async def run(broker: LoneBroker) -> None:
        asked = {"topics": [new_topic("a")], "timeout": TIMEOUT, "validate_only": True}
        reply = await broker.client().ask(CREATE_TOPICS, 7, asked)
        assert (error_of(reply.topics[0]), reply.topics[0].topic_id) == ("NONE", None)
        assert broker.image.topics == {}

    on_broker(run)


@pytest.mark.parametrize("version", range(1, 7))
def test_a_deleted_topic_is_gone_from_the_next_metadata(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        first, second = broker.add_topic("a"), broker.add_topic("b")
        client = broker.client()
        if version < 6:
            asked: Any = {"topic_names": ("a", "nothing")}
        else:
            by_id = {"name": None, "topic_id": second}
            asked = {"topics": [{"name": "a"}, {"name": "nothing"}, by_id, {"name": None, "topic_id": UUID(int=99)}]}
        reply = await client.ask(DELETE_TOPICS, version, {**asked, "timeout": TIMEOUT})
        errors = [error_of(topic) for topic in reply.responses]
        assert errors == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"] + ["NONE", "UNKNOWN_TOPIC_ID"] * (version == 6)
        metadata = await client.ask(METADATA, 12, {"topics": None})
        assert [topic.name for topic in metadata.topics] == (["b"] if version < 6 else [])
        if version == 6:
            assert reply.responses[0].topic_id == first
            assert [topic.name for topic in reply.responses[2:]] == ["b", None]

    on_broker(run)


@pytest.mark.parametrize("version", range(4))
def test_partitions_are_added_and_never_taken_away(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        broker.add_topic("b")
        topics = [{"name": "a", "count": 3, "assignments": None}, {"name": "b", "count": 1, "assignments": None}]
        client = broker.client()
        reply = await client.ask(CREATE_PARTITIONS, version, {"topics": topics, "timeout": TIMEOUT})
        assert [error_of(result) for result in reply.results] == ["NONE", "INVALID_PARTITIONS"]
        metadata = await client.ask(METADATA, 12, {"topics": None})
        assert [len(topic.partitions) for topic in metadata.topics] == [3, 1]

    on_broker(run)


@pytest.mark.parametrize("version", range(3))
def test_leaders_are_elected_on_request(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a", three_replicas(UUID(int=9), leader=2))
        broker.add_topic("b")
        named = [{"topic": "a", "partitions": (0,)}, {"topic": "b", "partitions": (0, 4)}]
        asked = {"election_type": 0, "topic_partitions": named, "timeout": TIMEOUT}
        reply = await broker.client().ask(ELECT_LEADERS, version, asked)
        found = {
            topic.topic: [error_of(part) for part in topic.partition_result] for topic in reply.replica_election_results
        }
        assert found == {"a": ["NONE"], "b": ["ELECTION_NOT_NEEDED", "UNKNOWN_TOPIC_OR_PARTITION"]}
        assert await broker.context.when_image(lambda image: image.topics["a"].partitions[0].leader == 1, 100)

    on_broker(run)


def test_a_controller_that_is_away_is_an_error_of_every_request() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        broker.controller_error = KafkaError(ErrorCode.REQUEST_TIMED_OUT, "no controller")
        client = broker.client()
        asked: list[tuple[int, int, Any, str]] = [
            (CREATE_TOPICS, 7, {"topics": [new_topic("b")], "timeout": TIMEOUT}, "topics"),
            (DELETE_TOPICS, 6, {"topics": [{"name": "a"}], "timeout": TIMEOUT}, "responses"),
            (CREATE_PARTITIONS, 3, {"topics": [{"name": "a", "count": 3, "assignments": None}]}, "results"),
            (ALTER_CONFIGS, 1, alteration(TOPIC, "a", ("retention.ms", 0, "5")), "responses"),
        ]
        for api_key, version, fields, part in asked:
            reply = await client.ask(api_key, version, fields)
            assert [error_of(result) for result in getattr(reply, part)] == ["REQUEST_TIMED_OUT"]
        reply = await client.ask(ELECT_LEADERS, 2, {"topic_partitions": None, "timeout": TIMEOUT})
        assert error_of(reply) == "REQUEST_TIMED_OUT"
        reply = await client.ask(INIT_PRODUCER_ID, 4, {"transactional_id": None})
        assert error_of(reply) == "COORDINATOR_LOAD_IN_PROGRESS"

    on_broker(run)


# --- configs -------------------------------------------------------------------------------------


def alteration(resource_type: int, name: str, *changes: tuple[str, int, str | None]) -> Any:
    configs = [{"name": key, "config_operation": operation, "value": value} for key, operation, value in changes]
    return {"resources": [{"resource_type": resource_type, "resource_name": name, "configs": configs}]}


async def described(broker: LoneBroker, resource_type: int, name: str, version: int = 4, **more: Any) -> Any:
    resource = {"resource_type": resource_type, "resource_name": name, "configuration_keys": None, **more}
    asked = {"resources": [resource], "include_synonyms": True, "include_documentation": True}
    (result,) = (await broker.client().ask(DESCRIBE_CONFIGS, version, asked)).results
    return result


@pytest.mark.parametrize("version", [0, 1])
def test_a_config_that_was_altered_is_described_with_where_it_comes_from(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        client = broker.client()
        for resource_type, name, change in (
            (BROKER, "", ("min.insync.replicas", 0, "2")),
            (TOPIC, "a", ("min.insync.replicas", 0, "3")),
        ):
            reply = await client.ask(ALTER_CONFIGS, version, alteration(resource_type, name, change))
            assert [error_of(result) for result in reply.responses] == ["NONE"]
        result = await described(broker, TOPIC, "a", configuration_keys=("min.insync.replicas",))
        (entry,) = result.configs
        assert (entry.value, entry.config_source, entry.config_type, entry.read_only) == ("3", 1, 3, False)
        synonyms = [(synonym.name, synonym.value, synonym.source) for synonym in entry.synonyms]
        name = "min.insync.replicas"
        assert synonyms == [(name, "3", 1), (name, "2", 3), (name, "4", 4), (name, "1", 5)]
        await client.ask(ALTER_CONFIGS, version, alteration(TOPIC, "a", (name, 1, None)))
        (entry,) = (await described(broker, TOPIC, "a", configuration_keys=(name,))).configs
        assert (entry.value, entry.config_source) == ("2", 3)

    on_broker(run, {"min.insync.replicas": "4"})


def test_what_is_not_there_cannot_be_described_or_altered() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("a")
        assert error_of(await described(broker, TOPIC, "nothing")) == "UNKNOWN_TOPIC_OR_PARTITION"
        assert error_of(await described(broker, BROKER, "2")) == "INVALID_REQUEST"
        assert error_of(await described(broker, 16, "x")) == "INVALID_REQUEST"
        reply = await broker.client().ask(ALTER_CONFIGS, 1, alteration(TOPIC, "a", ("retention.msec", 0, "5")))
        assert error_of(reply.responses[0]) == "INVALID_CONFIG"
        assert "retention.ms" in reply.responses[0].error_message

    on_broker(run)


@pytest.mark.parametrize("version", range(1, 5))
def test_a_broker_describes_itself(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        result = await described(broker, BROKER, "1", version)
        entries = {entry.name: entry for entry in result.configs}
        assert entries["num.partitions"].value == "1"
        assert entries["num.partitions"].read_only
        assert entries["log.retention.ms"].config_source == 5
        assert not entries["log.retention.ms"].read_only

    on_broker(run)


# --- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(7))
def test_producer_ids_are_unique_and_come_from_blocks(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        for _ in range(1500):
            client.send(INIT_PRODUCER_ID, version, {"transactional_id": None})
        await broker.context.when_image(lambda image: image.next_producer_id >= 2000, 1000)
        await turns()
        replies = client.replies()
        assert [error_of(reply) for reply in replies] == ["NONE"] * len(replies)
        ids = [reply.producer_id for reply in replies]
        assert len(ids) == 1500 == len({*ids})
        assert {reply.producer_epoch for reply in replies} == {0}
        assert broker.calls == ["AllocateProducerIds"] * 2
        reply = await client.ask(INIT_PRODUCER_ID, version, {"transactional_id": "t"})
        assert (error_of(reply), reply.producer_id) == ("NOT_COORDINATOR", -1)

    broker = on_broker(run)
    assert broker.image.next_producer_id == 2000


@pytest.mark.parametrize("version", range(7))
def test_the_first_who_asks_for_a_coordinator_has_the_offsets_topic_created(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        asked = {"key": "g"} if version < 4 else {"coordinator_keys": ("g", "h")}
        reply = await broker.client().ask(FIND_COORDINATOR, version, asked)
        answers = [reply] if version < 4 else reply.coordinators
        assert [error_of(answer) for answer in answers] == ["NONE"] * (1 if version < 4 else 2)
        partitions = broker.image.topics["__consumer_offsets"].partitions
        assert len(partitions) == 50 and {len(partition.replicas) for partition in partitions} == {3}
        # "g".hashCode() is 103 in Java, "h".hashCode() is 104.
        assert [answer.node_id for answer in answers] == [partitions[n].leader for n in (3, 4)][: len(answers)]
        assert answers[0].port == 9090 + answers[0].node_id
        assert broker.image.topic_configs("__consumer_offsets")["cleanup.policy"] == "compact"

    on_broker(run)


@pytest.mark.parametrize("version", range(1, 7))
def test_a_transactional_id_is_coordinated_by_the_leader_of_its_partition(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        asked = {"key": "t", "key_type": 1} if version < 4 else {"coordinator_keys": ("t",), "key_type": 1}
        reply = await broker.client().ask(FIND_COORDINATOR, version, asked)
        answer = reply if version < 4 else reply.coordinators[0]
        assert error_of(answer) == "NONE"
        partitions = broker.image.topics["__transaction_state"].partitions
        assert answer.node_id == partitions[16].leader, '"t".hashCode() is 116 in Java'
        asked = {"key": "t", "key_type": 3} if version < 4 else {"coordinator_keys": ("t",), "key_type": 3}
        reply = await broker.client().ask(FIND_COORDINATOR, version, asked)
        assert error_of(reply if version < 4 else reply.coordinators[0]) == "INVALID_REQUEST"

    on_broker(run)


@pytest.mark.parametrize("version", range(3))
def test_the_cluster_is_described(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        brokers = {**broker.image.brokers, 1: replace(registration(1), fenced=True)}
        broker.set_image(replace(broker.image, offset=broker.image.offset + 1, brokers=brokers))
        client = broker.client()
        reply = await client.ask(DESCRIBE_CLUSTER, version, {"include_cluster_authorized_operations": True})
        assert (reply.cluster_id, reply.controller_id) == ("a-cluster", 2)
        assert [node.broker_id for node in reply.brokers] == [2, 3]
        assert reply.cluster_authorized_operations == 0b1_1111_1010_0000
        if version >= 1:
            reply = await client.ask(DESCRIBE_CLUSTER, version, {"endpoint_type": 2})
            assert error_of(reply) == "MISMATCHED_ENDPOINT_TYPE"
        if version >= 2:
            reply = await client.ask(DESCRIBE_CLUSTER, version, {"include_fenced_brokers": True})
            assert [(node.broker_id, node.is_fenced) for node in reply.brokers] == [(1, True), (2, False), (3, False)]

    on_broker(run)


@pytest.mark.parametrize("version", range(5))
def test_the_versions_are_those_of_the_registry(version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        software = {"client_software_name": "lib-rd.kafka", "client_software_version": "2.16.0"}
        reply = await client.ask(API_VERSIONS, version, software)
        found = {api.api_key: (api.min_version, api.max_version) for api in reply.api_keys}
        assert found[0] == (0, 13), "or old librdkafka does not compress (KAFKA-18659)"
        assert found[1] == (4, 18)
        assert found[API_VERSIONS] == (0, 4)
        if version >= 3:
            reply = await client.ask(API_VERSIONS, version, {**software, "client_software_name": "-bad name-"})
            assert error_of(reply) == "INVALID_REQUEST"

    on_broker(run)
