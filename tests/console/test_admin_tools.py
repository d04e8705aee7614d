"""What the tools for moves and for the quorum read and print, without brokers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.base.ids import TopicPartition
from cluster.cli import _run as command_line
from cluster.console.quorum_text import Quorum, QuorumReplica, replication_lines, status_lines
from cluster.console.reassignments import Move, listing, plan_json, read_plan, read_topics, verification
from cluster.lab.errors import LabError
from cluster.wire import encode_response

A, B, C, D = (TopicPartition("t", number) for number in range(4))


def test_a_plan_that_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(plan_json({B: (2, 1), A: (1,)}))
    assert path.read_text().startswith('{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1],')
    assert read_plan(path) == {A: (1,), B: (2, 1)}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "{}",
        '{"partitions": []}',
        '{"partitions": [{"topic": "t", "partition": 0}]}',
        '{"partitions": [{"topic": "t", "partition": 0, "replicas": ["x"]}]}',
        '{"partitions": [{"topic": "t", "partition": 0, "replicas": [1, 1]}]}',
        '{"partitions": [{"topic": "t", "partition": 0, "replicas": [1]}, '
        '{"topic": "t", "partition": 0, "replicas": [2]}]}',
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_a_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(LabError) as refusal:
        read_plan(path)
    assert "is no reassignment" in refusal.value.cause and "--generate" in refusal.value.remedy
    with pytest.raises(LabError):
        read_topics(path)
    with pytest.raises(LabError):
        read_plan(tmp_path / "nothing.json")


def test_every_partition_of_a_plan_is_accounted_for() -> None:
    plan = {A: (1,), B: (2,), C: (3,), D: (1,)}
    lines = list(verification(plan, {A: (1,), B: (1, 2), C: (1,)}, {B: Move((1, 2), (2,), (1,))}))
    assert lines == [
        "Status of partition reassignment:",
        "Reassignment of partition t-0 is completed.",
        "Reassignment of partition t-1 is still in progress.",
        "There is no active reassignment of partition t-2, but replica set is 1 rather than 3.",
        "Reassignment of partition t-3 is not known: there is no such partition.",
    ]


def test_moves_are_listed_with_who_comes_and_who_goes() -> None:
    assert list(listing({})) == ["No partition reassignments found."]
    moves = {B: Move((3, 1), (3,), (1,)), A: Move((1, 2), (), (2,))}
    assert list(listing(moves)) == [
        "Current partition reassignments:",
        "t-0: replicas: 1,2. removing: 2.",
        "t-1: replicas: 3,1. adding: 3. removing: 1.",
    ]


QUORUM = Quorum(
    "c", 101, 7, 50,
    (QuorumReplica(100, 48, 900, 800), QuorumReplica(101, 51, 1000, 1000, "CONTROLLER://h:1")),
    (QuorumReplica(1, 51, -1, 990),),
)  # fmt: skip


def test_the_quorum_is_summed_up_by_its_slowest_follower() -> None:
    lines = dict(line.split(":", 1) for line in status_lines(QUORUM))
    assert (lines["MaxFollowerLag"].strip(), lines["MaxFollowerLagTimeMs"].strip()) == ("3", "200")
    assert '{"id": 101, "directoryId": null, "endpoints": ["CONTROLLER://h:1"]}' in lines["CurrentVoters"]


def test_the_leader_comes_first_and_observers_last() -> None:
    rows = [[cell.strip() for cell in line.split("\t")] for line in replication_lines(QUORUM, None)]
    assert [(row[0], row[3], row[6]) for row in rows[1:]] == [
        ("101", "0", "Leader"),
        ("100", "3", "Follower"),
        ("1", "0", "Observer"),
    ]
    aged = [[cell.strip() for cell in line.split("\t")] for line in replication_lines(QUORUM, 1500)]
    assert (aged[2][4], aged[3][4]) == ("600 ms ago", "-1")


@pytest.mark.parametrize(
    "words",
    [
        ["reassign-partitions", "--execute"],
        ["reassign-partitions", "--generate", "--list"],
        ["reassign-partitions", "--list", "--broker-list", "1,1"],
        ["leader-election", "--topic", "t", "--partition", "0"],
        ["leader-election", "--election-type", "preferred"],
        ["leader-election", "--election-type", "preferred", "--topic", "t"],
        ["metadata-quorum", "describe"],
        ["metadata-quorum", "add-controller", "--status"],
        ["features", "upgrade"],
        ["features", "upgrade", "--feature", "x"],
        ["features", "grow"],
        ["log-dirs"],
        ["log-dirs", "--describe", "--broker-list", "one"],
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    assert command_line([*words, "--bootstrap-server", "127.0.0.1:1"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["consumer-groups", "--reset-offsets", "--group", "g", "--from-file"],
        ["producer-perf-test", "--topic", "t", "--num-records", "1", "--throughput", "-1", "--payload-file"],
        ["reassign-partitions", "--execute", "--reassignment-json-file"],
    ],
)
def test_a_file_that_is_no_text_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff\xfe\xff")
    assert command_line([*words, str(path), "--bootstrap-server", "127.0.0.1:1"]) == 2


@contextmanager
def greeting(answer: bytes) -> Iterator[str]:
    """A broker that says one thing to whoever connects, whatever is asked, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as line:
                line.recv(65536)
                line.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.join()


@pytest.mark.parametrize(
    "words",
    [
        ["features", "upgrade", "--feature", "transaction.version=99999"],
        ["leader-election", "--election-type", "preferred", "--topic", "t", "--partition", str(2**31)],
    ],
)
def test_a_number_that_no_request_can_hold_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    served = [{"api_key": key, "min_version": 0, "max_version": 2} for key in (43, 57)]
    body = encode_response(18, 0, {"api_keys": served})
    with greeting(struct.pack(">ii", 4 + len(body), 1) + body) as address:
        assert command_line([*words, "--bootstrap-server", address]) == 2
    assert "too large for the request" in capsys.readouterr().err


def test_a_server_that_hangs_up_is_told_of_and_its_connection_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    with greeting(b"") as address:
        assert command_line(["log-dirs", "--describe", "--bootstrap-server", address]) == 1
    assert "closed the connection" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["metadata-quorum", "describe", "--status", "--bootstrap-server", "127.0.0.1:1"]) == 1
    assert "No broker answers at 127.0.0.1:1" in capsys.readouterr().err
