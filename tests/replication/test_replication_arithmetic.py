"""The pure arithmetic of replication: high watermark, membership, divergence, roles; exhaustive or by property."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.base.ids import NodeId
from cluster.replication.divergence import is_diverging, truncation_of
from cluster.replication.high_watermark import (
    follower_high_watermark,
    high_watermark_after_truncation,
    leader_high_watermark,
)
from cluster.replication.isr_membership import (
    NEVER_MS,
    caught_up_ms,
    effective_min_insync_replicas,
    is_caught_up,
    maximal_isr,
    may_join,
)
from cluster.replication.roles import TRANSITIONS, PartitionRole, RoleEvent, next_role
from cluster.storage import EpochEndOffset

OFFSETS = st.integers(0, 50)


@given(OFFSETS, OFFSETS, st.lists(st.integers(-1, 50), max_size=4))
def test_a_leader_commits_what_everybody_who_counts_holds_and_never_goes_back(
    current: int, end: int, others: list[int]
) -> None:
    end = max(end, current)
    found = leader_high_watermark(current, end, others)
    assert current <= found <= end
    assert found == current or all(other >= found for other in others)
    # It is the greatest such number: one more and somebody would lack a record.
    assert found in (end, current) or any(other < found + 1 for other in others)


def test_a_follower_whose_end_is_unknown_holds_the_high_watermark() -> None:
    assert leader_high_watermark(3, 10, [10, -1]) == 3


@given(OFFSETS, OFFSETS, OFFSETS)
def test_a_follower_claims_no_more_than_it_holds_and_never_goes_back(current: int, leaders: int, end: int) -> None:
    end = max(end, current)
    found = follower_high_watermark(current, leaders, end)
    assert current <= found <= end
    assert found == max(current, min(leaders, end))


def test_truncation_takes_the_high_watermark_along() -> None:
    assert high_watermark_after_truncation(5, 3) == 3
    assert high_watermark_after_truncation(2, 3) == 2


def test_a_follower_at_the_end_has_caught_up_now() -> None:
    assert caught_up_ms(5, 10, 99, leader_end_offset=10, end_offset_at_last_fetch=7, last_fetch_ms=50) == 99


def test_a_follower_that_reached_the_end_of_its_last_fetch_had_caught_up_then() -> None:
    assert caught_up_ms(5, 7, 99, leader_end_offset=10, end_offset_at_last_fetch=7, last_fetch_ms=50) == 50
    assert caught_up_ms(5, 6, 99, leader_end_offset=10, end_offset_at_last_fetch=7, last_fetch_ms=50) == 5


def test_a_first_fetch_behind_the_end_proves_nothing() -> None:
    found = caught_up_ms(NEVER_MS, 6, 99, leader_end_offset=10, end_offset_at_last_fetch=-1, last_fetch_ms=NEVER_MS)
    assert found == NEVER_MS


@given(st.tuples(*[st.integers(0, 100)] * 3), OFFSETS, OFFSETS, st.integers(-1, 50))
def test_the_time_of_catching_up_never_goes_back_and_is_never_in_the_future(
    times: tuple[int, int, int], offset: int, end: int, end_before: int
) -> None:
    previous, last, now = times
    previous, last = min(previous, now), min(last, now)
    found = caught_up_ms(
        previous, offset, now, leader_end_offset=end, end_offset_at_last_fetch=end_before, last_fetch_ms=last
    )
    assert previous <= found <= now


@pytest.mark.parametrize(
    ("follower_end", "caught_up_at", "now", "expected"),
    [(10, NEVER_MS, 500, True), (9, 100, 200, True), (9, 100, 201, False), (9, NEVER_MS, 0, False)],
)
def test_a_follower_stays_while_at_the_end_or_within_the_lag_time(
    follower_end: int, caught_up_at: int, now: int, expected: bool
) -> None:
    assert is_caught_up(follower_end, 10, caught_up_at, now, 100) is expected


@pytest.mark.parametrize(("end", "high_watermark", "epoch_start"), list(product(range(4), repeat=3)))
def test_a_follower_joins_with_all_that_is_committed_and_all_from_before_the_epoch(
    end: int, high_watermark: int, epoch_start: int
) -> None:
    assert may_join(end, high_watermark, epoch_start) == (end >= max(high_watermark, epoch_start))


def test_the_maximal_isr_grows_with_the_question_and_shrinks_with_the_answer() -> None:
    one, two, three = NodeId(1), NodeId(2), NodeId(3)
    assert maximal_isr((one, two), None) == (one, two)
    assert maximal_isr((one, two), (one, two, three)) == (one, two, three)
    assert maximal_isr((one, two, three), (one, three)) == (one, two, three)
    assert maximal_isr((one, two), (one, three)) == (one, two, three)


def test_no_more_replicas_are_asked_for_than_there_are() -> None:
    assert effective_min_insync_replicas(2, 1) == 1
    assert effective_min_insync_replicas(2, 3) == 2


def _epoch_end(history: tuple[int, ...], epoch: int) -> EpochEndOffset:
    """The largest epoch not above `epoch` in a log whose record at offset o has epoch history[o], by definition."""
    if epoch < 0 or not history or epoch > max(history):
        return EpochEndOffset(-1, -1)
    if epoch < history[0]:
        return EpochEndOffset(epoch, 0)
    found = max(each for each in history if each <= epoch)
    return EpochEndOffset(found, max(offset for offset, each in enumerate(history) if each <= epoch) + 1)


def _histories() -> list[tuple[int, ...]]:
    """All logs of up to four records with epochs 0 to 2; epochs never fall along a log."""
    return [
        epochs for length in range(5) for epochs in product(range(3), repeat=length) if list(epochs) == sorted(epochs)
    ]


def _are_possible(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two logs can exist side by side: who has a record of an epoch copied its leader's log up to there."""
    return all(
        one[: one.index(epoch)] == other[: other.index(epoch)] for epoch in range(3) if epoch in one and epoch in other
    )


