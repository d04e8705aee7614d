"""Replicas are spread over racks first, then evenly over brokers (the idea of Kafka's StripedReplicaPlacer)."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.controller.placement import UsableBroker, place_replicas


def brokers(*racks: str, fenced: tuple[int, ...] = ()) -> list[UsableBroker]:
    """Brokers 1, 2, ... in these racks."""
    return [UsableBroker(NodeId(number), rack, number in fenced) for number, rack in enumerate(racks, 1)]


@st.composite
def clusters(draw: st.DrawFn) -> list[UsableBroker]:
    racks = draw(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=9))
    running = draw(st.integers(1, len(racks)))
    fenced = draw(st.sets(st.integers(1, len(racks)))) - {running}
    return brokers(*racks, fenced=tuple(sorted(fenced)))


@given(clusters(), st.data(), st.integers(0, 2**32))
def test_every_placement_is_distinct_led_by_a_running_broker_and_as_wide_as_the_racks(
    cluster: list[UsableBroker], data: st.DataObject, seed: int
) -> None:
    factor = data.draw(st.integers(1, len(cluster)))
    rack_of = {broker.broker_id: broker.rack for broker in cluster}
    fenced = {broker.broker_id for broker in cluster if broker.fenced}
    for replicas in place_replicas(cluster, 7, factor, Random(seed)):
        assert len(replicas) == len(set(replicas)) == factor
        assert replicas[0] not in fenced
        used = Counter(rack_of[node] for node in replicas)
        assert len(used) == min(factor, len(set(rack_of.values())))
        for broker in cluster:  # nobody is passed over for somebody who is fenced in the same rack
            if broker.broker_id not in replicas and broker.broker_id not in fenced:
                assert not [node for node in replicas if rack_of[node] == broker.rack and node in fenced]


@pytest.mark.parametrize("racks", [("",) * 3, ("a", "b", "c"), ("a",) * 3 + ("b",) * 3 + ("c",) * 3])
def test_leaders_and_followers_are_spread_evenly(racks: tuple[str, ...]) -> None:
    placed = place_replicas(brokers(*racks), 2 * len(racks), 3, Random(5))
    assert set(Counter(replicas[0] for replicas in placed).values()) == {2}
    assert set(Counter(node for replicas in placed for node in replicas).values()) == {6}


def test_the_dice_decide_where_the_rings_start() -> None:
    firsts = {place_replicas(brokers("", "", ""), 1, 3, Random(seed))[0][0] for seed in range(20)}
    assert firsts == {1, 2, 3}
    assert place_replicas(brokers("", "", ""), 4, 3, Random(9)) == place_replicas(brokers("", "", ""), 4, 3, Random(9))


def test_too_few_brokers_are_refused() -> None:
    for cluster, factor in ((brokers(""), 2), (brokers("", "", fenced=(1, 2)), 1), ([], 1)):
        with pytest.raises(KafkaError) as refusal:
            place_replicas(cluster, 1, factor, Random(1))
        assert refusal.value.code is ErrorCode.INVALID_REPLICATION_FACTOR
