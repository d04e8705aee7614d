"""Bugs of coordinators and of transactions in the log, each planted in one place of the brokers' real code.

Here: consumer groups, committed offsets, transactions. Not here: replication (`replication_mutants`), schedules
(`schedules`), and what must notice (`mutant_catalogue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.broker.coordinator import CONSUMER_OFFSETS, TRANSACTION_STATE, HostedShard
from cluster.broker.transaction_coordinator import TransactionCoordinator
from cluster.groups import shard as group_shard
from cluster.groups.decision import Turn
from cluster.groups.requests import SyncRequest
from cluster.replication.replica import Replica
from cluster.storage import Log
from cluster.transactions import requests
from cluster.transactions.transaction import Transaction


def _answer_at_once(patch: pytest.MonkeyPatch, topic: str) -> None:
    original = HostedShard._answer_when_committed

    def answer(hosted: HostedShard[Any], answers: Sequence[Any]) -> None:
        if hosted.partition.topic_partition.topic == topic:
            hosted._answer(answers)
        else:
            original(hosted, answers)

    patch.setattr(HostedShard, "_answer_when_committed", answer)


def commit_offsets_unreplicated(patch: pytest.MonkeyPatch) -> None:
    """A group's coordinator answers before its record is committed."""
    _answer_at_once(patch, CONSUMER_OFFSETS.name)


def write_markers_before_the_decision_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A transaction's coordinator carries out what may still be forgotten: PrepareCommit is not committed yet."""
    _answer_at_once(patch, TRANSACTION_STATE.name)


def give_a_partition_to_two_members(patch: pytest.MonkeyPatch) -> None:
    """Every member is told the share of the first."""
    original = group_shard.sync

    def sync(turn: Turn, token: int, request: SyncRequest) -> None:
        shares = [share for share in request.assignments.values() if share]
        same = dict.fromkeys(request.assignments, shares[0] if shares else b"")
        original(turn, token, replace(request, assignments=same))

    patch.setattr(group_shard, "sync", sync)


def lose_a_marker(patch: pytest.MonkeyPatch) -> None:
    """Of several partitions, one is taken for done before it has its marker."""
    original = TransactionCoordinator._by_leader

    def by_leader(
        coordinator: TransactionCoordinator, remaining: dict[TopicPartition, None]
    ) -> dict[NodeId, list[TopicPartition]]:
        if len(remaining) > 1:
            remaining.popitem()
        return original(coordinator, remaining)

    patch.setattr(TransactionCoordinator, "_by_leader", by_leader)


def forget_producer_epochs(patch: pytest.MonkeyPatch) -> None:
    """A coordinator serves a producer whose successor has come."""

    def identity_error(known: Transaction | None, producer_id: int, epoch: int) -> ErrorCode:
        is_known = known is not None and known.producer_id == producer_id
        return ErrorCode.NONE if is_known else ErrorCode.INVALID_PRODUCER_ID_MAPPING

    patch.setattr(requests, "_identity_error", identity_error)


def serve_aborted_records(patch: pytest.MonkeyPatch) -> None:
    """Readers of committed records are not told which transactions were aborted."""
    patch.setattr(Log, "aborted_transactions", lambda log, records: ())


def read_to_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """The last stable offset is the high watermark, whatever transactions are open."""
    patch.setattr(Replica, "last_stable_offset", property(lambda replica: replica.high_watermark))


def take_commits_of_a_lost_member(patch: pytest.MonkeyPatch) -> None:
    """Who was thrown out of a group may still commit for it."""
    patch.setattr(group_shard, "commit_refusal", lambda group, identity, **how: ErrorCode.NONE)
