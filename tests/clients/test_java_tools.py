"""Kafka's own tools, in Java, work on a Fencepost cluster as their guide says, and print what the guide shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from confluent_kafka import Producer
from java_tools import JavaTools
from three_brokers import ThreeBrokers

from cluster.base.ids import TopicPartition

pytestmark = [pytest.mark.live, pytest.mark.java]


class Guide:
    """The tools of one version against one cluster."""

    def __init__(self, tools: JavaTools, cluster: ThreeBrokers) -> None:
        self._tools = tools
        self.cluster = cluster

    def __call__(self, tool: str, *words: str, lines: str = "", exit_code: int = 0) -> str:
        arguments = ("--bootstrap-server", self.cluster.bootstrap, *words)
        return self._tools.run(tool, *arguments, lines=lines, exit_code=exit_code)


@pytest.fixture(scope="module")
def tools() -> JavaTools:
    return JavaTools("4.0.0")


@pytest.fixture
def kafka(tools: JavaTools, cluster: ThreeBrokers) -> Guide:
    return Guide(tools, cluster)


def test_topics_are_made_described_grown_and_deleted(kafka: Guide) -> None:
    topic = ("--topic", kafka.cluster.new_name())
    shape = ("--partitions", "2", "--replication-factor", "3", "--config", "retention.ms=100000")
    assert f"Created topic {topic[1]}." in kafka("topics", "--create", *topic, *shape)
    assert "already exists" in kafka("topics", "--create", *topic, exit_code=1)
    kafka("topics", "--alter", *topic, "--partitions", "3")
    lines = kafka("topics", "--describe", *topic).splitlines()
    assert "PartitionCount: 3\tReplicationFactor: 3\tConfigs: min.insync.replicas=2,retention.ms=100000" in lines[0]
    assert [re.findall(r"Partition: (\d)\tLeader: \d\tReplicas: \d,\d,\d", line) for line in lines[1:]] == [
        ["0"], ["1"], ["2"],
    ]  # fmt: skip
    assert topic[1] in kafka("topics", "--list").split()
    kafka("topics", "--delete", *topic)
    assert "does not exist as expected" in kafka("topics", "--describe", *topic, exit_code=1)


def test_configs_of_topics_brokers_and_clients_are_changed_and_shown(kafka: Guide) -> None:
    topic = ("--entity-type", "topics", "--entity-name", kafka.cluster.new_topic())
    assert "Completed updating" in kafka("configs", *topic, "--alter", "--add-config", "max.message.bytes=2000")
    assert "max.message.bytes=2000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG" in kafka(
        "configs", *topic, "--describe"
    )
    kafka("configs", *topic, "--alter", "--delete-config", "max.message.bytes")
    assert "max.message.bytes" not in kafka("configs", *topic, "--describe")
    assert "unknown config" in kafka("configs", *topic, "--alter", "--add-config", "no.such=1", exit_code=1)
    for entity, value in (("--entity-default",), "200001"), (("--entity-name", "2"), "200002"):
        words = ("--entity-type", "brokers", *entity)
        kafka("configs", *words, "--alter", "--add-config", f"log.retention.ms={value}")
        assert f"log.retention.ms={value}" in kafka("configs", *words, "--describe")
        kafka("configs", *words, "--alter", "--delete-config", "log.retention.ms")
    client = ("--entity-type", "clients", "--entity-name", "app")
    kafka("configs", *client, "--alter", "--add-config", "producer_byte_rate=1000000")
    shown = kafka("configs", *client, "--describe")
    assert "Quota configs for client-id 'app' are producer_byte_rate=1000000.0" in shown
    kafka("configs", *client, "--alter", "--delete-config", "producer_byte_rate")
    kafka("configs", "--entity-type", "users", "--describe")


def test_what_the_console_producer_writes_its_consumer_reads_and_a_group_remembers(kafka: Guide) -> None:
    topic, group = ("--topic", kafka.cluster.new_topic()), ("--group", kafka.cluster.new_name())
    kafka("console-producer", *topic, lines="".join(f"{number}\n" for number in range(100)))
    read = kafka("console-consumer", *topic, *group, "--from-beginning", "--max-messages", "60")
    assert read.split()[:60] == [str(number) for number in range(60)]
    rows = kafka("consumer-groups", "--describe", *group).split()
    assert rows[rows.index(topic[1]) :][:5] == [topic[1], "0", "60", "100", "40"]
    assert "Empty" in kafka("consumer-groups", "--describe", *group, "--state")
    kafka("consumer-groups", "--reset-offsets", "--to-offset", "90", *group, *topic, "--execute")
    read = kafka("console-consumer", *topic, *group, "--max-messages", "10")
    assert read.split()[:10] == [str(number) for number in range(90, 100)]
    assert group[1] in kafka("consumer-groups", "--list").split()
    assert "was successful" in kafka("consumer-groups", "--delete", *group)
    offsets = [kafka("get-offsets", *topic, "--time", time).split(":")[2] for time in ("-1", "-2", "-4")]
    assert [int(offset) for offset in offsets] == [100, 0, 0]
    assert 0 <= int(kafka("get-offsets", *topic, "--time", "-3").split(":")[2]) < 100


def test_partitions_move_and_their_preferred_leaders_are_elected(kafka: Guide, tmp_path: Path) -> None:
    topic = kafka.cluster.new_topic()
    kafka("console-producer", "--topic", topic, lines="kept\n")
    topics, plan = tmp_path / "topics.json", tmp_path / "plan.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": topic}]}))
    proposed = kafka(
        "reassign-partitions", "--topics-to-move-json-file", str(topics), "--broker-list", "1,2,3", "--generate"
    )
    assert '"version":1' in proposed.rpartition("Proposed partition reassignment configuration")[2]
    reassign = ("reassign-partitions", "--reassignment-json-file", str(plan))
    partition = TopicPartition(topic, 0)
    for replicas in ([2, 1], [3, 1, 2]):
        moved = {"topic": topic, "partition": 0, "replicas": replicas}
        plan.write_text(json.dumps({"version": 1, "partitions": [moved]}))
        assert f"Successfully started partition reassignment for {topic}-0" in kafka(*reassign, "--execute")
        wanted = sorted(f"b{number}" for number in replicas)
        kafka.cluster.until("it has moved", lambda now, wanted=wanted: sorted(now.isr(partition)) == wanted)
        verified = kafka(*reassign, "--verify")
        assert f"Reassignment of partition {topic}-0 is completed." in verified
    assert "No partition reassignments found." in kafka("reassign-partitions", "--list")
    assert "None of the specified partition reassignments are active." in kafka(*reassign, "--cancel")
    elected = kafka("leader-election", "--election-type", "preferred", "--topic", topic, "--partition", "0")
    assert re.search(f"(Successfully completed leader election|Valid replica already elected).*{topic}-0", elected)
    assert kafka.cluster.leader(partition) == "b3"
    assert "kept" in kafka("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "1")
    kafka("leader-election", "--election-type", "unclean", "--all-topic-partitions")


def test_the_quorum_the_features_and_the_endpoints_are_described(kafka: Guide, tools: JavaTools) -> None:
    status = kafka("metadata-quorum", "describe", "--status")
    assert re.search(r"LeaderId: +[123]\n", status) and re.search(r"MaxFollowerLag: +\d+\n", status)
    assert status.count("CONTROLLER://127.0.0.1:") == 3 and re.search(r"CurrentObservers: +\[\]", status)
    rows = [line.split("\t") for line in kafka("metadata-quorum", "describe", "--replication").splitlines()]
    assert sorted(row[0].strip() for row in rows) == ["1", "2", "3", "NodeId"]
    assert sorted(row[-2].strip() for row in rows[1:]) == ["Follower", "Follower", "Leader"]
    features = kafka("features", "describe")
    assert "Feature: metadata.version\tSupportedMinVersion: 4.0-IV3" in features
    assert re.search(r"eligible.leader.replicas.version\t.*FinalizedVersionLevel: 1", features)
    server = ("--bootstrap-server", kafka.cluster.bootstrap)
    assert kafka.cluster.target.cluster_id in tools.run("cluster", "cluster-id", *server)
    assert tools.run("cluster", "list-endpoints", *server).count("unfenced") == 3


def test_the_log_directories_are_described(kafka: Guide) -> None:
    topic = kafka.cluster.new_topic()
    kafka("console-producer", "--topic", topic, lines="some bytes\n")
    described = kafka("log-dirs", "--describe", "--topic-list", topic)
    found = json.loads(next(line for line in described.splitlines() if line.startswith("{")))
    sizes = [
        part["size"]
        for broker in found["brokers"]
        for directory in broker["logDirs"]
        for part in directory["partitions"]
        if part["partition"] == f"{topic}-0"
    ]
    assert len(sizes) == 3 and sizes[0] > 60


def test_segment_files_are_kafkas(kafka: Guide, tools: JavaTools) -> None:
    topic = kafka.cluster.new_topic()
    keyed = ("--property", "parse.key=true", "--property", "key.separator=:")
    kafka("console-producer", "--topic", topic, *keyed, "--compression-codec", "zstd", lines="k1:first\nk2:second\n")
    directories = [kafka.cluster.target.directory(name) / f"{topic}-0" for name in kafka.cluster.target.node_names]
    for directory in directories:
        log = directory / "00000000000000000000.log"
        dumped = tools.run("dump-log", "--deep-iteration", "--print-data-log", "--files", str(log))
        assert "isvalid: true" in dumped and "isvalid: false" not in dumped and "compresscodec: zstd" in dumped
        assert re.findall(r"key: (\S+) payload: (\S+)", dumped) == [("k1", "first"), ("k2", "second")]
    small = ("--producer-property", "batch.size=1000")
    kafka("console-producer", "--topic", topic, *keyed, *small, lines=f"k:{'x' * 400}\n" * 100)
    kafka.cluster.stop("b1")  # indexes are written when a segment is closed
    indexes = sorted(str(path) for path in directories[0].glob("*index"))
    assert len(indexes) == 2, "by offset and by time"
    dumped = tools.run("dump-log", "--files", ",".join(indexes))
    assert "offset: " in dumped and "timestamp: " in dumped
    assert "Found" not in dumped, "mismatches between an index and its log begin so"


def test_the_guides_commands_of_kafka_3_work(cluster: ThreeBrokers) -> None:
    """The producer's older flag went with Kafka 4."""
    tools = JavaTools("3.9.1")
    kafka = Guide(tools, cluster)
    produce = ("console-producer", "--broker-list", cluster.bootstrap, "--topic", "exampleTopic")
    tools.run(*produce, lines="first\nsecond\n")
    tools.run(*produce, "--producer-property", "linger.ms=5", "--request-required-acks", "all", lines="third\n")
    read = kafka("console-consumer", "--topic", "exampleTopic", "--from-beginning", "--max-messages", "3")
    assert sorted(read.split()[:3]) == ["first", "second", "third"]
    assert "exampleTopic" in kafka("topics", "--describe", "--topic", "exampleTopic")


