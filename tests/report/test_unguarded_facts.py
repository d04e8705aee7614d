"""Facts without a guard are the facts they were: equality, hashes, defaults, subclasses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, dataclass, replace

import pytest

from cluster.base.facts import unguarded
from cluster.base.trace import BatchAppended, RecordConsumed, Traced


@dataclass(frozen=True, slots=True)
class Guarded:
    """A base as `TraceEvent` is one."""


@dataclass(frozen=True, slots=True)
class Size:
    """A fact with its guard."""

    width: int


@unguarded
@dataclass(frozen=True, slots=True)
class Point(Guarded):
    """Fields with and without a default."""

    across: int
    down: int = 7


def test_a_fact_without_a_guard_is_built_compared_hashed_and_replaced_as_before() -> None:
    assert Point(1) == Point(1, 7) == Point(across=1, down=7) == replace(Point(9), across=1)
    assert hash(Point(1)) == hash(Point(1, 7))
    assert Point(1) != Point(1, 8)
    assert repr(Point(1)) == "Point(across=1, down=7)"
    assert asdict(Point(1)) == {"across": 1, "down": 7}
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_a_fact_that_is_not_named_so_keeps_its_guard() -> None:
    with pytest.raises(FrozenInstanceError):
        Size(1).width = 2  # type: ignore[misc]


def test_trace_events_without_a_guard_travel_through_json() -> None:
    for event in (BatchAppended("orders", 0, "leader", 1, 2, 3), RecordConsumed("orders", 0, 1, "p1-1")):
        traced = Traced(5, "b1", event)
        assert Traced.from_json(traced.to_json()) == traced
