"""Who holds a partition while its replicas move: arithmetic without state (KIP-455).

A move first adds, then takes away. While it lasts, `replicas` holds the wished ones, in their order, and after them
those that are to go; `adding` and `removing` say which are which. It is done when all wished replicas are in the ISR.
Until then whoever was in the ISR stays there, so a move that cannot finish costs nothing but the copying.

Here: how a move begins, ends and is taken back (Kafka's `PartitionReassignmentReplicas` and `-Revert`). Not here: what
an operator may ask for (`reassignments`), or the leader that follows from it (`partition_change`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.controller.elections import Nodes
from cluster.metadata import PartitionState


@dataclass(frozen=True, slots=True)
class Assignment:
    """A partition's replicas, and which of them come and go."""

    replicas: Nodes
    adding: Nodes = ()
    removing: Nodes = ()

    @classmethod
    def of(cls, partition: PartitionState) -> Assignment:
        """Return what the metadata says."""
        return cls(partition.replicas, partition.adding_replicas, partition.removing_replicas)

    @property
    def is_moving(self) -> bool:
        """Whether a reassignment is under way."""
        return bool(self.adding or self.removing)

    @property
    def target(self) -> Nodes:
        """Who will be left when the move is done."""
        return without(self.replicas, self.removing)

    @property
    def original(self) -> Nodes:
        """Who will be left when the move is taken back."""
        return without(self.replicas, self.adding)


def toward(current: Assignment, target: Nodes, knowing: Nodes) -> Assignment:
    """Return the beginning of a move to `target`, which may take the place of another move.

    Replicas that the earlier move was adding and that nobody wants any more are dropped at once, unless all who know
    most (`knowing`: the ISR, else the ELR, else the last leader) are among them: then they go when the move is done.
    """
    dropped = without(current.adding, target)
    if knowing and not without(knowing, dropped):
        dropped = ()
    kept = without(current.replicas, dropped)
    original = without(current.original, dropped)
    removing = tuple(sorted(without(kept, target)))
    return Assignment((*target, *removing), adding=without(target, original), removing=removing)


def settled(assignment: Assignment, isr: Nodes) -> Assignment:
    """Return the assignment after the move when this ISR ends it, else the assignment as it is."""
    target = assignment.target
    is_done = assignment.is_moving and bool(target) and not without(target, isr)
    return Assignment(target) if is_done else assignment


def without(nodes: Nodes, others: Nodes) -> Nodes:
    """Return those of `nodes` that are not among the others, in their order."""
    return tuple(node for node in nodes if node not in others)