def test_iterated_truncation_ends_in_a_common_history_and_cuts_nothing_that_is_shared() -> None:
    """KIP-279, for every pair of small logs: one epoch has one leader, so equal epochs agree where both have them."""
    pairs = 0
    epoch = 3  # the leader has begun an epoch of its own, newer than all, without records yet
    for leaders in _histories():
        for follower in (log for log in _histories() if _are_possible(leaders, log)):
            shared = 0
            while shared < min(len(leaders), len(follower)) and leaders[shared] == follower[shared]:
                shared += 1
            log = follower
            for _ in range(10):
                if not log:
                    break
                answer = _epoch_end((*leaders, epoch), log[-1])
                if not is_diverging(len(log), log[-1], answer):
                    break
                cut = truncation_of(answer, _epoch_end(log, answer.epoch), len(log))
                assert cut.offset < len(log), "every step cuts something"
                log = log[: cut.offset]
            assert log == leaders[: len(log)]
            assert len(log) >= shared
            pairs += 1
    assert pairs > 300


def test_a_follower_without_epochs_believes_the_leader() -> None:
    assert truncation_of(EpochEndOffset(3, 7), EpochEndOffset(-1, -1), 9).offset == 7


def test_an_epoch_that_the_follower_never_saw_is_compared_again() -> None:
    cut = truncation_of(EpochEndOffset(1, 15), EpochEndOffset(0, 10), 12)
    assert (cut.offset, cut.completed) == (10, False)


@pytest.mark.parametrize(("role", "event"), list(product(PartitionRole, RoleEvent)))
def test_a_transition_is_in_the_table_or_a_bug(role: PartitionRole, event: RoleEvent) -> None:
    if event in TRANSITIONS[role]:
        assert next_role(role, event) is TRANSITIONS[role][event]
    else:
        with pytest.raises(AssertionError, match="cannot"):
            next_role(role, event)


def test_nothing_leads_out_of_offline_and_every_role_can_fail() -> None:
    assert TRANSITIONS[PartitionRole.OFFLINE] == {}
    alive = [role for role in PartitionRole if role is not PartitionRole.OFFLINE]
    assert all(TRANSITIONS[role][RoleEvent.FAIL] is PartitionRole.OFFLINE for role in alive)
