"""Kafka's own consumer, producer and tools, in Java, while the brokers that serve them are killed and started again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Producer
from java_tools import JavaTools
from three_brokers import SOON_S, ThreeBrokers, leader_high_watermark

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash

pytestmark = [pytest.mark.live, pytest.mark.java]

RECORDS = 100


class Tools:
    """Kafka's tools against the brokers that a test breaks, one of them in the background."""

    def __init__(self, cluster: ThreeBrokers) -> None:
        self.cluster = cluster
        self.pool = ThreadPoolExecutor(1)
        self._tools = JavaTools("4.2.0")

    def __call__(self, tool: str, *words: str) -> str:
        return self._tools.run(tool, "--bootstrap-server", self.cluster.bootstrap, *words)


@pytest.fixture
def kafka(cluster: ThreeBrokers) -> Iterator[Tools]:
    tools = Tools(cluster)
    yield tools
    tools.pool.shutdown()


def write(cluster: ThreeBrokers, topic: str, first: int) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    for number in range(first, first + RECORDS):
        producer.produce(topic, str(number), partition=0)
    assert producer.flush(SOON_S) == 0


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_consumer_of_either_protocol_reads_on_when_its_coordinator_and_its_leader_die(
    kafka: Tools, protocol: str
) -> None:
    topic, group = kafka.cluster.new_topic(), kafka.cluster.new_name()
    write(kafka.cluster, topic, 0)
    named = ("--topic", topic, "--group", group, "--from-beginning", "--max-messages", str(3 * RECORDS))
    options = ("--command-property", f"group.protocol={protocol}", "--timeout-ms", "60000")
    reading = kafka.pool.submit(kafka, "console-consumer", *named, *options)
    offsets = TopicPartition("__consumer_offsets", key_hash(group) % 50)
    kafka.cluster.until("the group has a coordinator", lambda now: offsets.topic in now.topics())
    for turn, partition in enumerate((offsets, TopicPartition(topic, 0)), start=1):
        old = kafka.cluster.leader(partition)
        kafka.cluster.kill(old)
        kafka.cluster.new_leader(partition, old)
        write(kafka.cluster, topic, turn * RECORDS)
        kafka.cluster.mend()
    read = [int(line) for line in reading.result().splitlines() if line.isdigit()]
    assert read == list(range(3 * RECORDS)), "each record once, in its order"
    row = kafka("consumer-groups", "--describe", "--group", group).split()
    assert row[row.index(topic) :][:5] == [topic, "0", str(3 * RECORDS), str(3 * RECORDS), "0"]


def test_quotas_and_configs_that_are_set_while_a_broker_is_down_are_told_by_it_when_it_is_back(kafka: Tools) -> None:
    topic, client = kafka.cluster.new_topic(), ("--entity-type", "clients", "--entity-name", "java")
    kafka.cluster.kill("b2")
    kafka("configs", *client, "--alter", "--add-config", "consumer_byte_rate=123456")
    kafka("configs", "--entity-type", "topics", "--entity-name", topic, "--alter", "--add-config", "retention.ms=4321")
    kafka.cluster.mend()
    shown = kafka("configs", *client, "--describe")
    assert "Quota configs for client-id 'java' are consumer_byte_rate=123456.0" in shown
    assert "retention.ms=4321" in kafka("topics", "--describe", "--topic", topic)
    kafka("configs", *client, "--alter", "--delete-config", "consumer_byte_rate")


def test_transactions_of_the_second_version_go_on_when_their_coordinator_and_their_leader_die(kafka: Tools) -> None:
    """Java's producer is the client here that leaves it to brokers to add partitions, and bumps epochs (KIP-890)."""
    count, topic, name = 30 * RECORDS, kafka.cluster.new_topic(), kafka.cluster.new_name()
    rate = ("--num-records", str(count), "--throughput", "200", "--payload-monotonic")
    transactional = ("--transactional-id", name, "--transaction-duration-ms", "50")
    writing = kafka.pool.submit(kafka, "producer-perf-test", "--topic", topic, *rate, *transactional)
    coordinator = TopicPartition("__transaction_state", key_hash(name) % 50)
    for partition in (coordinator, TopicPartition(topic, 0)):
        end = kafka.cluster.high_watermark(TopicPartition(topic, 0))
        wanted = end + RECORDS
        kafka.cluster.until(
            "it writes", lambda now, to=wanted: leader_high_watermark(now, TopicPartition(topic, 0)) > to
        )
        old = kafka.cluster.leader(partition)
        kafka.cluster.kill(old)
        kafka.cluster.new_leader(partition, old)
        assert not writing.done(), "it has to be broken while it writes"
        kafka.cluster.mend()
    assert f"{count} records sent" in writing.result()
    head, row = (line.split() for line in kafka("transactions", "describe", "--transactional-id", name).splitlines())
    described = dict(zip(head, row, strict=False))
    assert described["TransactionState"] == "CompleteCommit"
    assert int(described["ProducerEpoch"]) > 20, "a new epoch with each transaction"
    committed = ("--from-beginning", "--max-messages", str(count), "--isolation-level", "read_committed")
    read = kafka("console-consumer", "--topic", topic, *committed)
    assert [int(line) for line in read.splitlines() if line.isdigit()] == list(range(count)), "each once, in order"


