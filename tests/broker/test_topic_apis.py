"""Topics come and go and grow, change their leaders and their configs, as the controller decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lone_broker import (
    LoneBroker,
    error_of,
    on_broker,
    three_replicas,
)

from cluster.base.errors import ErrorCode, KafkaError

CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 19, 20, 22
DESCRIBE_CONFIGS, CREATE_PARTITIONS, ELECT_LEADERS, ALTER_CONFIGS, METADATA = 32, 37, 43, 44, 3
TIMEOUT = timedelta(seconds=10)
TOPIC, BROKER = 2, 4


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
