"""Ctrl-C in the middle of faults or seeds: exit code 130, nothing is left behind, and nothing is forgotten."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

BROKEN = """
lab: v1
name: broken
duration: 120s
cluster: {controllers: 1, profile: fast, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders, rate: 20/s}}
steps:
  - {id: frozen, at: 100ms, pause: b2}
  - {id: dead, at: 100ms, crash-loop: b3, up: 300ms, down: 100ms}
  - {id: full, at: 100ms, disk-full: b1}
"""

COMMAND = (sys.executable, "-c", "from cluster.cli import main; main()")
PATHS = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
SOON_S = 60.0  # generous, because the machine may be busy


def test_an_interrupted_run_ends_every_process_and_says_130(tmp_path: Path) -> None:
    scenario = tmp_path / "broken.yaml"
    scenario.write_text(BROKEN)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run = subprocess.Popen(
        [*COMMAND, "run", str(scenario), "--on", "local", "--no-report"],
        env={**PATHS, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    deadline_s = time.monotonic() + SOON_S
    while not is_in_force(scratch) and time.monotonic() < deadline_s:
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=SOON_S)
    assert run.returncode == 130, told
    assert list(scratch.iterdir()) == [], "the data was temporary"
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(scratch) not in listed


def test_an_interrupted_exploration_continues_where_it_was(tmp_path: Path) -> None:
    scenario = tmp_path / "short.yaml"
    scenario.write_text(BROKEN.replace("120s", "4s"))
    explore = [*COMMAND, "explore", str(scenario), "--json", "--jobs", "1"]
    run = subprocess.Popen(
        [*explore, "--seeds", "1000"],
        env=PATHS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    assert run.stdout is not None
    told = [run.stdout.readline() for _ in range(2)]
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does, to all processes of the command
    more, talk = run.communicate(timeout=SOON_S)
    assert run.returncode == 130, talk
    assert "Traceback" not in talk
    tried = len(told) + len(more.splitlines())
    again = subprocess.run(
        [*explore, "--seeds", "1", "--continue"],
        env=PATHS,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON_S,
    )
    assert f"continuing with seed {tried + 1}\n" in again.stderr
    assert [json.loads(line)["seed"] for line in again.stdout.splitlines()] == [tried + 1]


def is_in_force(scratch: Path) -> bool:
    """Whether b1 has met its full disk."""
    logs = [log.read_text(errors="replace") for log in scratch.rglob("b1/node.log")]
    return any("no space left" in log.lower() for log in logs)


def test_an_interrupted_simulation_says_130_and_nothing_of_what_it_left_half_done(tmp_path: Path) -> None:
    words = [*COMMAND, "learn", "1", "--answer", "a", "--no-report"]
    run = subprocess.Popen(words, env=PATHS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert run.stderr is not None
    while "Running" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, talk = run.communicate(timeout=SOON_S)
    assert (run.returncode, talk) == (130, "")