def test_transactions_are_listed_described_and_aborted(kafka: Guide) -> None:
    topic, name = kafka.cluster.new_topic(), kafka.cluster.new_name()
    producer = Producer({"bootstrap.servers": kafka.cluster.bootstrap, "transactional.id": name})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"not yet", partition=0)
    producer.flush(20)
    listed = kafka("transactions", "list")
    assert listed.split()[:4] == ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"]
    row = next(line.split() for line in listed.splitlines() if line.startswith(name))
    assert row[3] == "Ongoing"
    described = kafka("transactions", "describe", "--transactional-id", name)
    assert f"{topic}-0" in described and "Ongoing" in described
    producers = kafka("transactions", "describe-producers", "--topic", topic, "--partition", "0").splitlines()
    columns = producers[0].split()
    start = dict(zip(columns, producers[1].split(), strict=True))["CurrentTransactionStartOffset"]
    assert (columns[0], producers[1].split()[0], start) == ("ProducerId", row[2], "0")
    kafka("transactions", "abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
    after = kafka("transactions", "describe-producers", "--topic", topic, "--partition", "0").splitlines()
    assert dict(zip(columns, after[1].split(), strict=True))["CurrentTransactionStartOffset"] == "None"
    read = ("console-consumer", "--topic", topic, "--from-beginning", "--timeout-ms", "3000")
    assert "not yet" not in kafka(*read, "--isolation-level", "read_committed")
    kafka("transactions", "find-hanging", "--broker-id", "1")
