"""Selectors mean roles: what they resolve to, and how a mistake is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from cluster.base.ids import TopicPartition
from cluster.lab.selectors import (
    NothingSelected,
    SelectorError,
    check_selector,
    describe,
    parse_selector,
    resolve,
    resolve_some,
)


@dataclass
class ThreeBrokers:
    """A cluster at rest: b1 leads orders-0."""

    brokers: Sequence[str] = ("b1", "b2", "b3")
    controllers: Sequence[str] = ("c1", "c2", "c3")
    clients: Sequence[str] = ("p-main", "p-cut")
    racks: dict[str, str] = field(default_factory=lambda: {"b1": "a", "b2": "b", "b3": "b"})
    leading: str | None = "b1"

    def active_controller(self) -> str | None:
        return "c2"

    def partition_count(self, topic: str) -> int:
        return {"__consumer_offsets": 50, "orders": 1}.get(topic, 0)

    def leader(self, partition: TopicPartition) -> str | None:
        if partition == TopicPartition("__consumer_offsets", 42):  # abs("g1".hashCode()) % 50
            return "b3"
        return self.leading if partition == TopicPartition("orders", 0) else None

    def replicas(self, partition: TopicPartition) -> Sequence[str]:
        return ("b2", "b1", "b3")

    def isr(self, partition: TopicPartition) -> Sequence[str]:
        return ("b1", "b3")

    def elr(self, partition: TopicPartition) -> Sequence[str]:
        return ("b2",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b1", ("b1",)),
        ("p-cut", ("p-cut",)),
        ("brokers", ("b1", "b2", "b3")),
        ("nodes", ("c1", "c2", "c3", "b1", "b2", "b3")),
        ("coordinator(group:g1)", ("b3",)),
        ("brokers - coordinator(group:g1)", ("b1", "b2")),
        ("coordinator(txn:x)", ()),
        ("active-controller", ("c2",)),
        ("leader(orders-0)", ("b1",)),
        ("preferred(orders-0)", ("b2",)),
        ("followers(orders-0)", ("b2", "b3")),
        ("isr(orders-0)", ("b1", "b3")),
        ("elr(orders-0)", ("b2",)),
        ("rack(b)", ("b2", "b3")),
        ("brokers - leader(orders-0)", ("b2", "b3")),
        ("brokers - $victim - b2", ("b1",)),
        ("$side.main", ("b2", "c3")),
        ("rest", ("c1",)),
    ],
)
def test_a_selector_means_the_nodes_in_a_role(text: str, names: tuple[str, ...]) -> None:
    selector = parse_selector(text)
    bindings = {"victim": ("b3",), "side.main": ("b2", "c3")}
    assert resolve(selector, ThreeBrokers(), rng=Random(1), bindings=bindings, rest=("c1",)) == names
    assert describe(selector) == text


def test_picks_are_drawn_from_the_seed_and_have_the_right_size() -> None:
    facts = ThreeBrokers()
    picked = [resolve(parse_selector("one(brokers)"), facts, rng=Random(seed)) for seed in range(20)]
    assert len(set(picked)) == 3
    assert picked == [resolve(parse_selector("one(brokers)"), facts, rng=Random(seed)) for seed in range(20)]
    assert len(resolve(parse_selector("minority(controllers)"), facts, rng=Random(1))) == 1
    assert len(resolve(parse_selector("majority(controllers - c1)"), facts, rng=Random(1))) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("leeder(orders-0)", "did you mean leader"),
        ("broker", "did you mean brokers"),
        ("leader(order-0)", "did you mean orders"),
        ("leader(orders)", "such as orders-0"),
        ("leader(orders-7)", "the last partition of orders is orders-1"),
        ("rack(c)", "unknown rack"),
        ("leader(orders-0", "not closed"),
        ("one(brokers", "not closed"),
        ("brokers -b1", "a minus needs spaces"),
        ("", "expected a selector"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(text: str, complaint: str) -> None:
    with pytest.raises(SelectorError, match=complaint):
        check_selector(parse_selector(text), ["b1", "b2", "b3"], {"orders": 2}, ["a", "b"])


def test_a_role_that_nobody_has_is_not_an_error_of_the_author() -> None:
    with pytest.raises(NothingSelected, match=r"leader\(orders-0\) means nobody"):
        resolve_some(parse_selector("leader(orders-0)"), ThreeBrokers(leading=None), rng=Random(1))


def test_an_unbound_variable_is_an_error() -> None:
    with pytest.raises(SelectorError, match=r"\$victim is not bound"):
        resolve(parse_selector("$victim"), ThreeBrokers(), rng=Random(1))
