"""The commands as a script sees them: exit codes, one JSON object a line, talk on standard error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
COMMAND = (sys.executable, "-c", "from cluster.cli import main; main()")

SHORT = """
lab: v1
name: short
duration: 4s
cluster:
  controllers: 1
  profile: fast
  topics: {orders: {partitions: 1, replication-factor: 3, config: {min.insync.replicas: 2}}}
clients:
  p1: {produce: orders, rate: 20/s}
steps:
  - {id: crash, at: 1s, kill: leader(orders-0), as: victim}
  - {id: elected, after: crash, when: leader(orders-0) != $victim, timeout: 2s}
expect:
  - {id: durable, finally: no-lost-acks}
  - {id: gone, sometimes: leader(orders-0) == none}
  - {id: mended, eventually: all-partitions-led, within: 1s, of: elected}
variants:
  wrong: {verdicts: {durable: violated}}
  vague: {patch: {steps: {elected: {timeout: 100ms}}}}
"""

KEYS = {
    "scenario", "variant", "target", "seed", "verdict", "checks", "acked", "failed", "unknown",
    "lost", "duplicates", "trace_hash", "virtual_s", "wall_s",
}  # fmt: skip


def fencepost(*arguments: str | Path, directory: Path = SCENARIOS.parent) -> subprocess.CompletedProcess[str]:
    kept = ["--no-report"] if arguments[0] == "run" and "--report" not in arguments else []
    words = [*COMMAND, *map(str, arguments), *kept]
    paths = {**os.environ, "PYTHONPATH": str(SCENARIOS.parent)}
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=directory, env=paths)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def test_exit_codes_say_as_expected_different_and_inconclusive(short: Path) -> None:
    run = fencepost("run", short, "--json", "--all-variants", "--seed", "3")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["verdict"] for row in rows] == ["as-expected", "different", "inconclusive"], run.stdout + run.stderr
    assert [row["variant"] for row in rows] == [None, "wrong", "vague"]
    assert all(set(row) >= KEYS for row in rows)
    assert run.returncode == 1, "one verdict that differs outweighs an inconclusive one"
    assert rows[0]["acked"] > 0
    assert rows[0]["target"] == "sim"
    assert fencepost("run", short, "--seed", "3").returncode == 0
    assert fencepost("run", short, "--seed", "3", "--variant", "vague").returncode == 3


def test_the_printed_replay_command_gives_the_same_run(short: Path, tmp_path: Path) -> None:
    first = fencepost("run", short, "--seed", "5", "--report", tmp_path / "report", "--set", "clients/p1/rate=30/s")
    replay = first.stdout.splitlines()[-1].removeprefix("  replay: fencepost ").split()
    again = fencepost(*replay, "--json")
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    assert json.loads(again.stdout)["trace_hash"] == result["trace_hash"]
    events = (tmp_path / "report" / "events.jsonl").read_text().splitlines()
    assert {"t", "node", "kind"} <= set(json.loads(events[0]))


def test_a_bad_scenario_is_a_usage_error_with_its_mistakes(short: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SHORT.replace("kill:", "kil:"))
    run = fencepost("run", bad)
    assert (run.returncode, run.stdout) == (2, "")
    assert "did you mean kill?" in run.stderr
    assert fencepost("run", short, "--variant", "rong").returncode == 2
    none = tmp_path / "none.yaml"
    missing = fencepost("run", none)
    assert (missing.returncode, missing.stderr) == (2, f"{none}: cannot be read: No such file or directory\n")
    bad.write_text("name: x\n**bold**\n")
    prose = fencepost("run", bad)
    assert prose.returncode == 2
    assert prose.stderr.startswith(f"{bad}: this is not YAML: line 2, column 2: ")
    assert len(prose.stderr.splitlines()) == 1
    check = fencepost("validate", bad, short)
    assert check.returncode == 2
    assert "sound, with 2 variants" in check.stdout


def test_a_run_is_kept_under_its_name_time_and_seed(short: Path, tmp_path: Path) -> None:
    here = {**os.environ, "PYTHONPATH": str(SCENARIOS.parent)}
    words = [*COMMAND, "run", str(short), "--seed", "3"]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=here)
    (folder,) = (tmp_path / "runs" / "short").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-3", folder.name)
    assert f"report: {Path('runs', 'short', folder.name, 'report.html')}" in run.stderr
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "runs").write_text("in the way")
    run = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path / "again", env=here)
    assert run.returncode == 0, "the verdict counts, not the folder that nobody asked for"
    assert "is not kept" in run.stderr and "Traceback" not in run.stderr
    asked = fencepost("run", short, "--seed", "3", "--report", tmp_path / "again" / "runs" / "here")
    assert asked.returncode == 4 and "Traceback" not in asked.stderr
    assert fencepost("run", short, "--report", tmp_path, "--no-report").returncode == 2


def test_power_loss_is_for_the_simulation() -> None:
    run = fencepost("run", SCENARIOS / "power-loss-last-replica.yaml", "--on", "local")
    assert run.returncode == 2
    assert "is for sim only" in run.stderr


def test_exploring_finds_nothing_replays_a_seed_and_continues(short: Path, tmp_path: Path) -> None:
    run = fencepost("explore", short, "--seeds", "2", "--jobs", "1", "--json", directory=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["seed"] for row in rows] == [1, 2]
    again = fencepost("explore", short, "--seed", "2", "--json", directory=tmp_path)
    assert json.loads(again.stdout)["trace_hash"] == rows[1]["trace_hash"], "in another process, the same run"
    more = fencepost("explore", short, "--seeds", "1", "--jobs", "1", "--json", "--continue", directory=tmp_path)
    assert [json.loads(line)["seed"] for line in more.stdout.splitlines()] == [3]


def test_a_failure_that_exploring_finds_is_shrunk_to_a_file_that_fails_again(short: Path, tmp_path: Path) -> None:
    """No record fits into this cluster, which the last phase of a run notices under any schedule."""
    too_small = ("--set", "cluster/config={message.max.bytes: 20}")
    run = fencepost("explore", short, "--seeds", "3", "--jobs", "1", *too_small, directory=tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert run.stdout.count("DIFFERENT") == 1, "it stops at the first"
    found = tmp_path / "runs" / "found" / "short-1.yaml"
    assert "steps: []" in found.read_text(), "no fault is needed for this"
    again = fencepost("replay", found, directory=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "reproduced: the same run, bit for bit" in again.stdout
    found.write_text(found.read_text().replace("message.max.bytes: 20", "message.max.bytes: 2000000"))
    mended = fencepost("replay", found, directory=tmp_path)
    assert mended.returncode == 1
    assert "not reproduced" in mended.stdout


def test_a_cluster_without_topics_has_nothing_to_give_back(tmp_path: Path) -> None:
    path = tmp_path / "bare.yaml"
    path.write_text("{lab: v1, name: bare, duration: 1s, cluster: {controllers: 1, brokers: 1, profile: fast}}")
    assert fencepost("run", path).returncode == 0


def test_a_kept_run_is_replayed_bit_for_bit(short: Path, tmp_path: Path) -> None:
    fencepost("run", short, "--report", tmp_path / "kept")
    again = fencepost("replay", tmp_path / "kept", "--json")
    assert (again.returncode, json.loads(again.stdout)["reproduced"]) == (0, True)
    nothing = fencepost("replay", tmp_path)
    assert nothing.returncode == 2
    assert f"it holds the runs {tmp_path / 'kept'}" in nothing.stderr
    assert fencepost("replay", short).returncode == 2, "a scenario that records no failure is for `run`"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_gives_its_stated_verdicts_and_the_same_trace_in_two_unlike_processes(
    path: Path, tmp_path: Path
) -> None:
    command = [*COMMAND, "run", str(path), "--all-variants", "--seed", "7", "--json", "--no-report"]
    elsewhere = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SCENARIOS.parent),
        "PYTHONHASHSEED": "99",
        "TZ": "Asia/Tokyo",
    }
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SCENARIOS.parent),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=elsewhere),
    ]
    told = [[json.loads(line) for line in run.communicate()[0].splitlines()] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    here, there = ([(row["variant"], row["verdict"], row["trace_hash"]) for row in rows] for rows in told)
    assert here == there
    assert len({trace_hash for _, _, trace_hash in here}) == len(here), "variants differ, so their traces do"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"target": "sim", "seed": "x", "trace_hash": "", "verdict": "", "checks": []}']
)
def test_a_kept_run_that_cannot_be_read_is_refused_with_a_reason(content: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(content)
    replay = fencepost("replay", tmp_path)
    assert replay.returncode == 2
    assert "its result.json is not of a run" in replay.stderr and "Traceback" not in replay.stderr


def test_a_report_that_cannot_be_kept_is_refused_before_anything_runs(short: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    asked = fencepost("run", short, "--report", tmp_path / "file")
    assert (asked.returncode, asked.stdout) == (2, "") and "Traceback" not in asked.stderr
    beneath = fencepost("run", short, "--report", tmp_path / "file" / "here")
    assert (beneath.returncode, beneath.stdout) == (4, "") and "Traceback" not in beneath.stderr
