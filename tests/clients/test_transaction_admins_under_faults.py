"""A transaction that is open when its coordinator and its leader die is told by their successors, and can be aborted.

Two admin clients: kafka-python's and Kafka's own tool. Not here: the tool of our own (`test_transactions_tool.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

import kafka
import pytest
from confluent_kafka import Producer
from java_tools import JavaTools
from kafka.admin import KafkaAdminClient
from kafka.admin._transactions import AbortTransactionSpec
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash

pytestmark = pytest.mark.live

PATIENCE_S = 20.0
TIMEOUT_MS = 15_000


class Admin(Protocol):
    """What both can ask of transactions, and do to them."""

    def listed(self, bootstrap: str) -> dict[str, str]:
        """The state of each transactional id."""

    def described(self, bootstrap: str, name: str) -> tuple[str, bool]:
        """The state of one, and whether it has partitions."""

    def open_since(self, bootstrap: str, partition: TopicPartition) -> int | None:
        """The first offset of the open transaction there."""

    def abort(self, bootstrap: str, partition: TopicPartition, start: int) -> None: ...


class KafkaPythonAdmin:
    """kafka-python's KafkaAdminClient."""

    def listed(self, bootstrap: str) -> dict[str, str]:
        found = self._ask(bootstrap, lambda client: client.list_transactions())
        return {each.transactional_id: each.state.value for rows in found.values() for each in rows}

    def described(self, bootstrap: str, name: str) -> tuple[str, bool]:
        found = self._ask(bootstrap, lambda client: client.describe_transactions([name]))[name]
        return found.state.value, bool(found.topic_partitions)

    def open_since(self, bootstrap: str, partition: TopicPartition) -> int | None:
        start: int = self._producer(bootstrap, partition).current_transaction_start_offset
        return None if start < 0 else start

    def abort(self, bootstrap: str, partition: TopicPartition, start: int) -> None:
        found = self._producer(bootstrap, partition)
        key, epoch = (
            kafka.TopicPartition(*partition),
            found.coordinator_epoch,
        )  # an older one, as its default, is fenced
        wanted = AbortTransactionSpec(key, found.producer_id, found.producer_epoch, epoch)
        assert found.current_transaction_start_offset == start
        self._ask(bootstrap, lambda client: client.abort_transaction(wanted))

    def _producer(self, bootstrap: str, partition: TopicPartition) -> Any:
        key = kafka.TopicPartition(*partition)
        (found,) = self._ask(bootstrap, lambda client: client.describe_producers([key]))[key].active_producers
        return found

    def _ask(self, bootstrap: str, call: Callable[[Any], Any]) -> Any:
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)) as client:
            return call(client)


class JavaAdmin:
    """Kafka's transactions tool."""

    def listed(self, bootstrap: str) -> dict[str, str]:
        return {row["TransactionalId"]: row["TransactionState"] for row in self._rows(bootstrap, "list")}

    def described(self, bootstrap: str, name: str) -> tuple[str, bool]:
        (row,) = self._rows(bootstrap, "describe", "--transactional-id", name)
        return row["TransactionState"], "TopicPartitions" in row

    def open_since(self, bootstrap: str, partition: TopicPartition) -> int | None:
        (row,) = self._rows(bootstrap, "describe-producers", *self._named(partition))
        start = row["CurrentTransactionStartOffset"]
        return None if start == "None" else int(start)

    def abort(self, bootstrap: str, partition: TopicPartition, start: int) -> None:
        self._run(bootstrap, "abort", *self._named(partition), "--start-offset", str(start))

    def _named(self, partition: TopicPartition) -> list[str]:
        return ["--topic", partition.topic, "--partition", str(partition.partition)]

    def _rows(self, bootstrap: str, *words: str) -> list[dict[str, str]]:
        head, *rows = (line.split() for line in self._run(bootstrap, *words).splitlines())
        return [dict(zip(head, row, strict=False)) for row in rows]

    def _run(self, bootstrap: str, *words: str) -> str:
        return JavaTools("4.2.0").run("transactions", "--bootstrap-server", bootstrap, *words)


def kill_leader(cluster: ThreeBrokers, partition: TopicPartition) -> str:
    """Kill it, wait for another and until nobody is sent to the old one; return where to ask."""
    witness, old = TopicPartition(cluster.new_topic(), 0), cluster.leader(partition)
    cluster.kill(old)
    cluster.new_leader(partition, old)
    cluster.until(f"{old} is fenced", lambda now: len(now.isr(witness)) == 2 and len(now.replies) == 2)
    return cluster.bootstrap_without(old)


@pytest.mark.parametrize(
    "admin",
    [
        pytest.param(KafkaPythonAdmin(), id="kafka-python"),
        pytest.param(JavaAdmin(), id="java", marks=pytest.mark.java),
    ],
)
def test_an_open_transaction_is_told_by_the_next_coordinator_and_aborted_by_the_next_leader(
    cluster: ThreeBrokers, admin: Admin
) -> None:
    partition, name = TopicPartition(cluster.new_topic(), 0), cluster.new_name()
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    for end in (producer.commit_transaction, None):
        producer.begin_transaction()
        producer.produce(partition.topic, b"kept or not", partition=0)
        producer.flush(PATIENCE_S)
        if end is not None:
            end(PATIENCE_S)
    others = kill_leader(cluster, TopicPartition("__transaction_state", key_hash(name) % 50))
    assert admin.listed(others)[name] == "Ongoing"
    assert admin.described(others, name) == ("Ongoing", True)
    cluster.mend()
    others = kill_leader(cluster, partition)
    assert admin.open_since(others, partition) == 2, "after one record and its marker"
    admin.abort(others, partition, 2)
    assert admin.open_since(others, partition) is None
    cluster.mend()
    assert admin.open_since(cluster.bootstrap, partition) is None
