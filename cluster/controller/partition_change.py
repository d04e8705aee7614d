"""From a wished ISR to the record that brings a partition there, election included (Kafka's `PartitionChangeBuilder`).

Here: one partition at a time. Not here: which partitions an event concerns (`leadership`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cluster.base.ids import NO_NODE, NodeId
from cluster.controller.assignments import Assignment, settled
from cluster.controller.elections import Elected, Election, Electorate, Nodes, elect, eligible_leader_replicas
from cluster.metadata import RECOVERING, PartitionState
from cluster.rpc import metadata_pb2 as pb


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """What a change must respect. `may_lead` says who runs; `lost` stopped uncleanly and may have lost records."""

    may_lead: Callable[[NodeId], bool]
    election: Election
    min_isr: int
    elr_enabled: bool
    lost: Nodes = ()


def change_partition(
    number: int,
    partition: PartitionState,
    rules: ChangeRules,
    *,
    isr: Nodes | None = None,
    leader_recovery_state: int | None = None,
    assignment: Assignment | None = None,
) -> pb.MetadataRecord | None:
    """Return the record that gives the partition this ISR and whatever follows; None when nothing changes.

    What follows is the end of a reassignment, once all its replicas are in the ISR, and a leader.
    """
    isr = partition.isr if isr is None else isr
    assignment = settled(Assignment.of(partition) if assignment is None else assignment, isr)
    isr = tuple(node for node in isr if node in assignment.replicas)
    moved = _moved(partition, assignment, rules)
    elr: Nodes = ()
    if rules.elr_enabled:
        had = (*partition.isr, *partition.eligible_leader_replicas)
        elr = eligible_leader_replicas(moved.replicas, had, isr, rules.min_isr, rules.lost)
    electorate = Electorate(moved.replicas, isr, elr, moved.last_known_elr, partition.leader)
    elected = elect(electorate, rules.election, rules.may_lead)
    isr, elr = _after_election(moved, rules, elected, isr, elr)
    if elected.leader != NO_NODE and settled(assignment, isr) is not assignment:
        # The election itself left an ISR of one, and that one is all that the move wanted.
        moved, elr = _moved(partition, settled(assignment, isr), rules), ()
    recovery = partition.leader_recovery_state if leader_recovery_state is None else leader_recovery_state
    if elected.is_unclean:
        recovery = RECOVERING
    target = replace(
        moved,
        leader=elected.leader,
        isr=isr,
        eligible_leader_replicas=elr,
        last_known_elr=_last_known_leader(moved, isr, elected) if rules.elr_enabled else (),
        leader_recovery_state=recovery,
    )
    return _record_between(number, partition, target)


def _moved(partition: PartitionState, assignment: Assignment, rules: ChangeRules) -> PartitionState:
    """Return the partition with other replicas; whoever is none of them any more is not remembered as a leader."""
    known = partition.last_known_elr if rules.elr_enabled else ()
    return replace(
        partition,
        replicas=assignment.replicas,
        adding_replicas=assignment.adding,
        removing_replicas=assignment.removing,
        last_known_elr=tuple(node for node in known if node in assignment.replicas),
    )


def _after_election(
    partition: PartitionState, rules: ChangeRules, elected: Elected, isr: Nodes, elr: Nodes
) -> tuple[Nodes, Nodes]:
    """Return ISR and ELR as the election leaves them."""
    if elected.is_unclean:
        return (elected.leader,), ()
    if elected.leader in elr:
        # A leader out of the ELR starts an ISR of its own. The others stay eligible only below the minimum.
        isr = (elected.leader,)
        is_enough = len(isr) >= min(rules.min_isr, len(partition.replicas))
        return isr, () if is_enough else tuple(node for node in elr if node != elected.leader)
    if not isr and not rules.elr_enabled:
        # Without the ELR the last member stays in the ISR as the only mark of who has everything.
        return partition.isr, ()
    return isr, elr


def _last_known_leader(partition: PartitionState, isr: Nodes, elected: Elected) -> Nodes:
    """Return who led last, for as long as nobody leads."""
    if elected.leader != NO_NODE:
        return ()
    if not isr and partition.leader in partition.replicas:
        return (partition.leader,)
    return partition.last_known_elr


def _record_between(number: int, before: PartitionState, after: PartitionState) -> pb.MetadataRecord | None:
    """Write only what differs: a leader in the record is a new leader epoch, so the same leader is left out.

    It is named all the same when a replica is taken away: under the old epoch that one could go on fetching, and
    be taken back into the ISR by a leader that has not heard.
    """

    def replicas(old: Nodes, new: Nodes) -> pb.Replicas | None:
        return None if old == new else pb.Replicas(ids=new)

    is_same_recovery = before.leader_recovery_state == after.leader_recovery_state
    takes_away = any(node not in after.replicas for node in before.replicas)
    change = pb.PartitionChangeRecord(
        isr=replicas(before.isr, after.isr),
        leader=after.leader if takes_away or before.leader != after.leader else None,
        replicas=replicas(before.replicas, after.replicas),
        adding_replicas=replicas(before.adding_replicas, after.adding_replicas),
        removing_replicas=replicas(before.removing_replicas, after.removing_replicas),
        leader_recovery_state=None if is_same_recovery else after.leader_recovery_state,
        eligible_leader_replicas=replicas(before.eligible_leader_replicas, after.eligible_leader_replicas),
        last_known_elr=replicas(before.last_known_elr, after.last_known_elr),
    )
    if not change.ListFields():
        return None
    change.topic_id = before.topic_id.bytes
    change.partition_id = number
    return pb.MetadataRecord(partition_change=change)
