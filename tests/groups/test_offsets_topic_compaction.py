"""`__consumer_offsets` is compacted while groups commit, it shrinks, and coordinators read what is left of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import test_groups_in_simulation as groups
from test_groups_in_simulation import SPEC, ReadingGroup, with_group

from cluster.base.trace import CoordinatorLoaded, LogCompacted

COMPACTING = {
    "log.cleaner.backoff.ms": "300",
    "log.cleaner.min.cleanable.ratio": "0.1",
    "offsets.topic.segment.bytes": "4096",
}


def compactions(group: ReadingGroup) -> list[LogCompacted]:
    events = [traced.event for traced in group.simulation.trace.events]
    return [event for event in events if isinstance(event, LogCompacted) and event.topic == "__consumer_offsets"]


def test_committed_offsets_outlive_compaction_and_their_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SPEC", replace(SPEC, properties={**SPEC.properties, **COMPACTING}))
    found: list[LogCompacted] = []

    async def story(group: ReadingGroup) -> None:
        await group.until(lambda: len(compactions(group)) >= 6, patience_s=200)
        victim, loads = group.coordinator, group.counts[CoordinatorLoaded.kind]
        await group.target.kill(victim)
        await group.until(lambda: group.counts[CoordinatorLoaded.kind] > loads and group.coordinator != victim)
        await group.target.start_node(victim)
        found.extend(compactions(group))

    assert with_group(story) == []
    assert sum(event.before_bytes - event.after_bytes for event in found) > 10_000, "it shrinks"
    assert min(event.after_bytes for event in found) < 3 * 4096
