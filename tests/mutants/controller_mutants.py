"""Bugs of the controller, each planted in one place of its real code.

Here: elections, ISRs and epochs. Not here: the quorum that the controller stands on (`raft_mutants`), schedules
(`schedules`), and what must notice (`mutant_catalogue`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.controller import brokers, isr, partition_change
from cluster.controller.elections import Elected, Election, Electorate
from cluster.metadata import MetadataImage, PartitionState, merge_change
from cluster.node.active_controller import ActiveController
from cluster.rpc import metadata_pb2 as pb


def forget_the_epochs_of_a_proposal(patch: pytest.MonkeyPatch) -> None:
    """AlterPartition is believed from whoever sends it, whenever he meant it; its members must be eligible."""

    def check_proposal(image: MetadataImage, partition: PartitionState, wanted: Any, sender: NodeId) -> ErrorCode:
        is_eligible = all(isr._is_eligible(image, partition, member) for member in wanted.new_isr)
        return ErrorCode.NONE if is_eligible else ErrorCode.INELIGIBLE_REPLICA

    patch.setattr(isr, "check_proposal", check_proposal)


def keep_a_fenced_broker_in_the_isr(patch: pytest.MonkeyPatch) -> None:
    """Fencing a broker takes it out of no ISR."""
    patch.setattr(brokers, "take_broker_out", lambda image, configs, broker_id: ())


def elect_from_outside_the_isr(patch: pytest.MonkeyPatch) -> None:
    """Any replica that runs may lead, whatever `unclean.leader.election.enable` says."""
    original = partition_change.elect

    def elect(electorate: Electorate, election: Election, may_lead: Callable[[NodeId], bool]) -> Elected:
        return original(electorate, Election.UNCLEAN, may_lead)

    patch.setattr(partition_change, "elect", elect)


def keep_the_leader_epoch(patch: pytest.MonkeyPatch) -> None:
    """Another leader leads under the same epoch."""

    def merge(partition: PartitionState, change: pb.PartitionChangeRecord) -> PartitionState:
        return replace(merge_change(partition, change), leader_epoch=partition.leader_epoch)

    patch.setattr("cluster.metadata.apply.merge_change", merge)
    patch.setattr(isr, "merge_change", merge)


def trust_a_lost_log(patch: pytest.MonkeyPatch) -> None:
    """A broker that stopped uncleanly keeps its place among the eligible leader replicas (KIP-966)."""
    patch.setattr(brokers, "take_lost_broker_out", brokers.take_broker_out)


def keep_the_elr_for_good(patch: pytest.MonkeyPatch) -> None:
    """Replicas stay eligible although the ISR commits without them."""
    original = partition_change.eligible_leader_replicas
    patch.setattr(
        partition_change,
        "eligible_leader_replicas",
        lambda replicas, had, isr, min_isr, lost=(): original(replicas, had, isr, len(replicas), lost),
    )


def answer_before_the_quorum_has_it(patch: pytest.MonkeyPatch) -> None:
    """The active controller answers when it has decided, not when a majority of controllers has it on disk."""

    async def settled(controller: ActiveController, proposal: object) -> None:
        return

    patch.setattr(ActiveController, "_settled", settled)
