"""The commands of Kafka's guides, typed against three real brokers with the program's name replaced."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli import _run as command_line

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
AVRO = '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}'


class Tools:
    """Runs commands against one cluster."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "FENCEPOST_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.servers = ""

    def run(self, *words: str, lines: str = "", exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *words],
            env=self.environment, input=lines, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == exit_code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def tool(self, name: str, *words: str, lines: str = "", exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a tool in this process: loading the interpreter for each would take most of the test's time."""
        contents = [io.BytesIO(text.encode()) for text in (lines, "", "")]
        streams = [io.TextIOWrapper(content, "utf-8", write_through=True) for content in contents]
        arguments = [name, "--bootstrap-server", self.servers, *words]
        on_sigterm = signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch:
            for stream, wrapper in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, stream, wrapper)
            code = command_line(arguments)
        signal.signal(signal.SIGTERM, on_sigterm)
        out, err = (content.getvalue().decode() for content in contents[1:])
        assert code == exit_code, err
        return subprocess.CompletedProcess(arguments, code, out, err)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    tools = Tools(tmp_path_factory.mktemp("console"))
    ready = tools.run("up", "-n", "3", "--combined", "-d", "--port", "0", "--profile", "fast", "--topic", "orders:1:3")
    tools.servers = ready.stdout.strip().partition("=")[2]
    yield tools
    tools.run("down", "--purge")


def test_what_is_produced_is_consumed_with_keys_headers_and_columns(tools: Tools) -> None:
    lines = "source:a\tk1\tfirst\nsource:b,x:y\tk2\tNULL\n"
    properties = ["parse.key=true", "parse.headers=true", "null.marker=NULL"]
    produced = tools.run(
        "console-producer", "--broker-list", tools.servers, "--topic", "orders", "--compression-codec", "--sync",
        "--producer-property", "linger.ms=5", *(word for each in properties for word in ("--property", each)),
        lines=lines,
    )  # fmt: skip
    assert (produced.stdout, produced.stderr) == ("", "")
    columns = [f"print.{name}=true" for name in ("key", "offset", "partition", "headers")]
    consumed = tools.tool(
        "console-consumer", "--topic", "orders", "--from-beginning", "--max-messages", "2", "--group", "readers",
        *(word for each in columns for word in ("--property", each)),
    )  # fmt: skip
    assert consumed.stdout == (
        "Partition:0\tOffset:0\tsource:a\tk1\tfirst\nPartition:0\tOffset:1\tsource:b,x:y\tk2\tnull\n"
    )
    assert consumed.stderr == "Processed a total of 2 messages\n"
    second = tools.tool(
        "console-consumer", "--topic", "orders", "--partition", "0", "--offset", "1", "--timeout-ms", "500",
        "--isolation-level", "read_committed", "--formatter-property", "print.timestamp=true",
    )  # fmt: skip
    assert second.stdout.startswith("CreateTime:1")
    assert second.stderr == "Processed a total of 1 messages\n"


