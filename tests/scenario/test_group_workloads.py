"""Consumers in a group: what a scenario may ask of them, and what their deaths leave undone or do twice."""

from __future__ import annotations

from collections import Counter

import pytest

from cluster.base.trace import ConsumerPlaced, RecordConsumed
from cluster.scenario import Run, ScenarioError, make_plan, read_document, run_in_simulation

SCENARIO = """
lab: v1
name: grouped
duration: 15s
cluster:
  controllers: 1
  profile: fast
  topics: {orders: {partitions: 2, replication-factor: 3}}
clients:
  worker: {consume: orders, group: g1, work: 50ms, commit: COMMIT, lifetime: 2s, config: {max.poll.records: 10}}
steps:
  - {id: made, at: 100ms, produce: {topic: orders, count: 60}}
"""


def played(commit: str) -> Run:
    return run_in_simulation(make_plan(read_document(SCENARIO.replace("COMMIT", commit))), 1, "")


def worked_on(run: Run) -> Counter[str]:
    events = [traced.event for traced in run.trace if traced.node == "worker"]
    return Counter(event.value for event in events if isinstance(event, RecordConsumed))


def test_a_commit_after_the_work_repeats_and_skips_nothing() -> None:
    run = played("after")
    counts = worked_on(run)
    assert len(counts) == 60
    assert max(counts.values()) > 1
    placed = [traced.event for traced in run.trace if isinstance(traced.event, ConsumerPlaced)]
    assert len(placed) > 2 and all(event.by_group for event in placed), "one life after the other, placed by the group"


def test_a_commit_before_the_work_skips_and_repeats_nothing() -> None:
    counts = worked_on(played("before"))
    assert max(counts.values()) == 1
    assert len(counts) < 60


@pytest.mark.parametrize(
    ("client", "complaint"),
    [
        ("{produce: orders, group: g1}", "group is for a consumer in a group"),
        ("{consume: orders, work: 10ms}", "work is for a consumer in a group"),
        ("{consume: orders, lifetime: 1s}", "lifetime is for a consumer in a group"),
        ("{consume: orders, group: g1, partition: 0}", "a group gives its members their partitions"),
        ("{produce: orders, transactional-id: job}", "belong together"),
        ("{consume: orders, transactional-id: job, transaction: 1s}", "transactional-id is for a producer"),
        ("{consume: orders, group: g1, commit: never}", "clients/worker/commit"),
    ],
)
def test_what_would_do_nothing_is_refused(client: str, complaint: str) -> None:
    lines = SCENARIO.splitlines()
    text = "\n".join(f"  worker: {client}" if line.startswith("  worker:") else line for line in lines)
    with pytest.raises(ScenarioError, match=complaint):
        make_plan(read_document(text))
