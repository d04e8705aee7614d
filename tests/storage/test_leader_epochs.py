"""The leader-epoch cache: what KIP-101 and KIP-279 ask of it (Kafka's LeaderEpochFileCacheTest)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_histories import DIRECTORY
from memory_disk import MemoryDisk

from cluster.storage import EpochEndOffset, EpochStart
from cluster.storage.epochs import LeaderEpochs

UNKNOWN = EpochEndOffset(-1, -1)


def epochs_with(*pairs: tuple[int, int]) -> LeaderEpochs:
    epochs = LeaderEpochs(MemoryDisk(), DIRECTORY)
    for epoch, start_offset in pairs:
        epochs.assign(epoch, start_offset)
    return epochs


def test_an_empty_cache_knows_nothing() -> None:
    epochs = epochs_with()
    assert (epochs.latest, epochs.entries, epochs.epoch_at(0)) == (-1, (), -1)
    assert epochs.end_offset_for(0, 10) == epochs.end_offset_for(-1, 10) == UNKNOWN


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (-1, UNKNOWN),
        (1, EpochEndOffset(1, 11)),
        (2, EpochEndOffset(2, 20)),
        (3, EpochEndOffset(2, 20)),
        (4, EpochEndOffset(4, 30)),
        (7, EpochEndOffset(7, 99)),
        (8, UNKNOWN),
    ],
    ids=["none", "older than all", "known", "between", "known 4", "newest", "newer than all"],
)
def test_an_epoch_ends_where_the_next_known_one_begins(epoch: int, expected: EpochEndOffset) -> None:
    epochs = epochs_with((2, 11), (4, 20), (7, 30))
    assert epochs.end_offset_for(epoch, 99) == expected


def test_each_offset_has_the_epoch_that_begins_at_or_before_it() -> None:
    epochs = epochs_with((2, 11), (4, 20))
    assert [epochs.epoch_at(offset) for offset in (10, 11, 19, 20, 500)] == [-1, 2, 2, 4, 4]


def test_an_epoch_that_wrote_nothing_gives_way_to_the_next() -> None:
    assert epochs_with((1, 0), (2, 5), (3, 5)).entries == (EpochStart(1, 0), EpochStart(3, 5))


def test_an_epoch_begins_once() -> None:
    assert epochs_with((1, 0), (1, 5), (1, 9)).entries == (EpochStart(1, 0),)


def test_what_contradicts_a_new_epoch_is_forgotten() -> None:
    assert epochs_with((1, 0), (5, 10), (3, 20)).entries == (EpochStart(1, 0), EpochStart(3, 20))
    assert epochs_with((1, 0), (2, 10), (3, 5)).entries == (EpochStart(1, 0), EpochStart(3, 5))


def test_truncation_from_either_end() -> None:
    epochs = epochs_with((1, 0), (2, 10), (3, 20))
    epochs.truncate_from_end(20)
    assert epochs.entries == (EpochStart(1, 0), EpochStart(2, 10))
    epochs.truncate_from_start(4)
    assert epochs.entries == (EpochStart(1, 4), EpochStart(2, 10))
    epochs.truncate_from_start(10)
    assert epochs.entries == (EpochStart(2, 10),)
    epochs.truncate_from_end(10)
    assert (epochs.entries, epochs.latest) == ((), -1)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["assign", "end", "start"]), st.integers(0, 9), st.integers(0, 50)), max_size=20
    )
)
@settings(deadline=None)
def test_epochs_and_offsets_always_grow_and_the_file_says_the_same(steps: list[tuple[str, int, int]]) -> None:
    disk = MemoryDisk()
    epochs = LeaderEpochs(disk, DIRECTORY)
    for name, epoch, offset in steps:
        if name == "assign":
            epochs.assign(epoch, offset)
            assert epochs.latest == epoch
        elif name == "end":
            epochs.truncate_from_end(offset)
            assert all(entry.start_offset < offset for entry in epochs.entries)
        else:
            epochs.truncate_from_start(offset)
            assert all(entry.start_offset >= offset for entry in epochs.entries)
        assert list(epochs.entries) == sorted(epochs.entries)
        assert len({entry.start_offset for entry in epochs.entries}) == len(epochs.entries)
        assert len({entry.epoch for entry in epochs.entries}) == len(epochs.entries)
        again = LeaderEpochs(disk, DIRECTORY)
        assert (again.entries, again.latest) == (epochs.entries, epochs.latest)
