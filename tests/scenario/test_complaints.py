"""Whoever writes a scenario by hand is told what is wrong in words, where, and on which line."""

from __future__ import annotations

import pytest

from cluster.scenario.complaints import line_of
from cluster.scenario.document import read_document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.planner import make_all_plans

SOUND = """\
lab: v1
name: ten-lines
duration: 10s
cluster:
  brokers: 3
  topics: {orders: {partitions: 1, replication-factor: 3}}
clients:
  p1: {produce: orders, rate: 50/s, acks: all}
steps:
  - {id: n, at: 1s, note: we begin}
  - {id: crash, at: 2s, kill: leader(orders-0), as: victim}
  - id: back
    after: crash + 3s
    start: $victim
expect:
  - {id: durable, finally: no-lost-acks}
variants:
  slow: {patch: {steps: {back: {after: crash + 5s}}}}
"""


def complaints(old: str, new: str) -> tuple[str, ...]:
    assert old in SOUND
    with pytest.raises(ScenarioError) as raised:
        make_all_plans(read_document(SOUND.replace(old, new, 1)))
    return raised.value.problems


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("acks: all", "acks: 2", "clients/p1/acks: write 0, 1 or all, not 2"),
        ("brokers: 3", "brokers: three", "cluster/brokers: write how many, such as 3, or a list"),
        ("brokers: 3", "brokers: [{id: b1, rak: a}]", "cluster/brokers/b1: unknown key 'rak'; did you mean rack?"),
        ("brokers: 3", "brokers: 0", "cluster: A cluster has 1 to 64 brokers, not 0."),
        ("brokers: 3", "brokers: 2", "cluster/topics/orders: orders wants 3 replicas, and there are 2 brokers."),
        ("partitions: 1", "partitions: 0", "cluster/topics/orders/partitions: must be 1 or more, not 0"),
        ("duration: 10s", "seed: abc", "seed: write a whole number, not 'abc'"),
        ("duration: 10s", "duration: 0s", "duration: 0s leave no time for anything"),
        (
            "kill: leader(orders-0)",
            "partition: [b1, b2]",
            "steps/crash/partition: write a mapping, such as {name: value}",
        ),
        ("at: 2s", "when: leader(orders-0) = b1", "'= b1' is not understood; to compare, write =="),
        ("at: 2s", "when: isr(orders-0).sise == 3", "'.sise == 3' is not understood; of a set there is .size"),
        ("at: 2s", "when: isr(orders-0) >", "'isr(orders-0) >': no value at its end"),
        ("at: 2s", "when: lag(r1) > 3", "lag(r1): that is no partition, such as orders-0, and no client"),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write(old: str, new: str, complaint: str) -> None:
    told = complaints(old, new)
    assert len(told) == 1
    assert complaint in told[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("at: 2s", "at: 10s", "steps/crash: it cannot fire before 10.0s, and the run breaks things for 10.0s"),
        ("crash + 3s", "crash + 9s", "steps/back: it cannot fire before 11.0s"),
        ("at: 2s", "every: 20s", "steps/crash: it cannot fire before 20.0s"),
        ("at: 2s", "after: back", "steps/crash: it waits in a circle: crash after back after crash"),
        ("at: 2s, kill: leader(orders-0)", "after: n.end, kill: b1", "n has no end, because it does nothing"),
        ("at: 2s", "every: 0s", "steps/crash/every: a period of 0s would never end"),
        ("kill: leader(orders-0)", "note: hm", "steps/crash: as: remembers whom a fault meant"),
    ],
)  # fmt: skip
def test_a_step_that_can_never_fire_is_refused_before_anything_runs(old: str, new: str, complaint: str) -> None:
    assert any(complaint in told for told in complaints(old, new))


def test_a_mistake_in_a_variant_is_told_with_its_name() -> None:
    assert complaints("{back: {", "{bak: {") == (
        "variant slow: a patch names 'bak', which is not there; did you mean back?",
    )
    assert complaints("crash + 5s", "crash + 8s")[0].startswith("variant slow: steps/back: it cannot fire before 10.0s")


def test_a_part_with_nothing_in_it_is_a_part_that_is_left_out() -> None:
    (plan,) = make_all_plans(read_document("lab: v1\nname: bare\nclients:\nsteps:\nexpect:\n"))
    assert plan.steps == ()


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("steps/crash/at: wrong", 11),
        ("steps/back: wrong", 12),
        ("steps/back/start: wrong", 14),
        ("steps/back: unknown key 'after'", 13),
        ("scenario: unknown key 'duration'; did you mean something?", 3),
        ("cluster/topics/orders/config/no.such: wrong", 6),
        ("variant slow: steps/back: wrong", 18),
        ("variant slow: steps/crash: wrong", 11),
        ("name is missing", None),
        ("nowhere/at-all: wrong", None),
    ],
)
def test_a_complaint_leads_to_its_line(problem: str, line: int | None) -> None:
    assert line_of(SOUND, problem) == line
