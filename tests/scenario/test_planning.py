"""A scenario is checked whole before anything runs, and every mistake is named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.scenario.document import patched, read_document, with_override
from cluster.scenario.errors import ScenarioError
from cluster.scenario.planner import make_all_plans, make_plan

SCENARIOS = sorted((Path(__file__).resolve().parents[2] / "scenarios").glob("*.yaml"))

SOUND = """
lab: v1
name: sound
duration: 20s
cluster:
  brokers: 3
  controllers: 1
  topics: {orders: {partitions: 1, replication-factor: 3}}
clients:
  p1: {produce: orders, rate: 10/s}
steps:
  - {id: crash, at: 5s, kill: leader(orders-0), as: victim}
  - {id: back, after: crash + 2s, start: $victim}
  - {id: apart, after: back, partition: {one: [b1], others: [rest]}, as: side, for: 3s}
expect:
  - {id: durable, finally: no-lost-acks}
  - {id: elected, eventually: leader(orders-0) != $victim, within: 12s, of: crash}
  - {id: trapped, sometimes: leader(orders-0) in $side.others, between: [apart, apart.end]}
variants:
  acks-1: {patch: {clients: {p1: {acks: 1}}}, verdicts: {durable: any}}
"""


def complaint(text: str) -> str:
    with pytest.raises(ScenarioError) as raised:
        make_all_plans(read_document(text))
    return str(raised.value)


def test_the_sound_scenario_is_accepted() -> None:
    plan, acks_1 = make_all_plans(read_document(SOUND))
    assert [step.id for step in plan.steps] == ["crash", "back", "apart"]
    assert plan.steps[1].after is not None
    assert plan.steps[1].after.plus_us == 2_000_000
    assert plan.clients["p1"].acks == "all"
    assert acks_1.clients["p1"].acks == 1
    assert [check.expected for check in acks_1.checks] == ["any", "holds", "holds"]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_is_sound_with_all_its_variants(path: Path) -> None:
    document = read_document(path.read_text())
    assert len(make_all_plans(document)) == 1 + len(document.get("variants", {}))


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("kill: leader", "kil: leader", "steps/crash: unknown key 'kil'; did you mean kill?"),
        ("duration: 20s", "durration: 20s", "unknown key 'durration'; did you mean duration?"),
        ("duration: 20s", "duration: 20", "write a number and its unit"),
        ("duration: 20s", "duration: 1:30", "'1:30' is not a duration"),
        ("at: 5s", "at: 5", "steps/crash/at: 5 is not a duration"),
        ("at: 5s,", "", "a step needs a trigger"),
        ("at: 5s", "at: 5s, every: 5", "5 is not a duration"),
        ("at: 5s", "at: 5s, every: {period: 5s, cuont: 2}", "did you mean count?"),
        ("kill: leader(orders-0)", "kill: leader(order-0)", "unknown topic 'order'; did you mean orders?"),
        ("kill: leader(orders-0)", "kill: leeder(orders-0)", "unknown selector leeder(); did you mean leader?"),
        ("kill: leader(orders-0)", "kill: p1", "p1 is a client"),
        ("kill: leader(orders-0)", "kill: b1, stop: b2", "a step has one action, not kill and stop"),
        ("after: crash + 2s", "after: crush + 2s", "there is no step 'crush'; did you mean crash?"),
        ("after: crash + 2s", "after: crash + 2", "2' is not a duration"),
        ("start: $victim", "start: $victem", "$victem is bound by no step's as:; did you mean victim?"),
        ("in $side.others", "in $side.other", "$side.other is bound by no step's as:; did you mean side.others?"),
        ("of: crash", "of: cresh", "expect/elected: there is no step 'cresh'; did you mean crash?"),
        ("no-lost-acks", "no-lost-ack", "unknown invariant 'no-lost-ack'; did you mean no-lost-acks?"),
        ("finally: no-lost-acks", "sometimes: no-lost-acks", "is an invariant: say always or finally"),
        ("leader(orders-0) != $victim", "leeder(orders-0) != $victim", "did you mean leader?"),
        ("leader(orders-0) != $victim", "leader(orders-0) ! $victim", "is not understood"),
        ("produce: orders", "produce: order", "clients/p1: unknown topic 'order'; did you mean orders?"),
        ("rate: 10/s", "rate: 10", "10 is not a rate"),
        ("rate: 10/s", "acks: 2", "clients/p1/acks"),
        ("rate: 10/s", "keys: 0", "clients/p1/keys"),
        ("rate: 10/s", "tombstones: 10%", "a tombstone is the end of a key"),
        ("rate: 10/s", "keys: 9, tombstones: 10", "clients/p1/tombstones"),
        ("rate: 10/s", "keys: 9, transactional-id: x, transaction: 1s", "keys is for a producer without transactions"),
        ("replication-factor: 3", "config: {cleanup.policy: compact}", "clients/p1: orders is compacted"),
        ("rate: 10/s", "config: {enable.idempotense: true}", "did you mean enable.idempotence?"),
        ("replication-factor: 3", "replication-factor: 4", "wants 4 replicas"),
        ("replication-factor: 3", "config: {min.isr: 2}", "unknown config 'min.isr'"),
        ("verdicts: {durable: any}", "verdicts: {durible: any}", "did you mean durable?"),
        ("{clients: {p1: {acks: 1}}}", "{steps: {krash: null}}", "names 'krash', which is not there; did you mean"),
        ("{clients: {p1: {acks: 1}}}", "{steps: {crash: null}}", "variant acks-1: steps/back: there is no step"),
        ("id: back", "id: crash", "the step id 'crash' is there twice"),
        ("brokers: 3", "legacy: {truncation: offset}", "write high-watermark, as before KIP-101"),
        ("brokers: 3", "legacy: {trunkation: high-watermark}", "no such switch; did you mean truncation?"),
        ("brokers: 3", "features: {transaction.version: 2}", "transaction.version: 2 is not in this version"),
        ("brokers: 3", "combined: off", "write true or false"),
        ("name: sound", "name: sound\nname: twice", "the key 'name' is there twice"),
        ("name: sound", "on: 3\nname: sound", "unknown key 'on'"),
    ],
)
def test_a_mistake_is_named_with_its_place(written: str, instead: str, expected: str) -> None:
    assert written in SOUND
    assert expected in complaint(SOUND.replace(written, instead))


def test_yaml_keeps_what_was_written() -> None:
    document = read_document("{version: 4.10, octal: 010, time: 1:30, word: off, acks: all, flag: true, number: 12}")
    assert document == {
        "version": "4.10",
        "octal": "010",
        "time": "1:30",
        "word": "off",
        "acks": "all",
        "flag": True,
        "number": 12,
    }


def test_a_patch_merges_deletes_by_null_and_finds_items_by_id() -> None:
    document = {"steps": [{"id": "a", "kill": "b1"}, {"id": "b", "at": "1s"}], "x": {"y": 1}}
    patch = {"steps": {"a": {"kill": None, "stop": "b1"}, "b": None}, "x": {"z": 2}}
    assert patched(document, patch) == {"steps": [{"id": "a", "stop": "b1"}], "x": {"y": 1, "z": 2}}
    assert document["steps"] == [{"id": "a", "kill": "b1"}, {"id": "b", "at": "1s"}]


def test_an_override_has_slashes_because_config_names_hold_dots() -> None:
    plan = make_plan(read_document(SOUND), None, ("cluster/topics/orders/config/min.insync.replicas=2",))
    assert plan.cluster.topics[0].configs == {"min.insync.replicas": "2"}
    assert with_override({"steps": [{"id": "a"}]}, "steps/a/at=3s") == {"steps": [{"id": "a", "at": "3s"}]}
    with pytest.raises(ScenarioError, match="write a path"):
        with_override({}, "seed")


def test_a_feature_switches_its_config() -> None:
    text = SOUND.replace("brokers: 3", "brokers: 3\n  features: {eligible.leader.replicas.version: 0}")
    assert make_plan(read_document(text)).cluster.properties == {"eligible.leader.replicas.enable": "false"}