def test_ctrl_c_ends_a_consumer_with_its_count(tools: Tools) -> None:
    words = ["console-consumer", "--bootstrap-server", tools.servers, "--topic", "orders", "--from-beginning"]
    with subprocess.Popen(
        [*COMMAND, *words], env=tools.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as consumer:
        assert consumer.stdout is not None
        assert consumer.stderr is not None
        assert consumer.stdout.readline() == "first\n"
        assert consumer.stdout.readline() == "null\n"
        consumer.send_signal(signal.SIGINT)
        assert consumer.wait(20) == 0
        assert consumer.stderr.read() == "Processed a total of 2 messages\n"


def test_topics_and_configs_are_made_changed_and_described(tools: Tools) -> None:
    name = ("--topic", "made")
    created = tools.tool("topics", "--create", *name, "--partitions", "2", "--replication-factor", "3", "--config",
                         "min.insync.replicas=2")  # fmt: skip
    assert created.stdout == "Created topic made.\n"
    again = tools.tool("topics", "--create", *name, exit_code=1)
    assert "Error while executing topic command : Topic 'made' already exists." in again.stderr
    assert tools.tool("topics", "--create", *name, "--if-not-exists").stdout == ""
    tools.tool("topics", "--alter", *name, "--partitions", "3")
    described = tools.tool("topics", "--describe", *name).stdout.splitlines()
    assert [column.partition(":")[0] for column in described[0].split("\t")] == [
        "Topic", "TopicId", "PartitionCount", "ReplicationFactor", "Configs",
    ]  # fmt: skip
    assert described[0].endswith("PartitionCount: 3\tReplicationFactor: 3\tConfigs: min.insync.replicas=2")
    assert [line.split("\t")[2] for line in described[1:]] == ["Partition: 0", "Partition: 1", "Partition: 2"]
    assert tools.tool("topics", "--describe", "--under-replicated-partitions").stdout == ""
    assert "made" in tools.tool("topics", "--list").stdout.splitlines()
    altered = tools.tool("configs", "--alter", "--entity-type", "topics", "--entity-name", "made",
                         "--add-config", "cleanup.policy=[compact,delete]")  # fmt: skip
    assert altered.stdout == "Completed updating config for topic made.\n"
    shown = tools.tool("configs", "--describe", *name).stdout
    assert "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=" in shown
    refused = tools.tool("configs", "--alter", *name, "--delete-config", "segment.bytes", exit_code=1)
    assert "Invalid config(s): segment.bytes" in refused.stderr
    unknown = tools.tool("configs", "--alter", *name, "--add-config", "retention=1", exit_code=1).stderr
    assert "unknown config 'retention'" in unknown and "--describe --all --topic made" in unknown
    tools.tool("topics", "--delete", *name)
    assert "does not exist as expected" in tools.tool("topics", "--delete", *name, exit_code=1).stderr


def test_a_group_is_described_moved_and_deleted(tools: Tools) -> None:
    tools.tool("console-producer", "--topic", "moved", lines="1\n2\n3\n4\n")
    consume = ("console-consumer", "--topic", "moved", "--group", "movers", "--from-beginning", "--max-messages")
    assert tools.tool(*consume, "4").stdout == "1\n2\n3\n4\n"
    described = tools.tool("consumer-groups", "--describe", "--group", "movers")
    assert described.stderr == "\nConsumer group 'movers' has no active members.\n"
    assert described.stdout.split()[9:15] == ["movers", "moved", "0", "4", "4", "0"]
    reset = ("consumer-groups", "--reset-offsets", "--group", "movers", "--topic", "moved", "--shift-by", "-3")
    assert tools.tool(*reset, "--dry-run").stdout.split()[4:] == ["movers", "moved", "0", "1"]
    assert tools.tool(*reset, "--execute").stdout.split()[4:] == ["movers", "moved", "0", "1"]
    assert tools.tool(*consume, "3").stdout == "2\n3\n4\n"
    assert "movers" in tools.tool("consumer-groups", "--list").stdout.splitlines()
    tools.tool("consumer-groups", "--delete", "--group", "movers")
    gone = tools.tool("consumer-groups", "--describe", "--group", "movers", exit_code=1)
    assert "Consumer group 'movers' does not exist." in gone.stderr


def test_avro_goes_through_the_brokers(tools: Tools, tmp_path: Path) -> None:
    schema = tmp_path / "order.avsc"
    schema.write_text(AVRO)
    avro = ("--value-format", "avro", "--value-schema", str(schema))
    bad = tools.tool("console-producer", "--topic", "avro", *avro, lines='{"id": 7}\n{"id": "x"}\n', exit_code=1)
    assert "is no avro" in bad.stderr
    read = ("--topic", "avro", "--partition", "0", "--from-beginning", "--timeout-ms", "500")
    assert tools.tool("console-consumer", *read, *avro).stdout == '{"id":7}\n'


def test_performance_and_dump_have_their_lines(tools: Tools) -> None:
    produced = tools.run(
        "producer-perf-test", "--topic", "speed", "--num-records", "500", "--record-size", "100", "--throughput", "-1",
        "--producer-props", "acks=all", f"bootstrap.servers={tools.servers}",
    )  # fmt: skip
    assert produced.stdout.startswith("500 records sent, ")
    assert produced.stdout.endswith(" ms 99.9th.\n")
    consumed = tools.tool("consumer-perf-test", "--topic", "speed", "--messages", "500").stdout.splitlines()
    assert consumed[0].startswith("start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg")
    assert consumed[1].split(", ")[4] == "500"
    log = sorted(tools.home.glob("*/data/*/orders-0/*.log"))[0]
    dumped = tools.run("dump-log", "--files", str(log), "--print-data-log").stdout.splitlines()
    assert dumped[:2] == [f"Dumping {log}", "Log starting offset: 0"]
    assert any(line.endswith("headerKeys: [source] key: k1 payload: first") for line in dumped)


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["console-producer", "--topic", "t"], 2, 'Missing required argument "[bootstrap-server]"'),
        (["console-consumer", "--bootstrap-server", "x:1", "--topic", "t", "--offset", "3"], 2, "partition is requi"),
        (["topics", "--bootstrap-server", "x:1"], 2, "Command must include exactly one action"),
        (["topics", "--bootstrap-server", "127.0.0.1:1", "--list", "--timeout", "500"], 1, "Is a broker listening"),
        (["dump-log"], 2, 'Missing required argument "[files]"'),
    ],
)  # fmt: skip
def test_an_error_has_a_remedy_and_an_exit_code(tmp_path: Path, words: list[str], exit_code: int, said: str) -> None:
    tools = Tools(tmp_path)
    tools.environment.pop("BOOTSTRAP_SERVERS", None)
    began_s = time.monotonic()
    done = tools.run(*words, exit_code=exit_code)
    assert said in done.stderr
    assert done.stdout == ""
    assert time.monotonic() - began_s < 15


