"""Where `--reset-offsets` moves a group: the eight ways of Kafka's tool, kept within each partition's log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cluster.console.errors import failure
from cluster.console.group_calls import End, GroupCalls
from cluster.console.group_text import Place

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to; exactly one field is set."""

    offset: int | None = None
    shift: int | None = None
    time_ms: int | None = None
    end: End | None = None
    current: bool = False
    plan: Mapping[str, Mapping[Place, int]] | None = None


def new_offsets(calls: GroupCalls, group: str, places: Sequence[Place], target: Target, warn: Say) -> dict[Place, int]:
    """Return the offset that each partition gets. Raises LabError."""
    if target.end is not None:
        return calls.ends(places, target.end)
    if target.time_ms is not None:
        return calls.at_time(places, target.time_ms, warn)
    if target.offset is not None:
        return _within_logs(calls, dict.fromkeys(places, target.offset), warn)
    if target.plan is not None:
        if group not in target.plan:
            raise failure(f"No reset plan for group {group} found", "Name the group in the file's first column.")
        return _within_logs(calls, target.plan[group], warn)
    committed = calls.committed(group)
    if target.shift is not None:
        for topic, partition in places:
            if (topic, partition) not in committed:
                raise failure(
                    f"Cannot shift offset for partition {topic}-{partition} since there is no current committed offset",
                    "Choose --to-earliest or --to-offset.",
                )
        return _within_logs(calls, {place: committed[place] + target.shift for place in places}, warn)
    assert target.current, "a target has one field"
    ends = calls.ends([place for place in places if place not in committed], End.LATEST)
    return {place: committed.get(place, ends.get(place, 0)) for place in places}


def _within_logs(calls: GroupCalls, wanted: Mapping[Place, int], warn: Say) -> dict[Place, int]:
    """Move what lies outside a log to its nearest end."""
    places = list(wanted)
    starts, ends = calls.ends(places, End.EARLIEST), calls.ends(places, End.LATEST)
    kept = {}
    for place, offset in wanted.items():
        kept[place] = min(max(offset, starts[place]), ends[place])
        if kept[place] != offset:
            relation = "higher than latest" if offset > ends[place] else "lower than earliest"
            topic, partition = place
            warn(
                f"New offset ({offset}) is {relation} offset for topic partition {topic}-{partition}. "
                f"Value will be set to {kept[place]}"
            )
    return kept
