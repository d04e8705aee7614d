"""What a run's checks say of its own contract: read off the plan, off what befell it, and off what was found."""

from __future__ import annotations

import pytest

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    NodeFaulted,
    RecordAcknowledged,
    RecordConsumed,
    RecordSent,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, WHITE_BOX, Adversity, Judgement, Panel, Setting, TopicSetting, Violation, weigh
from cluster.checks.history import check_history, history_of
from cluster.scenario import make_plan, read_document
from cluster.scenario.contracts import (
    adversity_of,
    anomalies_of,
    check_contract,
    check_invariants,
    setting_of,
    story_of,
)

PLAN = """
lab: v1
name: contract
cluster:
  brokers: 3
  controllers: 1
  config: {min.insync.replicas: 2}
  features: {eligible.leader.replicas.version: 0}
  topics:
    orders: {replication-factor: 3, config: {flush.messages: 1}}
    payments: {replication-factor: 3, config: {min.insync.replicas: 1, unclean.leader.election.enable: true}}
clients:
  p1: {produce: orders, acks: 1}
  p2: {produce: orders, config: {enable.idempotence: true}}
  t1: {transact: orders, to: payments}
  r1: {consume: orders, config: {isolation.level: read_committed}}
steps:
  - {id: drop, at: 1s, produce: {topic: orders, acks: 0}}
  - {id: force, at: 2s, elect: {unclean: orders-0}}
  - {id: loosen, at: 3s, config: {topic: orders, set: {min.insync.replicas: 1}}}
"""


def test_the_setting_is_read_off_the_plan_with_kafkas_precedence() -> None:
    setting = setting_of(make_plan(read_document(PLAN)))
    assert setting.topic("payments") == TopicSetting(3, 1, True, None)
    assert (setting.client("p1").acks, setting.client("p1").idempotence) == ("1", False)
    assert (setting.client("p2").acks, setting.client("p2").idempotence) == ("all", True)
    assert setting.client("t1").transactional
    assert (setting.client("drop").acks, setting.client("drop").idempotence) == ("0", False)
    assert setting.topic("orders") == TopicSetting(3, 1, True, 1), "what a step loosens is not promised"
    assert setting.client("r1").isolation == "read_committed"
    assert setting.topic("__consumer_offsets").min_insync_replicas == 2, "brokers make it with their own defaults"
    assert not setting.eligible_leader_replicas
    assert setting.names[1] == "b1"
    assert setting.voters == ("c1",)


def traced(*events: tuple[str, TraceEvent]) -> list[Traced]:
    return [Traced(number * 1_000_000, node, event) for number, (node, event) in enumerate(events)]


def test_adversity_counts_nodes_that_lost_power_or_bytes() -> None:
    trace = traced(
        ("lab", NodeFaulted("b1", "powered-off")),
        ("lab", NodeFaulted("b1", "powered-off")),
        ("lab", NodeFaulted("b2", "killed")),
        ("lab", StepFired("rot", "bit-rot", ("b2", "b3"))),
        ("lab", StepFired("torn", "torn-write", ("b3", "b1"))),
    )
    assert adversity_of(trace) == Adversity(power_losses=1, damaged_disks=2)


LOST = traced(
    ("p1", RecordSent("orders", 0, "a")),
    ("p1", RecordAcknowledged("orders", 0, "a", 0)),
    ("p2", RecordSent("orders", 0, "b")),
    ("p2", RecordAcknowledged("orders", 0, "b", 0)),
    ("reader", RecordConsumed("orders", 0, 0, "z", final=True)),
)


def judgements_of(trace: list[Traced], setting: Setting) -> tuple[Judgement, ...]:
    return weigh(check_history(history_of(trace)), setting, Adversity())


def test_a_loss_that_nothing_permits_fails_the_run_beside_one_that_is_permitted() -> None:
    without_steps = PLAN.partition("steps:")[0]
    judgements = judgements_of(LOST, setting_of(make_plan(read_document(without_steps))))
    check = check_contract(judgements, is_read=True)
    assert check.outcome == "violated"
    assert "NOT PERMITTED" in check.detail
    lost = [anomaly for anomaly in anomalies_of(judgements, story_of(LOST, judgements, 0)) if anomaly.name == "unseen"]
    assert [(anomaly.permitted, anomaly.count) for anomaly in lost] == [(False, 1), (True, 1)]
    assert story_of(LOST, judgements, 0).text.startswith("story of orders-0@0 (b)"), "the bug is told first"


def test_without_a_reading_back_the_contract_is_not_vaguely_green() -> None:
    assert check_contract((), is_read=False).outcome == "unknown"
    assert check_contract((), is_read=True).outcome == "holds"


@pytest.mark.parametrize(
    ("name", "power_losses", "outcome", "count"),
    [
        ("leader-completeness", 0, "violated", 1),
        ("leader-completeness", 1, "holds", 0),
        ("one-leader-per-epoch", 1, "violated", 1),
    ],
)
def test_an_invariant_is_excused_only_by_a_loss_that_is_permitted(
    name: str, power_losses: int, outcome: str, count: int
) -> None:
    panel = Panel([ORACLES[one]() for one in WHITE_BOX], Setting(topics={"orders": TopicSetting(3, 1)}))
    panel.oracles[name].violated(Violation(2_500_000, "b2 lacks it", TopicPartition("orders", 0), 3))
    check = check_invariants(panel, Adversity(power_losses=power_losses), 1_000_000)
    assert (check.outcome, check.violation_count) == (outcome, count)
    assert ("b2 lacks it [1.500s]" in check.detail) == (outcome == "violated")


def test_violations_that_are_not_described_are_counted() -> None:
    panel = Panel([ORACLES[one]() for one in WHITE_BOX], Setting())
    for number in range(250):
        panel.oracles["leader-in-isr"].violated(Violation(number, "so"))
    assert check_invariants(panel, Adversity(), 0).violation_count == 250
