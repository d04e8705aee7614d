"""Randomised simulation: every invariant after every step, then recovery. A failure names its seed."""

from __future__ import annotations

import pytest
from raft_schedule import Schedule

STEPS = 1_500


@pytest.mark.parametrize("seed", range(40))
def test_three_voters_stay_safe_under_faults_and_recover(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Few entries below a snapshot: followers that fell behind need an InstallSnapshot (paper, section 7).
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", seed % 3)
    schedule = Schedule(seed, voters=3)
    schedule.run(STEPS)
    schedule.recover()


@pytest.mark.parametrize("seed", range(1_000, 1_015))
def test_five_voters_stay_safe_under_faults_and_recover(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", seed % 3)
    schedule = Schedule(seed, voters=5)
    schedule.run(STEPS)
    schedule.recover()


@pytest.mark.parametrize("seed", range(2_000, 2_004))
def test_one_voter_needs_nobody(seed: int) -> None:
    schedule = Schedule(seed, voters=1)
    schedule.run(300)
    schedule.recover()


def test_one_seed_gives_one_history() -> None:
    def history() -> list[object]:
        schedule = Schedule(7, voters=3)
        schedule.run(500)
        return [(voter.applied, voter.events) for voter in schedule.cluster.voters.values()]

    assert history() == history()
