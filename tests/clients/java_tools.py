"""Kafka's own command-line tools, run from their jars against whatever brokers a test names.

Here: where the jars come from, and one JVM for each command. `FENCEPOST_KAFKA_JARS` names a directory that has
`kafka-VERSION/*.jar` for 3.9.1, 4.0.0 and 4.2.0; with `FENCEPOST_JAVA_TESTS=1` Maven fetches what is missing, into that
directory or into the cache of the user. Not here: what the tools must print.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PATIENCE_S = 120.0
_FETCH_PATIENCE_S = 900.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>fencepost</groupId><artifactId>tools</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

TOOLS = {
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "dump-log": "kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}
"""The class behind each script of Kafka's bin directory, without `kafka-`."""

_OTHERWISE = {"3": {"console-producer": "kafka.tools.ConsoleProducer"}}
"""What the classes were called before, by major version."""


class JavaTools:
    """The tools of one version of Kafka. Skips the test that asks when there is no Java or there are no jars."""

    def __init__(self, version: str) -> None:
        java = shutil.which("java")
        if java is None:
            pytest.skip("there is no java on the PATH")
        self._java = java
        self._classes = {**TOOLS, **_OTHERWISE.get(version.partition(".")[0], {})}
        self._classpath = f"{_jars(version)}/*"

    def run(self, tool: str, *words: str, lines: str = "", exit_code: int = 0) -> str:
        """Run a tool and return what it printed, both streams together. Another exit code fails the test."""
        command = [
            self._java, "-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", self._classpath,
            self._classes[tool],
        ]  # fmt: skip
        done = subprocess.run(
            [*command, *words],
            input=lines, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == exit_code, f"{tool} {words} ended with {done.returncode}: {done.stdout}"
        return "\n".join(line for line in done.stdout.splitlines() if not _is_chatter(line)) + "\n"


def _is_chatter(line: str) -> bool:
    """Whether a line is about the logging library, of which Kafka 3 brings a second one."""
    return line.startswith("SLF4J:")


def _jars(version: str) -> Path:
    given = os.environ.get("FENCEPOST_KAFKA_JARS", "")
    may_fetch = os.environ.get("FENCEPOST_JAVA_TESTS", "") not in ("", "0")
    directory = (Path(given) if given else Path.home() / ".cache" / "fencepost" / "jars") / f"kafka-{version}"
    if any(directory.glob("kafka-tools-*.jar")):
        return directory
    if not may_fetch:
        pytest.skip(f"no jars of Kafka {version}: set FENCEPOST_KAFKA_JARS, or FENCEPOST_JAVA_TESTS=1 to fetch them")
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("there is no mvn on the PATH to fetch Kafka's jars with")
    directory.mkdir(parents=True, exist_ok=True)
    pom = directory / "pom.xml"
    pom.write_text(_POM.format(version=version))
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    subprocess.run([maven, "-q", "-B", "-f", str(pom), *goal], check=True, timeout=_FETCH_PATIENCE_S)
    return directory
