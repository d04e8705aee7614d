"""`fencepost share-groups` and `console-share-consumer` against brokers, in the columns of Kafka's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from confluent_kafka import Producer, ShareConsumer
from three_brokers import SOON_S, ThreeBrokers

pytestmark = pytest.mark.live


def run(cluster: ThreeBrokers, tool: str, *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, what it printed, and what it said."""
    code = "import sys; from cluster.cli import main; sys.argv[0] = 'fencepost'; main()"
    command = [sys.executable, "-c", code, tool, "--bootstrap-server", cluster.bootstrap, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def groups(cluster: ThreeBrokers, *arguments: str) -> list[list[str]]:
    """Return the words of each line that `share-groups` prints."""
    code, printed, said = run(cluster, "share-groups", *arguments)
    assert code == 0, said
    return [line.split() for line in printed.splitlines() if line]


def read(cluster: ThreeBrokers, topic: str, group: str, *arguments: str) -> list[str]:
    """Return the lines that `console-share-consumer` prints."""
    code, printed, said = run(cluster, "console-share-consumer", "--topic", topic, "--group", group, *arguments)
    assert code == 0, said
    return printed.splitlines()


def new_group(cluster: ThreeBrokers) -> str:
    """Return the name of a share group that will begin with the first record."""
    name = cluster.new_name()
    entity = ("--entity-type", "groups", "--entity-name", name)
    assert run(cluster, "configs", "--alter", *entity, "--add-config", "share.auto.offset.reset=earliest")[0] == 0
    return name


def write(cluster: ThreeBrokers, topic: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(SOON_S) == 0


def test_records_are_released_accepted_and_never_read_again(cluster: ThreeBrokers) -> None:
    topic, group = cluster.new_topic(), new_group(cluster)
    write(cluster, topic, "a", "b", "c")
    columns = ("--property", "print.delivery=true", "--property", "print.offset=true", "--max-messages", "3")
    first = read(cluster, topic, group, "--release", *columns)
    assert first == ["Offset:0\tDelivery:1\ta", "Offset:1\tDelivery:1\tb", "Offset:2\tDelivery:1\tc"]
    assert read(cluster, topic, group, *columns) == [line.replace("Delivery:1", "Delivery:2") for line in first]
    write(cluster, topic, "poison", "d")
    assert read(cluster, topic, group, "--reject", "--max-messages", "1") == ["poison"]
    assert read(cluster, topic, group, "--timeout-ms", "3000") == ["d"]


def test_a_group_is_described_moved_and_deleted(cluster: ThreeBrokers) -> None:
    topic, group = cluster.new_topic(), new_group(cluster)
    write(cluster, topic, "a", "b", "c")
    read(cluster, topic, group, "--max-messages", "3")
    assert [group, "Empty"] in groups(cluster, "--list", "--state", "empty")
    named = ("--group", group)
    assert groups(cluster, "--describe", *named, "--verbose") == [
        ["GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "START-OFFSET", "LAG"],
        [group, topic, "0", "0", "3", "-"],
    ]
    move = ("--reset-offsets", *named, "--topic", f"{topic}:0", "--to-earliest")
    moved = [["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], [group, topic, "0", "0"]]
    assert groups(cluster, *move, "--dry-run") == moved
    assert groups(cluster, "--describe", *named)[1][3] == "3"
    assert groups(cluster, *move, "--execute") == moved
    assert groups(cluster, "--describe", *named)[1][3] == "0"
    assert groups(cluster, "--delete-offsets", *named, "--topic", topic)[1:] == [[topic, "Successful"]]
    assert groups(cluster, "--describe", *named) == []
    assert groups(cluster, "--delete", *named) == [
        f"Deletion of requested share groups ('{group}') was successful.".split()
    ]
    assert [group] not in groups(cluster, "--list")


def test_members_are_shown_and_hold_the_group_where_it_is(cluster: ThreeBrokers) -> None:
    topic, group = cluster.new_topic(2), new_group(cluster)
    with ShareConsumer({"bootstrap.servers": cluster.bootstrap, "group.id": group, "client.id": "m1"}) as consumer:
        consumer.subscribe([topic])
        write(cluster, topic, "a")
        while not len(consumer.poll(0.1)):
            pass
        header, row = groups(cluster, "--describe", "--group", group, "--members", "--verbose")
        assert header == ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "MEMBER-EPOCH", "ASSIGNMENT"]
        assert (row[0], row[2:5], row[6]) == (group, ["/127.0.0.1", "m1", "2"], f"{topic}:0,1")
        row = groups(cluster, "--describe", "--group", group, "--state")[1]
        assert (row[0], row[-2], row[-1]) == (group, "Stable", "1")
        refused = run(cluster, "share-groups", "--delete", "--group", group)
        assert refused[0] == 1 and "NON_EMPTY_GROUP" in refused[2]
        move = ("--reset-offsets", "--group", group, "--topic", topic, "--to-latest", "--execute")
        assert run(cluster, "share-groups", *move)[0] == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "complaint"),
    [
        ("share-groups", ["--describe", "--group", "nobody"], 1, "there is no share group 'nobody'"),
        ("share-groups", ["--delete", "--group", "nobody"], 1, "is not a share group"),
        ("share-groups", ["--describe"], 2, "[all-groups], [group]"),
        ("share-groups", ["--list", "--describe"], 2, "exactly one action"),
        ("share-groups", ["--list", "--state", "lost"], 2, "Empty, Stable, Dead"),
        ("share-groups", ["--reset-offsets", "--group", "g", "--topic", "t", "--to-latest"], 2, "[dry-run]"),
        ("share-groups", ["--reset-offsets", "--group", "g", "--topic", "t", "--execute"], 2, "--to-earliest"),
        ("share-groups", ["--delete-offsets", "--group", "g"], 2, "--topic"),
        ("console-share-consumer", [], 2, "[topic]"),
        ("console-share-consumer", ["--topic", "t", "--release", "--reject"], 2, "At most one"),
        ("console-share-consumer", ["--topic", "t", "--consumer-property", "no.such=1"], 2, "no.such"),
    ],
)
def test_what_cannot_be_done_is_told_by_these(
    cluster: ThreeBrokers, tool: str, arguments: list[str], code: int, complaint: str
) -> None:
    found, printed, said = run(cluster, tool, *arguments)
    assert (found, printed) == (code, "") and complaint in said
