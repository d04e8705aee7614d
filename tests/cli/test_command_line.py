"""The command line tells a user what is wrong and what to do, with the exit code that the design gives it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.cli.options import duration_us, properties, share
from cluster.lab import LabError, TopicSpec, layout, numbered_cluster
from cluster.lab.target import NodeAddress

ROOT = Path(__file__).resolve().parents[2]


def fencepost(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    environment = {**os.environ, "FENCEPOST_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from cluster.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("300ms", 300_000), ("1.5s", 1_500_000), ("2m", 120_000_000), ("500us", 500), ("1h", 3_600_000_000)],
)
def test_a_duration_has_a_unit(text: str, microseconds: int) -> None:
    assert duration_us(text, "--for") == microseconds


@pytest.mark.parametrize("text", ["300", "s", "-1s", "1 fortnight", ""])
def test_a_duration_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="not a duration"):
        duration_us(text, "--for")


def test_a_share_is_a_percentage_or_a_fraction() -> None:
    assert [share("20%", "--rate"), share("0.2", "--rate"), share("100%", "--rate")] == [0.2, 0.2, 1.0]
    for text in ("120%", "-1%", "some"):
        with pytest.raises(LabError, match="not a share"):
            share(text, "--rate")


def test_new_writes_a_scenario_that_is_sound_and_never_over_another(tmp_path: Path) -> None:
    wanted = tmp_path / "My outage.yaml"
    assert fencepost(tmp_path, "new", str(wanted)).returncode == 0
    assert "name: my-outage" in wanted.read_text()
    check = fencepost(tmp_path, "validate", str(wanted))
    assert (check.returncode, check.stdout) == (0, f"{wanted}: sound, with 1 variant\n")
    again = fencepost(tmp_path, "new", str(wanted))
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_the_schema_and_the_catalogue_are_data(tmp_path: Path) -> None:
    schema = json.loads(fencepost(tmp_path, "schema").stdout)
    catalogue = json.loads(fencepost(tmp_path, "faults", "--catalogue", "--json").stdout)
    step = schema["$defs"]["Step"]["properties"]
    assert all(fault["verb"] in step for fault in catalogue)
    assert step["kill"]["description"].startswith("end the process at once")
    assert "torn-write" in fencepost(tmp_path, "faults", "--catalogue").stdout


def test_help_lists_every_command_that_has_a_file_in_a_whole_sentence(tmp_path: Path) -> None:
    files = (ROOT / "cluster" / "cli").glob("*.py")
    commands = {path.stem.rstrip("_").replace("_", "-") for path in files if "def register(" in path.read_text()}
    shown = fencepost(tmp_path, "--help").stdout
    assert sorted(commands) == sorted(re.findall(r"^  ([a-z][a-z-]+)  +[A-Z]", shown, flags=re.MULTILINE))
    assert "..." not in shown.split("Show this message and exit.")[1]


def test_properties_may_hold_an_equals_sign_in_their_value() -> None:
    assert properties(["a=b=c", "d="], "--config") == {"a": "b=c", "d": ""}
    with pytest.raises(LabError, match="no value"):
        properties(["a"], "--config")


def test_a_topic_is_written_with_colons() -> None:
    assert TopicSpec.parse("orders") == TopicSpec("orders", 1, 1)
    assert TopicSpec.parse("orders:6") == TopicSpec("orders", 6, 1)
    assert TopicSpec.parse("orders:6:3") == TopicSpec("orders", 6, 3)
    for text in ("", ":1", "orders:x", "orders:0", "orders:1:2:3"):
        with pytest.raises(LabError, match="not a topic"):
            TopicSpec.parse(text)


def test_ids_of_brokers_and_controllers_never_meet() -> None:
    spec = numbered_cluster(3, 3)
    assert dict(spec.node_ids) == {"b1": 1, "b2": 2, "b3": 3, "c1": 101, "c2": 102, "c3": 103}
    addresses = {name: NodeAddress("127.0.0.1", 1000 + number) for number, name in enumerate(spec.node_names)}
    configs = {config.name: config for config in layout(spec, addresses, "id")}
    assert configs["b1"].roles == ("broker",)
    assert [voter.node_id for voter in configs["b1"].voters] == [101, 102, 103]


def test_in_combined_mode_the_first_brokers_vote() -> None:
    spec = numbered_cluster(5, 3, combined=True)
    addresses = {name: NodeAddress("127.0.0.1", 1000 + number) for number, name in enumerate(spec.node_names)}
    roles = {config.name: config.roles for config in layout(spec, addresses, "id")}
    assert roles["b3"] == ("broker", "controller")
    assert roles["b4"] == ("broker",)


@pytest.mark.live
@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["ps"], 4, "No cluster called default is running.\nStart one: fencepost up."),
        (["down", "--name", "x"], 4, "No cluster called x is running."),
        (["ps", "--name", "../x"], 2, "is not a name for a cluster"),
        (["up", "--topic", "orders:a"], 2, "name:partitions:replication-factor"),
        (["up", "-n", "1", "--topic", "orders:1:3"], 2, "wants 3 replicas, and there are 1 brokers"),
        (["up", "-n", "1", "--topic", "a:1:1", "--topic", "a:2:1"], 2, "The topic a is asked for twice"),
        (["up", "-n", "0"], 2, "1 to 64 brokers"),
        (["up", "--profile", "slow"], 2, "--profile kafka or --profile fast"),
        (["up", "--config", "min.insync.replica=2"], 2, "did you mean min.insync.replicas"),
        (["up", "-n", "1", "-c", "2", "--combined"], 2, "every controller is one of the brokers"),
        (["break", "slow", "b1", "--latency", "1s"], 2, "SOURCE -> TARGET"),
        (["break", "slow", "b1 -> b2", "--latency", "1"], 2, "a number and a unit"),
        (["break", "partition", "b1"], 2, "two sides or more"),
        (["up", "--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["console-producer"], 2, "--topic orders"),
        (["node", "--node-id", "1", "--cluster-id", "x", "--host", "h", "--voters", "c1:1"], 2, "id@host:port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_users_error_has_a_cause_a_remedy_and_an_exit_code(
    tmp_path: Path, arguments: list[str], exit_code: int, said: str
) -> None:
    run = fencepost(tmp_path, *arguments)
    assert run.returncode == exit_code, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.live
@pytest.mark.parametrize("detach", [(), ("-d",)], ids=["attached", "detached"])
def test_a_taken_port_is_named(tmp_path: Path, detach: tuple[str, ...]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = fencepost(tmp_path, "up", "-n", "1", "--combined", "--port", str(port), *detach)
    assert run.returncode == 4
    assert f"b1 cannot listen on 127.0.0.1:{port}: the address is taken." in run.stderr
    assert "choose --port" in run.stderr
