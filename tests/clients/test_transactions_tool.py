"""`fencepost transactions` against brokers: what it lists, describes and ends, in the columns of kafka-transactions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from confluent_kafka import KafkaException, Producer
from three_brokers import ThreeBrokers

pytestmark = pytest.mark.live


def tool(cluster: ThreeBrokers, *arguments: str) -> tuple[int, list[list[str]], str]:
    """Run the command; return its exit code, the cells of its table, and what it said."""
    code = "import sys; from cluster.cli import main; sys.argv[0] = 'fencepost'; main()"
    command = [sys.executable, "-c", code, "transactions", "--bootstrap-server", cluster.bootstrap, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    rows = [[cell.strip() for cell in line.split("\t")[:-1]] for line in done.stdout.splitlines()]
    return done.returncode, rows, done.stderr


def open_transaction(cluster: ThreeBrokers, topic: str, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"v", partition=0)
    producer.flush(30)
    return producer


def test_an_open_transaction_is_found_and_aborted(cluster: ThreeBrokers) -> None:
    topic = cluster.new_topic()
    producer = open_transaction(cluster, topic, "opened")
    code, rows, _ = tool(cluster, "list")
    assert code == 0 and rows[0] == ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"]
    assert [row[3] for row in rows if row[0] == "opened"] == ["Ongoing"]
    code, rows, _ = tool(cluster, "describe", "--transactional-id", "opened")
    assert code == 0 and dict(zip(*rows, strict=True))["TopicPartitions"] == f"{topic}-0"
    place = ("--topic", topic, "--partition", "0")
    code, rows, _ = tool(cluster, "describe-producers", *place)
    assert code == 0 and rows[1][-1] == "0", "it begins at offset 0"
    assert tool(cluster, "abort", *place, "--start-offset", "0")[0] == 0
    assert tool(cluster, "describe-producers", *place)[1][1][-1] == "None"
    assert tool(cluster, "abort", *place, "--start-offset", "0")[0] == 1, "there is nothing open any more"
    producer.abort_transaction(30)


def test_a_producer_is_shut_out(cluster: ThreeBrokers) -> None:
    producer = open_transaction(cluster, cluster.new_topic(), "shut-out")
    assert tool(cluster, "force-terminate", "--transactional-id", "shut-out")[0] == 0
    with pytest.raises(KafkaException):
        producer.commit_transaction(30)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["describe", "--transactional-id", "nobody"], 1, "TRANSACTIONAL_ID_NOT_FOUND"),
        (["describe"], 2, "--transactional-id"),
        (["abort", "--topic", "orders", "--partition", "0"], 2, "--start-offset"),
        (["describe-producers", "--topic", "no-such-topic", "--partition", "0"], 1, "there is no partition"),
        (["find-hanging"], 2, "--broker-id"),
        (["lst"], 2, "find-hanging"),
    ],
)
def test_what_cannot_be_done_is_told(cluster: ThreeBrokers, arguments: list[str], code: int, complaint: str) -> None:
    found, rows, said = tool(cluster, *arguments)
    assert (found, rows) == (code, []) and complaint in said and "Traceback" not in said
