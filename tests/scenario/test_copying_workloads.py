"""The workload that copies in transactions keeps up, and says what became of its records when it is cut off."""

from __future__ import annotations

import pytest

from cluster.base.trace import RecordAcknowledged, RecordFailed, RecordSent, RecordUnknown
from cluster.base.transaction_trace import TransactionResolved
from cluster.scenario import make_plan, read_document, run_in_simulation, runner

SCENARIO = """
lab: v1
name: copied
duration: DURATION
cluster:
  controllers: 1
  profile: fast
  network: {latency: LATENCY}
  config: {offsets.topic.num.partitions: 1, transaction.state.log.num.partitions: 1}
  topics: {orders: {partitions: 2, replication-factor: 3}, copies: {partitions: 2, replication-factor: 3}}
clients:
  p1: {produce: orders, rate: 60/s, config: {enable.idempotence: true}}
  t1: {transact: orders, to: copies, rate: 10/s}
expect:
  - {id: exactly-once, finally: copied-exactly-once}
"""


def scenario(duration: str, latency: str) -> str:
    return SCENARIO.replace("DURATION", duration).replace("LATENCY", latency)


def test_round_trips_of_a_fifth_of_a_second_do_not_leave_a_copier_behind() -> None:
    run = run_in_simulation(make_plan(read_document(scenario("15s", "40ms"))), 1, "")
    assert run.result.verdict == "as-expected", run.result.checks


@pytest.mark.parametrize(
    "client", ["transact: orders, to: copies", "produce: copies, transactional-id: t1, transaction: 30s"]
)
def test_who_is_cut_off_in_a_transaction_does_not_know_what_became_of_it(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FINISH_S", 0.01)
    text = scenario("5s", "40ms").replace("transact: orders, to: copies", client)
    run = run_in_simulation(make_plan(read_document(text)), 1, "")
    resolved = [traced.event for traced in run.trace if isinstance(traced.event, TransactionResolved)]
    assert resolved[-1].outcome == "unknown"
    mine = [traced.event for traced in run.trace if traced.node == "t1"]
    sent = {event.value for event in mine if isinstance(event, RecordSent)}
    told = {event.value for event in mine if isinstance(event, RecordAcknowledged | RecordFailed | RecordUnknown)}
    assert sent == told
