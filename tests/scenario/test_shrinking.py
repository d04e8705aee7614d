"""Shrinking keeps the failure and leaves out the rest; reductions are strictly smaller; the file can be replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cluster.scenario import (
    Document,
    Failure,
    ScenarioError,
    check_schema,
    explored,
    fails_alike,
    found_text,
    read_document,
    recorded_failure,
    shrink,
    try_document,
)
from cluster.scenario.found import failure_in_result
from cluster.scenario.reductions import REDUCTIONS, Reduction

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "leader-crash-acks-all.yaml"


def first_by(is_alike: Callable[[Document], bool]) -> Callable[[Sequence[Document]], int | None]:
    return lambda documents: next((number for number, one in enumerate(documents) if is_alike(one)), None)


def has_isolate_and_kill(document: Document) -> bool:
    """Stand-in for a bug: it needs two of many faults, in a cluster of two brokers and more."""
    verbs = {verb for step in document.get("steps", ()) for verb in step}
    return {"isolate", "kill"} <= verbs and document.get("cluster", {}).get("brokers", 3) >= 2


def a_schedule_with_both() -> Document:
    document = read_document(SCENARIO.read_text())
    schedules = (explored(document, seed) for seed in range(1, 200))
    return next(one for one in schedules if has_isolate_and_kill(one) and len(one["steps"]) >= 6)


def test_only_what_the_failure_needs_is_left() -> None:
    small = shrink(a_schedule_with_both(), first_by(has_isolate_and_kill), tries_max=10_000)
    assert small.is_minimal
    assert len(small.document["steps"]) == 2
    assert small.document["cluster"]["brokers"] == 2
    assert small.document["cluster"]["controllers"] == 1
    assert small.document["cluster"]["topics"] == {}
    assert small.document["clients"] == {}
    assert small.document["expect"] == []
    assert check_schema(small.document)


def test_how_many_are_tried_at_once_does_not_change_what_is_found() -> None:
    document = a_schedule_with_both()
    alone = shrink(document, first_by(has_isolate_and_kill), tries_max=10_000)
    together = shrink(document, first_by(has_isolate_and_kill), tries_max=10_000, batch=7)
    assert alone.document == together.document


def test_shrinking_ends_when_the_patience_does() -> None:
    small = shrink(a_schedule_with_both(), first_by(has_isolate_and_kill), tries_max=5)
    assert not small.is_minimal
    assert small.tried == 5
    assert has_isolate_and_kill(small.document)


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda reduction: reduction.__name__)
def test_every_reduction_finds_something_and_comes_to_an_end(reduction: Reduction) -> None:
    document: Document | None = {**a_schedule_with_both(), "duration": "300s"}
    applied = -1
    while document is not None:
        applied += 1
        assert applied < 500
        before = document
        document = next(reduction(document), None)
        assert document != before
    assert applied > 0


def test_a_document_that_is_no_scenario_does_not_fail_alike() -> None:
    assert not fails_alike({"lab": "v1", "name": "x", "steps": [{"id": "a"}]}, 1, Failure(checks=("durable",)))


def test_failures_are_alike_by_their_error_or_a_common_check() -> None:
    assert Failure(checks=("a", "b")).is_like(Failure(checks=("b",)))
    assert not Failure(checks=("a",)).is_like(Failure(checks=("b",)))
    assert Failure(error="SimDeadlock").is_like(Failure(error="SimDeadlock"))
    assert not Failure(error="SimDeadlock").is_like(Failure(checks=("a",)))


LOSING = """
lab: v1
name: losing
duration: 14s
cluster:
  controllers: 1
  profile: fast
  topics: {orders: {partitions: 1, replication-factor: 3, config: {min.insync.replicas: 2}}}
clients:
  p1: {produce: orders, rate: 50/s, acks: 1}
  p2: {produce: orders, rate: 5/s, acks: all}
  r1: {consume: orders}
steps:
  - {id: shake, at: 1s, restart: one(controllers)}
  - {id: lag, at: 4s, slow: followers(orders-0) -> leader(orders-0), apis: [Fetch], latency: 300ms, for: 4s}
  - {id: crash, at: 5s, kill: leader(orders-0), for: 5s}
expect:
  - {id: durable, finally: no-lost-acks}
  - {id: one-leader, always: one-leader-per-epoch}
"""


def test_a_real_loss_is_shrunk_to_a_file_that_loses_again(tmp_path: Path) -> None:
    document = read_document(LOSING)
    trial = try_document(document, 1, "")
    assert trial.failure == Failure(checks=("durable",))
    failure = trial.failure
    small = shrink(document, first_by(lambda one: fails_alike(one, 1, failure)), tries_max=25)
    assert [step["id"] for step in small.document["steps"]] == ["lag", "crash"]
    text = found_text(small.document, try_document(small.document, 1, ""), "as a test")
    again = read_document(text)
    assert recorded_failure(check_schema(again)) == failure
    replayed = try_document(again, again["seed"], "")
    assert replayed.failure == failure
    assert replayed.trace_hash == again["found"]["trace-hash"]


def test_the_failure_of_a_kept_run_is_read_from_its_result() -> None:
    checks = [
        {"id": "a", "outcome": "violated", "expected": "violated"},
        {"id": "b", "outcome": "violated", "expected": "any"},
        {"id": "c", "outcome": "unknown", "expected": "holds"},
    ]
    assert failure_in_result({"checks": checks}) == Failure(checks=("c",))
    assert failure_in_result(json.loads(json.dumps({"checks": checks[:2]}))) is None


def test_a_duration_without_a_unit_is_a_scenario_error() -> None:
    with pytest.raises(ScenarioError, match="no duration"):
        for reduction in REDUCTIONS:
            list(reduction({"lab": "v1", "name": "x", "duration": 10}))