def test_replicas_are_moved_and_leaders_elected(tools: Tools, tmp_path: Path) -> None:
    tools.tool("topics", "--create", "--topic", "moving", "--replica-assignment", "1:2")
    topics, plan = tmp_path / "topics.json", tmp_path / "plan.json"
    topics.write_text('{"version": 1, "topics": [{"topic": "moving"}]}')
    generated = tools.tool(
        "reassign-partitions", "--generate", "--topics-to-move-json-file", str(topics), "--broker-list", "2,3"
    )
    plan.write_text(generated.stdout.splitlines()[-1])
    move = ("reassign-partitions", "--reassignment-json-file", str(plan))
    executed = tools.tool(*move, "--execute")
    assert '"partition":0,"replicas":[1,2],"log_dirs":["any","any"]' in executed.stdout
    assert executed.stdout.endswith("Successfully started partition reassignment for moving-0\n")
    done = "Status of partition reassignment:\nReassignment of partition moving-0 is completed.\n"
    deadline_s = time.monotonic() + 20
    while tools.tool(*move, "--verify").stdout != done:
        assert time.monotonic() < deadline_s
    assert tools.tool("reassign-partitions", "--list").stdout == "No partition reassignments found.\n"
    cancelled = tools.tool(*move, "--cancel").stdout
    assert cancelled == "None of the specified partition reassignments are active.\n"
    plan.write_text('{"version": 1, "partitions": [{"topic": "moving", "partition": 0, "replicas": [2, 9]}]}')
    assert "moving-0" in tools.tool(*move, "--execute", exit_code=1).stderr
    elected = tools.tool("leader-election", "--election-type", "preferred", "--topic", "moving", "--partition", "0")
    assert "moving-0" in elected.stdout
    refused = tools.tool("leader-election", "--election-type", "preferred", "--topic", "no", "--partition", "0",
                         exit_code=1)  # fmt: skip
    assert "Error completing leader election (PREFERRED) for partition: no-0" in refused.stdout


def test_quorum_features_and_log_directories_are_described(tools: Tools) -> None:
    status = tools.tool("metadata-quorum", "describe", "--status").stdout.splitlines()
    assert [line.partition(":")[0] for line in status] == [
        "ClusterId", "LeaderId", "LeaderEpoch", "HighWatermark", "MaxFollowerLag", "MaxFollowerLagTimeMs",
        "CurrentVoters", "CurrentObservers",
    ]  # fmt: skip
    rows = tools.tool("metadata-quorum", "describe", "--replication", "--human-readable").stdout.splitlines()
    assert [row.split("\t")[-2].strip() for row in rows] == ["Status", "Leader", "Follower", "Follower"]
    assert rows[1].split("\t")[4].strip().endswith("ms ago")
    name = "eligible.leader.replicas.version"
    changed = tools.tool("features", "downgrade", "--feature", f"{name}=0")
    assert changed.stdout == f"{name} was downgraded to 0.\n"
    assert f"Feature: {name}\tSupportedMinVersion: 0\tSupportedMaxVersion: 1\tFinalizedVersionLevel: 0" in (
        tools.tool("features", "describe").stdout
    )
    refused = tools.tool("features", "upgrade", "--feature", f"{name}=7", exit_code=1)
    assert "Supported levels are 0 to 1." in refused.stderr
    tools.tool("features", "upgrade", "--feature", f"{name}=1")
    described = tools.tool("log-dirs", "--describe", "--broker-list", "1,3").stdout.splitlines()
    assert described[1] == "Received log directory information from brokers 1,3"
    assert [broker["broker"] for broker in json.loads(described[2])["brokers"]] == [1, 3]
    assert "do not exist" in tools.tool("log-dirs", "--describe", "--broker-list", "9", exit_code=1).stderr
