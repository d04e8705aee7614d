"""Records on their way to the members of a share group: locks, acknowledgements, limits, and where the group is."""

from __future__ import annotations

from random import Random

import pytest

from cluster.base.errors import ErrorCode
from cluster.sharing import (
    ACCEPT,
    GAP,
    REJECT,
    RELEASE,
    RENEW,
    TRANSITIONS,
    Acknowledgement,
    Acquired,
    RecordEvent,
    RecordState,
    ShareLimits,
    SharePartition,
    ShareState,
    StateBatch,
    next_record_state,
)

LIMITS = ShareLimits(lock_duration_ms=1_000, delivery_count_max=2, locks_max=10)
INVALID = ErrorCode.INVALID_RECORD_STATE


def share(start: int = 0, *batches: StateBatch, limits: ShareLimits = LIMITS) -> SharePartition:
    return SharePartition(ShareState(0, 0, start, batches), limits)


def said(first: int, last: int, *types: int) -> list[Acknowledgement]:
    return [Acknowledgement(first, last, types or (ACCEPT,))]


@pytest.mark.parametrize("state", RecordState)
@pytest.mark.parametrize("event", RecordEvent)
def test_a_transition_that_is_not_in_the_table_is_a_bug(state: RecordState, event: RecordEvent) -> None:
    if event in TRANSITIONS[state]:
        assert next_record_state(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(AssertionError):
            next_record_state(state, event)


def test_what_one_member_has_no_other_gets() -> None:
    records = share()
    assert records.acquire("m1", [(0, 2)], 10, 0) == [Acquired(0, 2, 1)]
    assert records.next_fetch_offset == 3
    assert records.acquire("m2", [(0, 2), (3, 4)], 10, 0) == [Acquired(3, 4, 1)]


def test_batches_are_given_whole_and_no_more_than_are_wanted() -> None:
    records = share()
    assert records.acquire("m1", [(0, 2), (3, 5), (6, 8)], 4, 0) == [Acquired(0, 5, 1)]


def test_what_is_done_moves_the_start() -> None:
    records = share()
    records.acquire("m1", [(0, 4)], 10, 0)
    assert records.acknowledge("m1", said(1, 2), 0) is ErrorCode.NONE
    assert records.start_offset == 0
    assert records.acknowledge("m1", said(0, 0), 0) is ErrorCode.NONE
    assert records.start_offset == 3
    assert records.acknowledge("m1", said(3, 4, ACCEPT, REJECT), 0) is ErrorCode.NONE
    assert (records.start_offset, records.state.batches) == (5, ())


def test_what_is_released_is_for_anybody_and_after_so_many_deliveries_for_nobody() -> None:
    records = share()
    records.acquire("m1", [(0, 0)], 10, 0)
    records.acknowledge("m1", said(0, 0, RELEASE), 0)
    assert records.next_fetch_offset == 0
    assert records.acquire("m2", [(0, 0)], 10, 0) == [Acquired(0, 0, 2)]
    records.acknowledge("m2", said(0, 0, RELEASE), 0)
    assert records.start_offset == 1, "it was delivered twice, and given up"


def test_a_lock_ends_unless_it_is_renewed() -> None:
    records = share()
    records.acquire("m1", [(0, 1)], 10, 0)
    assert records.next_deadline_ms() == 1_000
    assert records.acknowledge("m1", said(1, 1, RENEW), 900) is ErrorCode.NONE
    assert records.time_passed(1_000)
    assert records.next_fetch_offset == 0
    assert records.acknowledge("m1", said(0, 0), 1_001) is INVALID, "it is no longer its own"
    assert records.acknowledge("m1", said(1, 1), 1_001) is ErrorCode.NONE
    assert not records.time_passed(5_000)


def test_acknowledgements_are_taken_in_wholly_or_not_at_all() -> None:
    records = share()
    records.acquire("m1", [(0, 1)], 10, 0)
    records.acquire("m2", [(2, 3)], 10, 0)
    assert records.acknowledge("m1", [*said(0, 1), *said(2, 2)], 0) is INVALID
    assert records.start_offset == 0
    assert records.acknowledge("m1", said(1, 7), 0) is INVALID, "it never had these"
    assert records.acknowledge("m1", said(1, 0), 0) is ErrorCode.INVALID_REQUEST
    assert records.acknowledge("m1", said(0, 1, ACCEPT, ACCEPT, ACCEPT), 0) is ErrorCode.INVALID_REQUEST
    assert records.acknowledge("m1", said(0, 1, 9), 0) is ErrorCode.INVALID_REQUEST


def test_offsets_without_a_record_count_as_done() -> None:
    records = share()
    assert records.acquire("m1", [(0, 0), (3, 4)], 10, 0) == [Acquired(0, 0, 1), Acquired(3, 4, 1)]
    records.acknowledge("m1", [*said(0, 0), *said(3, 4, GAP, ACCEPT)], 0)
    assert records.start_offset == 5


def test_no_more_is_in_delivery_than_there_may_be() -> None:
    records = share()
    assert records.acquire("m1", [(0, 20)], 100, 0) == [Acquired(0, 9, 1)]
    assert records.is_full
    records.acknowledge("m1", said(0, 3), 0)
    assert not records.is_full
    assert records.acquire("m1", [(10, 20)], 100, 0) == [Acquired(10, 13, 1)]


def test_what_a_member_leaves_behind_is_for_others() -> None:
    records = share()
    records.acquire("m1", [(0, 1)], 10, 0)
    records.acquire("m2", [(2, 3)], 10, 0)
    assert records.release_all_of("m1") and not records.release_all_of("m3")
    assert records.acquire("m2", [(0, 3)], 10, 0) == [Acquired(0, 1, 2)]


def test_what_retention_deleted_nobody_gets() -> None:
    records = share()
    records.acquire("m1", [(0, 3)], 10, 0)
    records.log_starts_at(2)
    assert records.start_offset == 2
    assert records.acknowledge("m1", said(0, 3), 0) is ErrorCode.NONE
    records.log_starts_at(9)
    assert records.next_fetch_offset == 9


def test_what_compaction_took_is_waited_for_no_longer() -> None:
    records = share()
    records.acquire("m1", [(0, 5)], 10, 0)
    records.acknowledge("m1", [*said(0, 1, RELEASE), *said(4, 4, RELEASE)], 0)
    records.found_only(0, [(3, 3)], 5)
    assert records.next_fetch_offset == 6
    records.acknowledge("m1", [*said(2, 3), *said(5, 5)], 0)
    assert records.start_offset == 6


def test_a_gap_may_be_longer_than_what_may_be_in_delivery() -> None:
    records = share()
    records.found_only(0, [(50, 51)], 52)
    assert records.acquire("m1", [(50, 51)], 10, 0) == [Acquired(50, 51, 1)]
    records.found_only(52, [(100, 100)], 101)
    assert records.acquire("m2", [(100, 100)], 10, 0) == []
    records.acknowledge("m1", said(50, 51), 0)
    assert records.acquire("m2", [(100, 100)], 10, 0) == [Acquired(100, 100, 1)]


def test_records_that_take_the_place_of_lost_ones_are_given() -> None:
    records = share()
    records.acquire("m1", [(0, 5)], 10, 0)
    records.acknowledge("m1", said(1, 5), 0)
    records.log_ends_at(3)
    assert records.next_fetch_offset == 3
    assert records.acknowledge("m1", said(0, 0), 0) is ErrorCode.NONE
    assert records.start_offset == 3
    records.log_ends_at(1)
    assert records.acquire("m2", [(1, 2)], 10, 0) == [Acquired(1, 2, 1)]


def test_whoever_leads_next_goes_on_with_what_was_kept() -> None:
    records = share()
    records.acquire("m1", [(0, 5)], 10, 0)
    records.acknowledge("m1", [*said(1, 1), *said(3, 3, RELEASE)], 0)
    state = records.state
    assert state.start_offset == 0 and StateBatch(1, 1, RecordState.ACKNOWLEDGED, 1) in state.batches
    after = SharePartition(state, LIMITS)
    given = after.acquire("m2", [(0, 5)], 10, 0)
    assert [each.first_offset for each in given] == [0, 2] and given[-1].last_offset == 5
    assert after.state.batches != state.batches


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_a_record_has_one_holder_and_what_was_accepted_never_comes_back(seed: int) -> None:
    live(seed)


def test_a_lock_that_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_free(self: SharePartition, offset: int) -> bool:
        delivery = self._deliveries[offset]
        if delivery.state is RecordState.ACQUIRED:
            self._release(offset)
        return self._deliveries[offset].state is RecordState.AVAILABLE

    monkeypatch.setattr(SharePartition, "_is_free", is_free)
    with pytest.raises(AssertionError):
        for seed in range(20):
            live(seed)


def live(seed: int) -> None:
    """One random life of a share partition, with members, time and changes of leader."""
    rng = Random(seed)
    records, now_ms = share(), 0
    accepted: dict[int, None] = {}
    held: dict[int, tuple[str, int]] = {}
    for _ in range(120):
        member = rng.choice(("m1", "m2", "m3"))
        action = rng.randrange(5)
        if action == 0:
            first = records.next_fetch_offset
            ranges = [(first - first % 3, first - first % 3 + 2), (first - first % 3 + 3, first - first % 3 + 5)]
            for low, high, _ in records.acquire(member, ranges, rng.randrange(1, 6), now_ms):
                for offset in range(low, high + 1):
                    assert offset not in accepted, "it was processed"
                    assert offset not in held, f"{held[offset]} has it"
                    held[offset] = (member, now_ms + LIMITS.lock_duration_ms)
        elif action == 1 and held:
            offset = rng.choice(sorted(held))
            kind = rng.choice((ACCEPT, RELEASE, REJECT))
            error = records.acknowledge(member, said(offset, offset, kind), now_ms)
            assert (error is ErrorCode.NONE) == (held[offset][0] == member or offset < records.start_offset)
            if held[offset][0] == member:
                del held[offset]
                if kind == ACCEPT:
                    accepted[offset] = None
        elif action == 2:
            records.release_all_of(member)
            held = {offset: holder for offset, holder in held.items() if holder[0] != member}
        elif action == 3:
            now_ms += rng.choice((100, 700))
            records.time_passed(now_ms)
            held = {offset: holder for offset, holder in held.items() if holder[1] > now_ms}
        elif rng.random() < 0.3:
            records, held = SharePartition(records.state, LIMITS), {}
        assert all(offset >= records.start_offset for offset in held)
