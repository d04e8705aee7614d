"""The server-side assignors: every partition once, as even as subscriptions allow, and little is moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.groups import ASSIGNORS, Partitions, TopicIdPartition
from cluster.groups.consumer.assignors import Subscriber, assign_range, assign_uniform

A, B, C = (UUID(int=number) for number in (1, 2, 3))
NOTHING: Partitions = frozenset()


def member(name: str, *topics: UUID, instance: str | None = None, target: Partitions = NOTHING) -> Subscriber:
    return Subscriber(name, instance, frozenset(topics), target)


def numbers(partitions: Partitions, topic: UUID) -> list[int]:
    return sorted(number for topic_id, number in partitions if topic_id == topic)


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[Subscriber], dict[UUID, int]]:
    sizes = draw(st.dictionaries(st.sampled_from([A, B, C]), st.integers(0, 9)))
    subsets = st.frozensets(st.sampled_from([A, B, C]), max_size=3)
    count = draw(st.integers(1, 6))
    shared = draw(st.none() | subsets)
    found = []
    for number in range(count):
        topics = draw(subsets) if shared is None else shared
        anything = st.builds(TopicIdPartition, st.sampled_from([A, B, C]), st.integers(0, 9))
        found.append(Subscriber(f"m{number}", None, topics, draw(st.frozensets(anything, max_size=6))))
    return found, sizes


@pytest.mark.parametrize("name", ASSIGNORS)
@given(case=groups())
@settings(max_examples=200, deadline=None)
def test_every_wanted_partition_is_given_once_to_somebody_who_wants_it(
    name: str, case: tuple[list[Subscriber], dict[UUID, int]]
) -> None:
    subscribers, sizes = case
    given_out = ASSIGNORS[name](subscribers, sizes)
    wanted = frozenset(
        TopicIdPartition(topic, number)
        for topic, size in sizes.items()
        if any(topic in each.topics for each in subscribers)
        for number in range(size)
    )
    counts = Counter(part for partitions in given_out.values() for part in partitions)
    assert counts == Counter(wanted)
    for each in subscribers:
        assert all(part.topic_id in each.topics for part in given_out[each.member_id])


@given(case=groups())
@settings(max_examples=200, deadline=None)
def test_uniform_leaves_nobody_who_could_take_from_somebody_with_two_more(
    case: tuple[list[Subscriber], dict[UUID, int]],
) -> None:
    subscribers, sizes = case
    given_out = assign_uniform(subscribers, sizes)
    for poor in subscribers:
        for rich in subscribers:
            could_take = any(part.topic_id in poor.topics for part in given_out[rich.member_id])
            assert not could_take or len(given_out[rich.member_id]) - len(given_out[poor.member_id]) < 2


@given(case=groups())
@settings(max_examples=200, deadline=None)
def test_uniform_moves_nothing_when_nothing_changed(case: tuple[list[Subscriber], dict[UUID, int]]) -> None:
    subscribers, sizes = case
    first = assign_uniform(subscribers, sizes)
    again = [Subscriber(each.member_id, None, each.topics, first[each.member_id]) for each in subscribers]
    assert assign_uniform(again, sizes) == first
    assert assign_uniform(list(reversed(again)), sizes) == first


def test_uniform_takes_only_what_a_newcomer_needs() -> None:
    all_of_it = frozenset(TopicIdPartition(A, number) for number in range(7))
    first = assign_uniform([member("m1", A, target=all_of_it), member("m2", A)], {A: 7})
    assert first["m1"] < all_of_it and len(first["m1"]) == 4, "whoever has the most keeps the extra one"


def test_range_gives_members_the_same_numbers_of_every_topic() -> None:
    given_out = assign_range([member("m2", A, B), member("m1", A, B)], {A: 5, B: 5})
    assert numbers(given_out["m1"], A) == numbers(given_out["m1"], B) == [0, 1, 2]
    assert numbers(given_out["m2"], A) == numbers(given_out["m2"], B) == [3, 4]


def test_range_puts_static_members_first_by_their_instance_ids() -> None:
    subscribers: Sequence[Subscriber] = [
        member("m1", A),
        member("m9", A, instance="a"),
        member("m3", A, instance="b"),
    ]
    given_out = assign_range(subscribers, {A: 3})
    assert [numbers(given_out[name], A) for name in ("m9", "m3", "m1")] == [[0], [1], [2]]


def test_range_counts_only_who_subscribes() -> None:
    given_out = assign_range([member("m1", A), member("m2", A, B), member("m3", B)], {A: 2, B: 4})
    assert numbers(given_out["m2"], A) == [1] and numbers(given_out["m2"], B) == [0, 1]
    assert numbers(given_out["m3"], B) == [2, 3]
