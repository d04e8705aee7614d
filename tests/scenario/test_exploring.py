"""Random schedules follow from the seed, can be planned, and stay within the budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.scenario import check_schema, explored, make_plan, read_document
from cluster.scenario.document import with_override
from cluster.scenario.explore import promises_of

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "leader-crash-acks-all.yaml"
DOCUMENT = read_document(SCENARIO.read_text())


def test_a_schedule_follows_from_its_seed() -> None:
    schedules = [make_plan(explored(DOCUMENT, seed)).steps for seed in range(20)]
    assert schedules == [make_plan(explored(DOCUMENT, seed)).steps for seed in range(20)]
    assert len({str(schedule) for schedule in schedules}) == 20


def test_every_kind_of_fault_is_drawn_and_every_schedule_is_sound() -> None:
    verbs = {step.verb for seed in range(300) for step in make_plan(explored(DOCUMENT, seed)).steps}
    expected = {"kill", "stop", "restart", "pause", "isolate", "partition", "slow", "drop", "power-off"}
    assert verbs == expected


def test_power_is_lost_within_the_budget_only() -> None:
    for seed in range(300):
        verbs = [step.verb for step in make_plan(explored(DOCUMENT, seed)).steps]
        if "power-off" in verbs:
            assert verbs.count("power-off") == 1, "min.insync.replicas is 2, so one unclean shutdown is survived"
            assert "kill" not in verbs, "to the controller a kill is an unclean shutdown as well"


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