def test_moves_wait_for_a_dead_broker_and_end_when_it_is_back_but_for_those_that_were_cancelled(
    kafka: Tools, tmp_path: Path
) -> None:
    cluster, topic = kafka.cluster, kafka.cluster.new_topic(partitions=2)
    kept, cancelled = (TopicPartition(topic, number) for number in range(2))
    write(cluster, topic, 0)

    def reassign(action: str, replicas: list[int], *partitions: TopicPartition) -> str:
        moves = [{"topic": topic, "partition": each.partition, "replicas": replicas} for each in partitions]
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": moves}))
        # To take throttles back the tool would alter the dead broker's own configs, which only that broker does.
        more = ["--preserve-throttles"] if action == "--cancel" else []
        return kafka("reassign-partitions", "--reassignment-json-file", str(plan), action, *more)

    def moving() -> list[str]:
        return [line for line in kafka("reassign-partitions", "--list").splitlines() if line.startswith(topic)]

    def in_sync(partition: TopicPartition, *names: str) -> None:
        cluster.until(f"{partition} is on {names}", lambda now: sorted(now.isr(partition)) == sorted(names))

    reassign("--execute", [1, 2], kept, cancelled)
    for partition in (kept, cancelled):
        in_sync(partition, "b1", "b2")
    cluster.let_fetch_nothing("b3")
    reassign("--execute", [3, 1], kept, cancelled)
    cluster.kill("b3")
    on_the_way = "replicas: 3,1,2. adding: 3. removing: 2."
    assert moving() == [f"{kept}: {on_the_way}", f"{cancelled}: {on_the_way}"]
    assert f"Reassignment of partition {kept} is still in progress." in reassign("--verify", [3, 1], kept)
    assert "Successfully cancelled" in reassign("--cancel", [3, 1], cancelled)
    assert moving() == [f"{kept}: {on_the_way}"]
    cluster.mend()
    in_sync(kept, "b1", "b3")
    in_sync(cancelled, "b1", "b2")
    assert moving() == []
    assert f"Reassignment of partition {kept} is completed." in reassign("--verify", [3, 1], kept)
    read = kafka("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", str(RECORDS))
    assert [int(line) for line in read.splitlines() if line.isdigit()] == list(range(RECORDS))


def test_the_quorum_and_its_features_are_told_and_changed_while_the_active_controller_is_dead(kafka: Tools) -> None:
    feature = "eligible.leader.replicas.version"

    def replication() -> dict[str, str]:
        rows = [line.split("\t") for line in kafka("metadata-quorum", "describe", "--replication").splitlines()[1:]]
        return {f"b{row[0].strip()}": row[-2].strip() for row in rows}

    def finalized() -> str:
        found = re.search(rf"{feature}\t.*FinalizedVersionLevel: (\d+)", kafka("features", "describe"))
        return found[1] if found else ""

    before = quorum(kafka)
    kafka.cluster.kill(before[0])
    kafka.cluster.until("there is another controller", lambda now: now.active_controller() not in (before[0], None))
    leader, epoch = quorum(kafka)
    assert leader != before[0] and epoch > before[1]
    assert replication() == dict.fromkeys(("b1", "b2", "b3"), "Follower") | {leader: "Leader"}
    assert f"{feature} was downgraded to 0." in kafka("features", "downgrade", "--feature", f"{feature}=0")
    assert finalized() == "0"
    kafka.cluster.mend()
    assert finalized() == "0"
    assert f"{feature} was upgraded to 1." in kafka("features", "upgrade", "--feature", f"{feature}=1")
    assert finalized() == "1"


def quorum(kafka: Tools) -> tuple[str, int]:
    """Return the leader of the metadata quorum and its epoch, by Kafka's own account."""
    status = kafka("metadata-quorum", "describe", "--status")
    leader, epoch = re.findall(r"Leader(?:Id|Epoch): +(\d+)\n", status)
    return f"b{leader}", int(epoch)
