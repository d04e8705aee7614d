"""Who may lead a partition, who does, and who stays eligible: arithmetic without state.

Rules (Kafka's `PartitionChangeBuilder`; KIP-966 for eligible leader replicas, the ELR):

1. A leader comes from the ISR. When the ISR is empty it comes from the ELR: replicas that left an ISR below
   `min.insync.replicas`, when nothing more could be committed with acks=all without them. Both are clean.
2. When both are empty, the last known leader may come back: the least bad of the unclean choices.
3. Any other replica leads only where `unclean.leader.election.enable` says so.
4. An unclean leader's ISR is itself alone; whoever knew more has to truncate.

Here: the rules. Not here: which event asks for them, or how the outcome is written (`partition_change`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cluster.base.ids import NO_NODE, NodeId

Nodes = tuple[NodeId, ...]


class Election(Enum):
    """How far an election may go."""

    PREFERRED = 0
    """Give leadership back to the first replica if it is in the ISR."""

    CLEAN = 1
    """Keep the leader if it may stay, else take another that has every committed record."""

    UNCLEAN = 2
    """As clean; with nobody clean left, take any replica that runs."""


@dataclass(frozen=True, slots=True)
class Electorate:
    """What an election looks at. `last_known_elr` is the last leader, once ISR and ELR are empty."""

    replicas: Nodes
    isr: Nodes
    elr: Nodes
    last_known_elr: Nodes
    leader: NodeId


@dataclass(frozen=True, slots=True)
class Elected:
    """The outcome; nobody is NO_NODE. An unclean leader may lack committed records."""

    leader: NodeId
    is_unclean: bool = False


def elect(electorate: Electorate, election: Election, may_lead: Callable[[NodeId], bool]) -> Elected:
    """Choose a leader. `may_lead` says who is running: registered, unfenced, not shutting down."""

    def is_clean(node: NodeId) -> bool:
        eligible = electorate.isr or electorate.elr
        return node in eligible and may_lead(node)

    preferred = electorate.replicas[0]
    if election is Election.PREFERRED and is_clean(preferred):
        return Elected(preferred)
    if is_clean(electorate.leader):
        return Elected(electorate.leader)
    for node in electorate.replicas:
        if is_clean(node):
            return Elected(node)
    if _last_leader_may_return(electorate) and may_lead(electorate.last_known_elr[0]):
        return Elected(electorate.last_known_elr[0], is_unclean=True)
    if election is Election.UNCLEAN:
        for node in electorate.replicas:
            if may_lead(node):
                return Elected(node, is_unclean=True)
    return Elected(NO_NODE)


def _last_leader_may_return(electorate: Electorate) -> bool:
    return not electorate.isr and not electorate.elr and len(electorate.last_known_elr) == 1


def eligible_leader_replicas(replicas: Nodes, had: Nodes, isr: Nodes, min_isr: int, lost: Nodes = ()) -> Nodes:
    """Return the ELR beside a new ISR: of those who `had` everything (the old ISR and ELR), who is not in it any more.

    Empty as long as the ISR has `min_isr` members, because then records are committed without the others.
    `lost` are replicas that stopped uncleanly and may lack records that they had (KIP-966). In order of
    assignment, so that the same members make the same record.
    """
    if len(isr) >= min(min_isr, len(replicas)):
        return ()
    return tuple(node for node in replicas if node in had and node not in isr and node not in lost)
