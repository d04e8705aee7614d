"""A cluster that is started, used, broken, healed and stopped with the commands that a user types."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import COMMAND, SOON_S, Shell, eventually, produce, read_all

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("fencepost"))
    ready = shell.run(
        "up", "-d", "--combined", "--port", "0", "--profile", "fast", "--topic", "orders:1:3",
        "--config", "min.insync.replicas=2",
    )  # fmt: skip
    assert ready.returncode == 0, ready.stderr
    assert ready.stdout.startswith("export BOOTSTRAP_SERVERS=127.0.0.1:")
    yield shell
    down = shell.run("down", "--purge")
    assert down.returncode == 0, down.stderr
    assert list(shell.home.iterdir()) == []


def test_a_killed_leader_loses_nothing_and_comes_back_in_sync(shell: Shell) -> None:
    first = [f"before-{number}" for number in range(50)]
    produce(shell, "orders", first)
    before = shell.partition("orders")
    fault = shell.ask("break", "kill", "leader(orders-0)")
    assert fault["targets"] == [before["leader"]]
    assert [row["id"] for row in shell.ask("faults")] == [fault["id"]]
    eventually(lambda: shell.partition("orders")["leader"] not in (None, before["leader"]))
    second = [f"after-{number}" for number in range(50)]
    produce(shell, "orders", second)
    after = shell.partition("orders")
    assert after["leader_epoch"] > before["leader_epoch"]
    states = {node["name"]: node["state"] for node in shell.ask("ps")["nodes"]}
    assert states[before["leader"]] == "killed"
    assert [row["id"] for row in shell.ask("heal", fault["id"])] == [fault["id"]]
    eventually(lambda: len(shell.partition("orders")["isr"]) == 3)
    eventually(lambda: {each["high_watermark"] for each in shell.partition("orders")["replicas"]} == {100})
    assert read_all(shell, "orders", 100) == first + second
    assert shell.ask("faults") == []


def test_a_broker_that_is_cut_off_leaves_the_isr_and_returns_when_it_is_healed(shell: Shell) -> None:
    victim = shell.partition("orders")["replicas"][0]["node"]
    shell.ask("break", "isolate", victim)
    eventually(lambda: victim not in shell.partition("orders")["isr"])
    shell.ask("heal", "all")
    eventually(lambda: len(shell.partition("orders")["isr"]) == 3)


def test_a_fault_with_a_time_heals_by_itself(shell: Shell) -> None:
    fault = shell.ask("break", "pause", "one(followers(orders-0))", "--for", "300ms")
    assert fault["until_ms"] - fault["since_ms"] == 300
    eventually(lambda: shell.ask("faults") == [])
    eventually(lambda: {node["state"] for node in shell.ask("ps")["nodes"]} == {"running"})
    eventually(lambda: len(shell.partition("orders")["isr"]) == 3)


def test_a_cluster_of_which_nobody_is_left_does_not_deny_its_topics(shell: Shell) -> None:
    shell.ask("break", "kill", "brokers")
    run = shell.run("topic", "describe", "orders")
    assert run.returncode != 0
    assert "No node answers" in run.stderr
    shell.ask("heal", "all")
    eventually(lambda: shell.run("topic", "describe", "orders").returncode == 0)
    eventually(lambda: len(shell.partition("orders")["isr"]) == 3)


def test_topics_come_and_go(shell: Shell) -> None:
    assert shell.ask("topic", "create", "events:2", "--config", "min.insync.replicas=1")["replication_factor"] == 3
    refused = shell.run("topic", "create", "events:2")
    assert refused.returncode == 2
    assert "TOPIC_ALREADY_EXISTS" in refused.stderr
    assert "events" in [row["topic"] for row in shell.ask("topic", "ls")]
    shell.ask("topic", "rm", "events")
    eventually(lambda: "events" not in [row["topic"] for row in shell.ask("topic", "ls")])


def test_what_cannot_be_broken_is_refused_with_a_reason(shell: Shell) -> None:
    for arguments, said in (
        (("break", "kill", "leader(nothing-0)"), "unknown topic 'nothing'"),
        (("break", "kill", "b9"), "unknown selector 'b9'"),
        (("break", "start", "b1"), "b1 is running"),
        (("heal", "f999"), "No fault is called f999"),
        (("topic", "describe", "nothing"), "no topic called nothing"),
        (("up", "--port", "0"), "A cluster called default is running"),
    ):
        run = shell.run(*arguments)
        assert run.returncode in (2, 4), run.stderr
        assert said in run.stderr


def test_logs_name_their_node(shell: Shell) -> None:
    run = shell.run("logs")
    assert run.returncode == 0, run.stderr
    assert all(line[:3] in ("b1 ", "b2 ", "b3 ") for line in run.stdout.splitlines())


def test_an_attached_cluster_stops_in_good_order_when_it_is_interrupted(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    command = [*COMMAND, "up", "-n", "1", "-c", "1", "--combined", "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=shell.environment
    ) as up:
        assert up.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = up.stdout.readline()
            assert line, up.stderr.read() if up.stderr else ""
            text += line
        pids = [node["pid"] for node in json.loads(text)["nodes"]]
        up.send_signal(signal.SIGINT)
        assert up.wait(SOON_S) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "stopping b1" in (tmp_path / "default" / "data" / "b1" / "node.log").read_text()
