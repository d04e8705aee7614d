"""What a run's checks say of its own contract: read off the plan, off what befell it, and off what was found."""

from __future__ import annotations

import pytest

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    NodeFaulted,
    PartitionMetadataApplied,
    RecordAcknowledged,
    RecordConsumed,
    RecordSent,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.checks import (
    ORACLES,
    WHITE_BOX,
    Adversity,
    ClientSetting,
    Judgement,
    Panel,
    Setting,
    TopicSetting,
    Violation,
)
from cluster.checks.setting import LEGACY
from cluster.report import CheckResult
from cluster.scenario import make_plan, read_document
from cluster.scenario.adversities import Adversities
from cluster.scenario.contracts import (
    anomalies_of,
    check_contract,
    check_invariants,
    setting_of,
    story_of,
    weigh_trace,
)
from cluster.scenario.legacy import SWITCHES

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
  p3: {produce: orders, transactional-id: x, transaction: 1s}
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
    assert setting.client("p3") == ClientSetting(acks="all", idempotence=True, transactional=True)
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


def knows(partition: TopicPartition, *replicas: int) -> tuple[str, TraceEvent]:
    return "c1", PartitionMetadataApplied(*partition, replicas[0], 0, 0, replicas, replicas, (), 0)


ORDERS = TopicPartition("orders", 0)
PAYMENTS = TopicPartition("payments", 0)
NODES = Setting(
    topics={"orders": TopicSetting(2, 1)},
    names={1: "b1", 2: "b2", 3: "b3", 4: "b4", 5: "c1"},
    voters=("c1",),
)
BEFALLEN = traced(
    knows(ORDERS, 1, 2),
    knows(PAYMENTS, 3),
    ("lab", NodeFaulted("b1", "powered-off")),
    ("lab", NodeFaulted("b1", "powered-off")),
    ("lab", NodeFaulted("b2", "killed")),
    ("lab", StepFired("rot", "bit-rot", ("b2", "b3"))),
    ("lab", StepFired("torn", "torn-write", ("b3", "b1"))),
    ("lab", StepFired("wiped", "wipe", ("c1",))),
)


def test_adversity_counts_the_replicas_that_lost_power_or_bytes() -> None:
    adversities = Adversities(BEFALLEN, NODES)
    assert adversities.on(ORDERS) == Adversity(power_losses=1, damaged_disks=1, damaged_voters=1)
    assert adversities.on(PAYMENTS) == Adversity(damaged_disks=1, damaged_voters=1), "the same disk lost both"
    assert adversities.on(None) == Adversity(power_losses=1, damaged_disks=3, damaged_voters=1)
    assert adversities.on(TopicPartition("untold", 0)) == adversities.on(None)


def test_adversity_is_counted_up_to_what_it_may_have_caused() -> None:
    adversities = Adversities(BEFALLEN, NODES)
    assert adversities.on(ORDERS, until_us=1_999_999) == Adversity()
    assert adversities.on(ORDERS, until_us=4_000_000) == Adversity(power_losses=1)


def test_who_decides_about_transactions_may_have_lost_everybodys_records() -> None:
    decided = [*traced(knows(TopicPartition("__transaction_state", 0), 1)), *BEFALLEN]
    assert Adversities(decided, NODES).on(PAYMENTS).power_losses == 1


LOST = traced(
    ("p1", RecordSent("orders", 0, "a")),
    ("p1", RecordAcknowledged("orders", 0, "a", 0)),
    ("p2", RecordSent("orders", 0, "b")),
    ("p2", RecordAcknowledged("orders", 0, "b", 0)),
    ("reader", RecordConsumed("orders", 0, 0, "z", final=True)),
)


def judgements_of(trace: list[Traced], setting: Setting) -> tuple[Judgement, ...]:
    return weigh_trace(trace, setting, Adversities(trace, setting))


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
    ("name", "dark", "since_us", "outcome"),
    [
        ("leader-completeness", "nobody", 0, "violated"),
        ("leader-completeness", "b2", 2_000_000, "holds"),
        ("leader-completeness", "b2", 3_000_000, "violated"),  # too late to be the cause
        ("leader-completeness", "b3", 2_000_000, "violated"),  # which is no replica
        ("one-leader-per-epoch", "b2", 2_000_000, "violated"),
        ("raft-one-vote-per-term", "b2", 2_000_000, "violated"),
    ],
)
def test_an_invariant_is_excused_only_by_a_loss_that_is_permitted(
    name: str, dark: str, since_us: int, outcome: str
) -> None:
    trace = [*traced(knows(ORDERS, 1, 2)), Traced(since_us, "lab", NodeFaulted(dark, "powered-off"))]
    check = judged(name, NODES, trace)
    assert (check.outcome, check.violation_count) == (outcome, int(outcome == "violated"))
    assert ("b2 lacks it [1.500s]" in check.detail) == (outcome == "violated")


def judged(name: str, setting: Setting, trace: list[Traced]) -> CheckResult:
    """What becomes of one violation of orders-0 after two and a half seconds."""
    panel = Panel([ORACLES[one]() for one in WHITE_BOX], setting)
    panel.oracles[name].violated(Violation(2_500_000, "b2 lacks it", ORDERS, 3))
    return check_invariants(panel, Adversities(trace, setting), 1_000_000)


def test_a_mistake_of_old_excuses_its_own_harm_only() -> None:
    for mistake in LEGACY:
        assert judged("one-leader-per-epoch", Setting(legacy=(mistake,)), []).outcome == "violated"
    assert judged("leader-completeness", Setting(legacy=("truncation",)), []).outcome == "holds"
    assert judged("leader-completeness", Setting(legacy=("consumer-fencing",)), []).outcome == "violated"
    assert judged("replication-quorum-superset", Setting(legacy=("high-watermark",)), []).outcome == "holds"
    assert judged("replication-quorum-superset", Setting(legacy=("truncation",)), []).outcome == "violated"


def test_the_contract_knows_every_mistake_that_can_be_switched_on() -> None:
    assert set(LEGACY) == set(SWITCHES)


def test_violations_that_are_not_described_are_counted() -> None:
    panel = Panel([ORACLES[one]() for one in WHITE_BOX], Setting())
    for number in range(250):
        panel.oracles["leader-in-isr"].violated(Violation(number, "so"))
    assert check_invariants(panel, Adversities([], Setting()), 0).violation_count == 250
