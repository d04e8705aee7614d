"""One face for the admin clients of three libraries: topics, partitions, configs. Errors are given by Kafka's names.

Here: calls, and their outcomes in one form. Not here: what must come out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiokafka.admin
import aiokafka.errors
import kafka.admin
import kafka.errors
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from cluster.base.errors import ErrorCode

PATIENCE_S = 15.0


class Admin(Protocol):
    """What an admin client can do. Each method returns NONE or the name of Kafka's error."""

    def create(self, bootstrap: str, topic: str, partitions: int, replicas: int, configs: Mapping[str, str]) -> str: ...
    def delete(self, bootstrap: str, topic: str) -> str: ...
    def grow(self, bootstrap: str, topic: str, partitions: int) -> str: ...
    def alter(self, bootstrap: str, topic: str, name: str, value: str) -> str: ...

    def configs(self, bootstrap: str, topic: str) -> Mapping[str, str]:
        """The configs of a topic that are in force."""

    def partition_count(self, bootstrap: str, topic: str) -> int:
        """0 when there is no such topic."""


class ConfluentAdmin:
    """confluent-kafka's AdminClient."""

    def create(self, bootstrap: str, topic: str, partitions: int, replicas: int, configs: Mapping[str, str]) -> str:
        wanted = NewTopic(topic, partitions, replicas, config=dict(configs))
        return self._outcome(bootstrap, lambda client: client.create_topics([wanted])[topic])

    def delete(self, bootstrap: str, topic: str) -> str:
        return self._outcome(bootstrap, lambda client: client.delete_topics([topic])[topic])

    def grow(self, bootstrap: str, topic: str, partitions: int) -> str:
        wanted = NewPartitions(topic, partitions)
        return self._outcome(bootstrap, lambda client: client.create_partitions([wanted])[topic])

    def alter(self, bootstrap: str, topic: str, name: str, value: str) -> str:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        return self._outcome(bootstrap, lambda client: client.incremental_alter_configs([resource])[resource])

    def configs(self, bootstrap: str, topic: str) -> Mapping[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        client = self._client(bootstrap)
        found = client.describe_configs([resource])[resource].result(PATIENCE_S)
        return {name: entry.value for name, entry in found.items()}

    def partition_count(self, bootstrap: str, topic: str) -> int:
        topics = self._client(bootstrap).list_topics(timeout=PATIENCE_S).topics
        return len(topics[topic].partitions) if topic in topics else 0

    def _client(self, bootstrap: str) -> AdminClient:
        return AdminClient({"bootstrap.servers": bootstrap})

    def _outcome(self, bootstrap: str, call: Callable[[AdminClient], Any]) -> str:
        client = self._client(bootstrap)  # kept: a client that is forgotten answers nothing
        try:
            call(client).result(PATIENCE_S)
        except KafkaException as error:
            return ErrorCode(error.args[0].code()).name
        return "NONE"


class KafkaPythonAdmin:
    """kafka-python's KafkaAdminClient."""

    def create(self, bootstrap: str, topic: str, partitions: int, replicas: int, configs: Mapping[str, str]) -> str:
        wanted = kafka.admin.NewTopic(topic, partitions, replicas, topic_configs=dict(configs))
        return self._outcome(bootstrap, lambda client: client.create_topics([wanted]))

    def delete(self, bootstrap: str, topic: str) -> str:
        return self._outcome(bootstrap, lambda client: client.delete_topics([topic]))

    def grow(self, bootstrap: str, topic: str, partitions: int) -> str:
        wanted = {topic: kafka.admin.NewPartitions(partitions)}
        return self._outcome(bootstrap, lambda client: client.create_partitions(wanted))

    def alter(self, bootstrap: str, topic: str, name: str, value: str) -> str:
        resource = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic, {name: value})
        found = self._ask(bootstrap, lambda client: client.alter_configs([resource]))
        failure = re.match(r"\[Error (\d+)\]", found["topic"][topic])  # or OK
        return ErrorCode(int(failure[1])).name if failure else "NONE"

    def configs(self, bootstrap: str, topic: str) -> Mapping[str, str]:
        resource = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic)
        found = self._ask(bootstrap, lambda client: client.describe_configs([resource], config_filter="all"))
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    def partition_count(self, bootstrap: str, topic: str) -> int:
        rows = self._ask(bootstrap, lambda client: client.describe_topics())
        return next((len(row["partitions"]) for row in rows if row["name"] == topic), 0)

    def _ask(self, bootstrap: str, call: Callable[[Any], Any]) -> Any:
        client = kafka.admin.KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            return call(client)
        finally:
            client.close()

    def _outcome(self, bootstrap: str, call: Callable[[Any], Any]) -> str:
        try:
            self._ask(bootstrap, call)
        except kafka.errors.BrokerResponseError as error:
            return ErrorCode(error.errno).name
        return "NONE"


class AiokafkaAdmin:
    """aiokafka's AIOKafkaAdminClient. It alters configs with AlterConfigs only, which replaces them all."""

    def create(self, bootstrap: str, topic: str, partitions: int, replicas: int, configs: Mapping[str, str]) -> str:
        wanted = aiokafka.admin.NewTopic(topic, partitions, replicas, topic_configs=dict(configs))
        return self._outcome(bootstrap, lambda client: client.create_topics([wanted]))

    def delete(self, bootstrap: str, topic: str) -> str:
        return self._outcome(bootstrap, lambda client: client.delete_topics([topic]))

    def grow(self, bootstrap: str, topic: str, partitions: int) -> str:
        wanted = {topic: aiokafka.admin.NewPartitions(partitions)}
        return self._outcome(bootstrap, lambda client: client.create_partitions(wanted))

    def configs(self, bootstrap: str, topic: str) -> Mapping[str, str]:
        resource = aiokafka.admin.config_resource.ConfigResource(
            aiokafka.admin.config_resource.ConfigResourceType.TOPIC, topic
        )
        (reply,) = self._ask(bootstrap, lambda client: client.describe_configs([resource]))
        return {entry[0]: entry[1] for entry in reply.resources[0][4]}

    def partition_count(self, bootstrap: str, topic: str) -> int:
        rows = self._ask(bootstrap, lambda client: client.describe_topics())  # by its name it would be created
        return next((len(row["partitions"]) for row in rows if row["topic"] == topic), 0)

    def _ask(self, bootstrap: str, call: Callable[[Any], Any]) -> Any:
        async def main() -> Any:
            client = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await client.start()
            try:
                return await call(client)
            finally:
                await client.close()

        return asyncio.run(asyncio.wait_for(main(), PATIENCE_S))

    def _outcome(self, bootstrap: str, call: Callable[[Any], Any]) -> str:
        """Tell the error, which some calls raise and others return in their reply."""
        try:
            reply = self._ask(bootstrap, call).to_object()
        except aiokafka.errors.BrokerResponseError as error:
            return ErrorCode(error.errno).name
        (row,) = reply.get("topic_errors") or reply["topic_error_codes"]
        return ErrorCode(row["error_code"]).name


ADMINS = [
    pytest.param(ConfluentAdmin(), id="confluent-kafka"),
    pytest.param(KafkaPythonAdmin(), id="kafka-python"),
    pytest.param(AiokafkaAdmin(), id="aiokafka"),
]
ALTERING_ADMINS = ADMINS[:2]
