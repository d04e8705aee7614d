"""Scenarios over compacted topics: the shipped one with its variants, its seed twice, and what clients write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import pytest

from cluster.base.trace import (
    CompactionAbandoned,
    CompactionBegan,
    LogCompacted,
    NodeFaulted,
    RecordConsumed,
    RecordSent,
    StepFired,
)
from cluster.scenario import Plan, make_all_plans, read_document, run_in_simulation
from cluster.scenario.keyed_records import Keys, consumed, record_of
from cluster.scenario.runner import Run
from cluster.scenario.schema import Client

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "scenarios" / "compaction-under-kills.yaml"
SEEDS = range(1, 3)


@cache
def plans() -> tuple[Plan, ...]:
    return make_all_plans(read_document(SCENARIO.read_text()))


@cache
def run_of(number: int, seed: int) -> Run:
    return run_in_simulation(plans()[number], seed, "")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("number", range(4), ids=["as-written", "delete", "compact-and-delete", "brief-tombstones"])
def test_the_shipped_scenario_keeps_its_word(number: int, seed: int) -> None:
    assert len(plans()) == 4
    result = run_of(number, seed).result
    wrong = [f"{check.id} {check.outcome}: {check.detail}" for check in result.checks if not check.is_as_expected]
    assert result.verdict == "as-expected", wrong
    bugs = [anomaly for anomaly in result.anomalies if not anomaly.permitted]
    assert bugs == [], "what a variant loses, its configuration permits"


def test_leaders_die_in_the_middle_of_compacting() -> None:
    trace = run_of(0, 1).trace
    begun: dict[str, int] = {}
    killed_after_us: list[int] = []
    for traced in trace:
        match traced.event:
            case CompactionBegan(topic="prices"):
                begun[traced.node] = traced.time_us
            case LogCompacted(topic="prices") | CompactionAbandoned(topic="prices"):
                del begun[traced.node]
            case NodeFaulted(target=name, state="killed") if name in begun:
                killed_after_us.append(traced.time_us - begun.pop(name))
    assert len(killed_after_us) >= 2, "one at once, one some steps later"
    assert [traced.event.step for traced in trace if isinstance(traced.event, StepFired)].count("leader-dies") == 1


def test_producers_overwrite_the_same_keys_and_consumers_know_tombstones_by_name() -> None:
    trace = run_of(0, 1).trace
    sent = {traced.event.value: traced for traced in trace if isinstance(traced.event, RecordSent)}
    keys = [{one.event.key for one in sent.values() if one.node == name} for name in ("p1", "p2")]  # type: ignore[attr-defined]
    assert len(keys[0] & keys[1]) > 40
    given = [traced.event for traced in trace if isinstance(traced.event, RecordConsumed)]
    mine = [event for event in given if event.value in sent]
    assert len(mine) == len(given) - 1, "only the probe was written by nobody of the workload"
    assert all((event.key, event.tombstone) == _told(sent[event.value].event) for event in mine)
    assert 0 < sum(event.tombstone for event in mine) < len(mine) / 2


def _told(event: object) -> tuple[str, bool]:
    assert isinstance(event, RecordSent)
    return event.key, event.tombstone


def test_some_keys_are_written_often_and_some_rarely() -> None:
    keys = Keys(Client(produce="prices", keys=40, tombstones="25%"), Random(1))  # type: ignore[arg-type]
    drawn = [keys.draw() for _ in range(4000)]
    counts = Counter(key.number for key in drawn)
    assert set(counts) == set(range(40))
    assert counts[0] > 5 * counts[39]
    assert 800 < sum(key.is_tombstone for key in drawn) < 1200


@pytest.mark.parametrize(("key", "tombstone"), [("", False), ("k007", False), ("k007", True)])
def test_what_is_written_is_what_is_shown(key: str, tombstone: bool) -> None:
    sent = RecordSent("prices", 3, "p1-000001", key, tombstone)
    written = {"key": None, "headers": (), **record_of(sent)}
    assert (written["value"] is None) is tombstone
    record = type("Given", (), {"topic": "prices", "partition": 3, "offset": 9, **written})
    assert consumed(record) == RecordConsumed("prices", 3, 9, "p1-000001", False, False, key, tombstone)


def test_the_same_seed_gives_the_same_run_in_two_processes() -> None:
    program = "from cluster.cli import main; main()"
    command = [sys.executable, "-c", program, "run", str(SCENARIO), "--seed", "3", "--json", "--no-report"]
    hashes = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert done.returncode == 0, done.stderr
        hashes.append(json.loads(done.stdout)["trace_hash"])
    assert hashes[0] == hashes[1]
