"""From what was seen to a verdict: scopes, missing moments, and runs that are never vaguely green."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    LogTruncated,
    NodeFaulted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    PhaseBegan,
    RecordAcknowledged,
    RecordConsumed,
    RecordSent,
    StepEnded,
    StepFired,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, Oracle, Panel, Setting, Violation
from cluster.report import CheckResult, ClusterView, Outcome, RunResult, Sighting, tell_story, terminal_text, verdict_of
from cluster.scenario import make_plan, read_document
from cluster.scenario.expressions import Scope
from cluster.scenario.observation import Observer
from cluster.scenario.plan import PlannedCheck
from cluster.scenario.verdicts import Judge
from cluster.scenario.watches import Watch

HEAD = """
lab: v1
name: judged
cluster: {brokers: 3, controllers: 1, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders}}
steps:
  - {id: one, at: 1s, kill: b1, for: 3s, as: victim}
  - {id: two, at: 2s, kill: b2}
expect:
"""


def planned(check: str) -> PlannedCheck:
    return make_plan(read_document(f"{HEAD}  - {{id: it, {check}}}\n")).checks[0]


def seconds(at: float, event: TraceEvent, node: str = "lab") -> Traced:
    return Traced(round(at * 1_000_000), node, event)


def leader(at: float, number: int, epoch: int) -> Traced:
    event = PartitionMetadataApplied("orders", 0, number, epoch, epoch, (1, 2, 3), (1, 2, 3), (), epoch)
    return seconds(at, event, "c1")


def judged(check: str, history: Sequence[Traced], *, end: float = 20, read_back: bool = True) -> CheckResult:
    """Judge a check on a history that begins with faults at 0 s and heals at `end`."""
    one = planned(check)
    view = ClusterView({"b1": 1, "b2": 2, "b3": 3, "c1": 101}, ["b1", "b2", "b3"], ["c1"], ["p1"])
    watches = [Watch(one)] if one.expression is not None else []
    observer = Observer(view, Panel([], Setting()), watches, Scope(view, {"victim": ("b1",)}))
    events = [*history, seconds(0, PhaseBegan("faults")), seconds(end, PhaseBegan("heal"))]
    sampled_us = 0
    for traced in sorted(events, key=lambda traced: traced.time_us):
        while sampled_us + 100_000 <= traced.time_us:
            sampled_us += 100_000
            observer.sample(sampled_us)
        observer.on_event(traced)
    judge = Judge(observer.moments, 0, round(end * 1e6), read_back)
    return judge.of_watch(one, watches[0])


FIRED = seconds(1, StepFired("one", "kill", ("b1",)))
ENDED = seconds(4, StepEnded("one", "healed"))


@pytest.mark.parametrize(
    ("check", "history", "outcome"),
    [
        ("sometimes: leader(orders-0) == b2", [leader(1, 1, 0), leader(2, 2, 1), leader(3, 1, 2)], "holds"),
        ("sometimes: leader(orders-0) == b3", [leader(1, 1, 0), leader(2, 2, 1)], "violated"),
        ("always: leader(orders-0) == b1", [leader(-1, 1, 0)], "holds"),
        ("always: leader(orders-0) == b1", [leader(-1, 1, 0), leader(2, 2, 1)], "violated"),
        ("never: leader(orders-0) == b2", [leader(-1, 1, 0)], "holds"),
        ("never: leader(orders-0) == b2", [leader(-1, 1, 0), leader(2, 2, 1)], "violated"),
        ("eventually: leader(orders-0) == b2, within: 3s, of: one", [FIRED, leader(3.9, 2, 1)], "holds"),
        ("eventually: leader(orders-0) == b2, within: 3s, of: one", [FIRED, leader(4.1, 2, 1)], "violated"),
        ("eventually: leader(orders-0) == b2, within: 3s, of: one", [leader(2, 2, 1)], "unknown"),
        ("eventually: leader(orders-0) == b2, within: 30s, of: one", [FIRED], "unknown"),
        ("always: leader(orders-0) == b1, between: [one, one.end]", [leader(0, 1, 0), FIRED, ENDED], "holds"),
        (
            "always: leader(orders-0) == b1, between: [one, one.end]",
            [leader(0, 1, 0), FIRED, ENDED, leader(5, 2, 1)],
            "holds",
        ),
        (
            "always: leader(orders-0) == b1, between: [one, one.end]",
            [leader(0, 1, 0), FIRED, leader(3, 2, 1), ENDED],
            "violated",
        ),
        ("always: leader(orders-0) == b1, between: [one, one.end]", [leader(0, 1, 0), FIRED], "unknown"),
        ("eventually: leader(orders-0) == b1, within: 3s, of: one + 2s", [leader(0, 1, 0), FIRED], "holds"),
        ("eventually: leader(orders-0) == b2, within: 3s, of: one + 2s", [leader(0, 1, 0), FIRED], "violated"),
        ("always: leader(orders-0) == b1, between: [one + 1s, one.end]", [leader(0, 1, 0), FIRED, ENDED], "holds"),
    ],
)
def test_a_condition_is_judged_within_its_scope(check: str, history: Sequence[Traced], outcome: str) -> None:
    assert judged(check, history).outcome == outcome


def acks(begin: float, end: float) -> list[Traced]:
    times = [begin + number / 10 for number in range(round((end - begin) * 10))]
    return [seconds(at, RecordAcknowledged("orders", 0, f"p1-{at}", 0), "p1") for at in times]


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        ([FIRED, *acks(0, 0.9), seconds(9, StepEnded("one", "healed"))], "holds"),
        ([FIRED, *acks(5, 5.5), seconds(9, StepEnded("one", "healed"))], "violated"),
    ],
    ids=["what was before does not count", "what is inside does"],
)
def test_a_rate_is_judged_on_windows_inside_its_scope(history: Sequence[Traced], outcome: str) -> None:
    assert judged("always: rate(acked(p1)) == 0, between: [one, one.end]", history).outcome == outcome


def test_a_rate_whose_time_is_too_short_to_take_one_is_unknown() -> None:
    history = [FIRED, *acks(0, 5), seconds(2.5, StepEnded("one", "healed"))]
    for check in ("eventually: rate(acked(p1)) > 4", "always: rate(acked(p1)) > 4"):
        result = judged(f"{check}, between: [one, one.end]", history)
        assert (result.outcome, result.detail) == (
            "unknown",
            "its time was shorter than the 2.0s over which a rate is taken",
        )


def test_a_rate_is_seen_though_no_event_says_so() -> None:
    assert judged("sometimes: rate(acked(p1)) > 4", acks(3, 5)).outcome == "holds"
    assert judged("sometimes: rate(acked(p1)) > 14", acks(3, 5)).outcome == "violated"


def of_oracle(check: str, oracle: Oracle, *, read_back: bool) -> str:
    moments = Observer(ClusterView({}, [], []), Panel([], Setting()), [], Scope(ClusterView({}, [], []), {})).moments
    for traced in (FIRED, ENDED):
        moments.on_event(traced)
    return Judge(moments, 0, 10_000_000, read_back).of_oracle(planned(check), oracle).outcome


def test_an_oracle_that_needs_the_reading_back_knows_nothing_without_it() -> None:
    oracle = ORACLES["no-lost-acks"]()
    assert of_oracle("finally: no-lost-acks", oracle, read_back=True) == "holds"
    assert of_oracle("finally: no-lost-acks", oracle, read_back=False) == "unknown"
    oracle.violated(Violation(1, "lost"))
    assert of_oracle("finally: no-lost-acks", oracle, read_back=True) == "violated"


def test_an_oracle_is_judged_within_its_scope() -> None:
    oracle = ORACLES["one-leader-per-epoch"]()
    oracle.violated(Violation(5_000_000, "two leaders"))
    assert of_oracle("always: one-leader-per-epoch", oracle, read_back=True) == "violated"
    assert of_oracle("always: one-leader-per-epoch, between: [one, one.end]", oracle, read_back=True) == "holds"


def test_a_violation_says_where_it_can_be_looked_up() -> None:
    oracle = ORACLES["no-lost-acks"]()
    oracle.violated(Violation(3_500_000, "lost", TopicPartition("orders", 0), 7, "p1-000007"))
    moments = Observer(ClusterView({}, [], []), Panel([], Setting()), [], Scope(ClusterView({}, [], []), {})).moments
    result = Judge(moments, 1_000_000, 10_000_000, True).of_oracle(planned("finally: no-lost-acks"), oracle)
    assert result.sightings == (Sighting(2.5, "orders-0", 7, "p1-000007"),)
    led = judged("never: leader(orders-0) == b2", [leader(-1, 1, 0), leader(2, 2, 1)])
    assert [sighting.at_s for sighting in led.sightings] == [2.0]


def check_result(outcome: Outcome, expected: str) -> CheckResult:
    return CheckResult("it", "always", "so", outcome, expected)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([("holds", "holds"), ("violated", "violated"), ("unknown", "any")], "as-expected"),
        ([("holds", "holds"), ("holds", "violated")], "different"),
        ([("unknown", "holds")], "inconclusive"),
        ([("unknown", "holds"), ("violated", "holds")], "different"),
    ],
)
def test_a_run_is_as_expected_different_or_inconclusive(outcomes: list[tuple[Outcome, str]], verdict: str) -> None:
    assert verdict_of(tuple(check_result(*pair) for pair in outcomes)) == verdict


def test_the_story_of_a_lost_record_names_every_turn() -> None:
    trace = [
        seconds(9.7, RecordSent("orders", 0, "p1-000486"), "p1"),
        seconds(9.72, BatchAppended("orders", 0, "leader", 486, 486, 3), "b1"),
        seconds(9.721, RecordAcknowledged("orders", 0, "p1-000486", 486), "p1"),
        seconds(10, NodeFaulted("b1", "killed")),
        seconds(19.4, PartitionRoleChanged("orders", 0, "leader", 4, 486, 0), "b2"),
        seconds(20, BatchAppended("orders", 0, "leader", 486, 490, 4), "b2"),
        seconds(31.2, LogTruncated("orders", 0, 500, 486, 4), "b1"),
    ]
    story = tell_story(trace, TopicPartition("orders", 0), [486], "p1-000486", 0)
    assert story.text == (
        "story of orders-0@486 (p1-000486): sent by p1 9.700 · appended b1 e3 9.720 · acked to p1 9.721 · "
        "b1 killed, no follower had fetched it 10.000 · e4 starts at 486 on b2 19.400 · "
        "its offset is given again by b2 e4 20.000 · "
        "b1 truncates to 486 under e4 at 31.200"
    )
    assert story.cause == "b1 was killed before any follower had fetched it"


def stored(epoch: int, *nodes: str) -> list[Traced]:
    """Sent, appended by the first, copied by the others, acknowledged: orders-0@5 under an epoch."""
    roles = ["leader", *(["follower"] * (len(nodes) - 1))]
    appends = [
        seconds(2, BatchAppended("orders", 0, role, 5, 5, epoch), node) for node, role in zip(nodes, roles, strict=True)
    ]
    sent = seconds(1, RecordSent("orders", 0, "v"), "p1")
    return [sent, *appends, seconds(3, RecordAcknowledged("orders", 0, "v", 5), "p1")]


@pytest.mark.parametrize(
    ("holders", "faults", "leader", "cause"),
    [
        (["b1"], [], "b2", "b1 was replaced as leader before any follower had fetched it"),
        (["b1"], ["stopped"], "b2", "b1 was stopped before any follower had fetched it"),
        (["b1", "b2"], ["powered-off"], "b1", "b1 came back with less than it had stored, and led"),
        (["b1", "b3"], ["killed"], "b2", "b2 led without it, though b1, b3 had it"),
    ],
)
def test_a_story_says_why_the_record_is_gone(holders: list[str], faults: list[str], leader: str, cause: str) -> None:
    trace = [
        *stored(0, *holders),
        *(seconds(4, NodeFaulted("b1", fault)) for fault in faults),
        seconds(5, PartitionRoleChanged("orders", 0, "leader", 1, 5, 0), leader),
    ]
    assert tell_story(trace, TopicPartition("orders", 0), [5], "v", 0).cause == cause


def test_a_record_that_is_still_there_has_no_cause_to_be_gone() -> None:
    trace = [*stored(0, "b1", "b2"), seconds(5, PartitionRoleChanged("orders", 0, "leader", 1, 6, 0), "b2")]
    assert tell_story(trace, TopicPartition("orders", 0), [5], "v", 0).cause == ""


def test_the_story_of_a_record_stored_twice_tells_both_places() -> None:
    again = seconds(6, BatchAppended("orders", 0, "leader", 7, 7, 1), "b2")
    read = seconds(7, RecordConsumed("orders", 0, 5, "v", final=True), "reader")
    story = tell_story([*stored(0, "b1"), again, read, read], TopicPartition("orders", 0), [5, 7], "v", 0)
    assert story.text == (
        "story of orders-0@5 and @7 (v): sent by p1 1.000 · appended b1 e0 at @5 2.000 · acked to p1 3.000 · "
        "appended b2 e1 at @7 6.000 · given to reader 7.000"
    )


def test_the_report_ends_with_the_command_that_replays() -> None:
    checks = (check_result("violated", "violated"), check_result("holds", "violated"))
    lines = terminal_text(crash_result(checks)).splitlines()
    assert lines[0].startswith("DIFFERENT  crash [acks-1]  seed 42")
    assert "lost acked 2" in lines[1]
    assert lines[2].endswith("→ violated, as expected")
    assert lines[3].endswith("→ holds, expected violated")
    assert lines[-1] == "  replay: fencepost run crash.yaml --seed 42"


def test_a_check_that_accepts_anything_is_told_as_such() -> None:
    lines = terminal_text(crash_result((check_result("violated", "any"), check_result("holds", "any")))).splitlines()
    assert lines[0].startswith("AS EXPECTED")
    assert lines[2].startswith("  · ") and lines[2].endswith("→ violated; any verdict is accepted")
    assert lines[3].startswith("  · ") and lines[3].endswith("→ holds; any verdict is accepted")


def test_a_run_that_is_meant_to_fail_says_so() -> None:
    lines = terminal_text(crash_result((check_result("violated", "violated"),))).splitlines()
    assert lines[0].startswith("FAIL-AS-EXPECTED")


def crash_result(checks: tuple[CheckResult, ...]) -> RunResult:
    return RunResult(
        scenario="crash",
        variant="acks-1",
        target="sim",
        seed=42,
        verdict=verdict_of(checks),
        checks=checks,
        sent=10,
        acked=9,
        failed=0,
        unknown=1,
        consumed=9,
        lost=2,
        duplicates=0,
        leaderless_s=9.4,
        story="story of orders-0@1",
        replay="fencepost run crash.yaml --seed 42",
    )
