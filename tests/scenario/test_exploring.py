"""Random schedules follow from the seed, can be planned, and stay within the budget."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from cluster.scenario import ExploredSeeds, ScenarioError, check_schema, explored, make_plan, read_document
from cluster.scenario.document import with_override
from cluster.scenario.explore import promises_of
from cluster.scenario.swarm import Swarm

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "leader-crash-acks-all.yaml"
DOCUMENT = read_document(SCENARIO.read_text())


def test_a_schedule_follows_from_its_seed() -> None:
    schedules = [make_plan(explored(DOCUMENT, seed)).steps for seed in range(20)]
    assert schedules == [make_plan(explored(DOCUMENT, seed)).steps for seed in range(20)]
    assert len({str(schedule) for schedule in schedules}) == 20


def test_every_kind_of_fault_is_drawn_and_every_schedule_is_sound() -> None:
    verbs = {step.verb for seed in range(300) for step in make_plan(explored(DOCUMENT, seed)).steps}
    assert verbs == {
        "kill", "stop", "pause", "restart", "crash-loop", "power-off",
        "isolate", "partition", "slow", "drop", "hold", "throttle", "duplicate", "reorder",
        "disk-slow", "clock", "fail", "lose-reply", "elect", "reassign",
    }  # fmt: skip


def test_what_leaves_no_room_for_faults_is_refused_with_the_reason() -> None:
    tiny = {"lab": "v1", "name": "tiny", "duration": "3s", "cluster": {"brokers": 3}}
    with pytest.raises(ScenarioError) as refused:
        explored(tiny, 1)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["duration", "cluster/topics"]
    shortest = {**tiny, "duration": "4s", "cluster": {"topics": {"t": {"partitions": 1, "replication-factor": 1}}}}
    assert all(make_plan(explored(shortest, seed)).steps for seed in range(100))


def test_a_run_knows_some_kinds_of_faults_only() -> None:
    scenario = check_schema(DOCUMENT)
    known = [Swarm(scenario, Random(seed), 40, 0).kinds for seed in range(100)]
    assert sum(len(kinds) for kinds in known) / len(known) < 10
    assert len(set(known)) > 90, "and hardly two runs the same"


def test_faults_are_aimed_at_coordinators_when_there_is_something_to_coordinate() -> None:
    copying = read_document((SCENARIO.parent / "exactly-once-under-kills.yaml").read_text())
    aimed = str([explored(copying, seed)["steps"] for seed in range(50)])
    assert "leader(__transaction_state-0)" in aimed
    assert "leader(__consumer_offsets-0)" in aimed
    assert "leader(__" not in str([explored(DOCUMENT, seed)["steps"] for seed in range(50)])
    checks = {check.id for check in make_plan(explored(copying, 1)).checks}
    assert {"copied-exactly-once", "transactions-atomic", "aborted-never-read", "no-stuck-lso"} <= checks


def test_power_is_lost_within_the_budget_only() -> None:
    for seed in range(300):
        verbs = [step.verb for step in make_plan(explored(DOCUMENT, seed)).steps]
        if "power-off" in verbs:
            assert verbs.count("power-off") == 1, "min.insync.replicas is 2, so one unclean shutdown is survived"
            assert not {"kill", "crash-loop"} & set(verbs), "to the controller these are unclean shutdowns as well"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=1", (True, False, 1)),
        ("clients/p1/acks=1", (False, False, 1)),
        ("clients/p1/config={enable.idempotence: true}", (True, True, 1)),
        ("cluster/topics/orders/config/min.insync.replicas=1", (True, False, 0)),
        ("cluster/features={eligible.leader.replicas.version: 0}", (True, False, 0)),
        ("cluster/topics/orders/config/unclean.leader.election.enable=true", (False, False, 0)),
    ],
)
def test_promises_are_read_off_the_configuration(override: str, expected: tuple[bool, bool, int]) -> None:
    promises = promises_of(check_schema(with_override(DOCUMENT, override)))
    assert (promises.no_lost_acks, promises.exactly_once_in_order, promises.power_losses_max) == expected


def test_only_what_is_promised_is_expected() -> None:
    all_acks = [check.id for check in make_plan(explored(DOCUMENT, 1)).checks]
    one_ack = [check.id for check in make_plan(explored(with_override(DOCUMENT, "clients/p1/acks=1"), 1)).checks]
    assert "no-lost-acks" in all_acks
    assert "no-lost-acks" not in one_ack
    assert set(one_ack) < set(all_acks)


def test_exploring_goes_on_with_the_first_seed_that_nobody_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seeds = ExploredSeeds(DOCUMENT)
    for seed, first_untried in [(2, 1), (3, 1), (1, 4), (6, 4), (4, 5)]:  # they end in any order
        seeds.add(seed)
        assert ExploredSeeds(DOCUMENT).first_untried == first_untried, "whenever it is interrupted"
    assert ExploredSeeds(with_override(DOCUMENT, "clients/p1/acks=1")).first_untried == 1, "another scenario"
