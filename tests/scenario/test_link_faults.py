"""From the shape of a link fault to its rules: the same for a scenario and for `fencepost break`."""

from __future__ import annotations

import pytest

from cluster.lab import LabError, link_faults
from cluster.runtime.links import LinkRule, judge


def test_a_bridge_reaches_both_sides_that_do_not_reach_each_other() -> None:
    rules = link_faults.partition((("b1", "b2"), ("b2", "b3")))
    assert rules == (LinkRule("b1", "b3", cut=True), LinkRule("b3", "b1", cut=True))


def test_who_is_isolated_with_others_is_cut_off_from_them_too() -> None:
    rules = link_faults.isolate(("b1", "b2"), ("b1", "b2", "b3"))
    assert sorted((rule.source, rule.target) for rule in rules if rule.cut) == [
        (one, other) for one in ("b1", "b2", "b3") for other in ("b1", "b2", "b3") if one != other
    ]


def test_a_way_that_is_named_twice_is_hampered_once() -> None:
    both = (*link_faults.ways(("b1", "b2"), ("b2",)), *link_faults.ways(("b1",), ("b1", "b2")))
    assert link_faults.hamper(both, latency_ms=5) == (LinkRule("b1", "b2", latency_ms=5),)


def test_losing_everything_is_a_cut_and_losing_some_is_not() -> None:
    for rate, is_cut in ((1.0, True), (0.99, False)):
        rules = link_faults.hamper([("b1", "b2")], drop_rate=rate)
        assert judge(rules, "b1", "b2", None).cut is is_cut


@pytest.mark.parametrize("verb", ["duplicate", "reorder"])
def test_what_a_client_sends_neither_comes_twice_nor_out_of_order(verb: str) -> None:
    with pytest.raises(LabError, match=f"{verb} has nothing to do there"):
        link_faults.link_rules(verb, [("p1", "b2")], {"rate": 0.5}, ["p1"])


@pytest.mark.parametrize("verb", ["slow", "drop", "hold", "throttle", "duplicate", "reorder"])
def test_two_roles_that_turn_out_to_be_one_node_have_no_link(verb: str) -> None:
    ways = link_faults.ways(("b1",), ("b1",))
    assert link_faults.link_rules(verb, ways, {"rate": 0.5, "bandwidth": 1.0}, ["p1"]) == ((), ())
