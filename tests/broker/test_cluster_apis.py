"""What clients ask before anything else: who leads what, which versions, who coordinates, a producer id."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from lone_broker import (
    LoneBroker,
    error_of,
    on_broker,
    registration,
    three_replicas,
    turns,
)

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId

METADATA, FIND_COORDINATOR, API_VERSIONS, INIT_PRODUCER_ID, DESCRIBE_CLUSTER = 3, 10, 18, 22, 60


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
