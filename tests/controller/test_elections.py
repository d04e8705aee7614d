"""Elections and eligible leader replicas, exhaustively over three replicas (KIP-966)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations

from cluster_images import partition

from cluster.base.ids import NO_NODE, NodeId
from cluster.controller.elections import Election, Electorate, Nodes, elect, eligible_leader_replicas
from cluster.controller.partition_change import ChangeRules, change_partition
from cluster.metadata import RECOVERED, RECOVERING, PartitionState, merge_change

REPLICAS: Nodes = (NodeId(1), NodeId(2), NodeId(3))


def subsets(nodes: Nodes) -> Iterator[Nodes]:
    return (part for size in range(len(nodes) + 1) for part in combinations(nodes, size))


def electorates() -> Iterator[tuple[Electorate, Nodes]]:
    """Every ISR, disjoint ELR, leader, last leader, and set of running brokers."""
    for isr in subsets(REPLICAS):
        for elr in subsets(tuple(node for node in REPLICAS if node not in isr)):
            for leader in (NO_NODE, *isr):
                for last_known in ((), (NodeId(2),)):
                    for running in subsets(REPLICAS):
                        yield Electorate(REPLICAS, isr, elr, last_known, leader), running


def test_a_clean_leader_runs_and_is_in_the_isr_or_when_that_is_empty_in_the_elr() -> None:
    for electorate, running in electorates():
        for election in Election:
            elected = elect(electorate, election, running.__contains__)
            if elected.leader != NO_NODE:
                assert elected.leader in running
                assert elected.is_unclean or elected.leader in (electorate.isr or electorate.elr)


def test_an_election_is_unclean_only_when_no_clean_one_is_possible() -> None:
    seen = 0
    for electorate, running in electorates():
        for election in Election:
            if elect(electorate, election, running.__contains__).is_unclean:
                seen += 1
                assert not [node for node in (electorate.isr or electorate.elr) if node in running]
                may_return = not electorate.isr and not electorate.elr and bool(electorate.last_known_elr)
                assert election is Election.UNCLEAN or may_return
    assert seen


def test_nobody_leads_only_when_nobody_may() -> None:
    for electorate, running in electorates():
        if elect(electorate, Election.UNCLEAN, running.__contains__).leader == NO_NODE:
            assert not running
        if elect(electorate, Election.CLEAN, running.__contains__).leader == NO_NODE:
            assert not [node for node in (electorate.isr or electorate.elr) if node in running]


def test_a_leader_that_may_stay_stays_unless_its_preferred_replica_is_in_sync() -> None:
    for electorate, running in electorates():
        if electorate.leader != NO_NODE and electorate.leader in running:
            assert elect(electorate, Election.CLEAN, running.__contains__).leader == electorate.leader
            preferred = elect(electorate, Election.PREFERRED, running.__contains__).leader
            is_possible = 1 in electorate.isr and 1 in running
            assert preferred == (1 if is_possible else electorate.leader)


def test_the_elr_is_who_left_an_isr_below_the_minimum() -> None:
    for before in subsets(REPLICAS):
        for after in subsets(REPLICAS):
            for lost in subsets(REPLICAS):
                for minimum in (1, 2, 3, 4):
                    elr = eligible_leader_replicas(REPLICAS, before, after, minimum, lost)
                    assert not set(elr) & set(after) and not set(elr) & set(lost)
                    assert set(elr) <= set(before)
                    if len(after) >= min(minimum, 3):
                        assert elr == ()
                    else:
                        assert set(elr) == set(before) - set(after) - set(lost)


def states(elr_enabled: bool, minimum: int) -> Iterator[PartitionState]:
    """Every valid state of a partition, as the invariants define it."""
    for isr in (order for part in subsets(REPLICAS) for order in permutations(part)):
        if not elr_enabled and not isr:
            continue
        rest = tuple(node for node in REPLICAS if node not in isr)
        for elr in subsets(rest) if elr_enabled and len(isr) < minimum else ((),):
            for leader in (NO_NODE, *isr):
                last_known = (NodeId(1),) if not isr and not elr else ()
                state = partition(REPLICAS, isr, leader, elr, leader_epoch=5, partition_epoch=9)
                yield replace(state, last_known_elr=last_known)


def test_every_change_leads_from_a_valid_state_to_a_valid_state() -> None:
    changes = 0
    for elr_enabled in (True, False):
        for minimum in (1, 2, 3):
            for state in states(elr_enabled, minimum):
                for running in subsets(REPLICAS):
                    for election in Election:
                        isr = tuple(node for node in state.isr if node in running)
                        rules = ChangeRules(running.__contains__, election, minimum, elr_enabled)
                        record = change_partition(0, state, rules, isr=isr)
                        if record is not None:
                            changes += 1
                            after = merge_change(state, record.partition_change)
                            assert_valid(after, elr_enabled, minimum, running)
                            assert_epochs(state, after)
    assert changes > 1000


def assert_valid(state: PartitionState, elr_enabled: bool, minimum: int, running: Nodes) -> None:
    assert state.leader == NO_NODE or (state.leader in state.isr and state.leader in running)
    assert not set(state.isr) & set(state.eligible_leader_replicas)
    assert set(state.isr) <= set(state.replicas)
    if len(state.isr) >= minimum:
        assert not state.eligible_leader_replicas
    if elr_enabled:
        assert all(node in running for node in state.isr)
    else:
        assert state.isr and not state.eligible_leader_replicas and not state.last_known_elr


def assert_epochs(before: PartitionState, after: PartitionState) -> None:
    """Every change is a partition epoch, a new leader a leader epoch; a smaller ISR alone is not (Kafka 3.6)."""
    assert after.partition_epoch == before.partition_epoch + 1
    assert after.leader_epoch == before.leader_epoch + (after.leader != before.leader)


def test_an_unclean_leader_is_alone_in_its_isr_and_has_to_recover() -> None:
    state = partition(REPLICAS, (), NO_NODE, (1,))
    rules = ChangeRules((NodeId(3),).__contains__, Election.UNCLEAN, 1, elr_enabled=True)
    record = change_partition(0, state, rules)
    assert record is not None
    after = merge_change(state, record.partition_change)
    assert (after.leader, after.isr, after.eligible_leader_replicas) == (3, (3,), ())
    assert (state.leader_recovery_state, after.leader_recovery_state) == (RECOVERED, RECOVERING)


def test_nothing_to_change_is_no_record() -> None:
    state = partition(REPLICAS, (1, 2, 3), 1)
    rules = ChangeRules(REPLICAS.__contains__, Election.CLEAN, 1, elr_enabled=True)
    assert change_partition(0, state, rules) is None
