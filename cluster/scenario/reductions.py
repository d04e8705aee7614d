"""Ways to make a scenario smaller: each yields documents that are simpler in one respect, the boldest first.

Here: what could be left out of a document. Not here: whether it still fails without that (`shrink`). A reduction may
yield a document that makes no sense, such as one in which a step waits for a step that is gone: whoever tries it
finds out. Every candidate is strictly smaller by some measure, so that shrinking ends.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from cluster.lab.quantities import US_PER_SECOND, parse_duration_us, parse_rate_per_second
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError

Reduction = Callable[[Document], Iterator[Document]]

AFTER_LAST_STEP_S = 2
"""Seconds that a shortened run goes on after its last step."""

DEFAULT_DURATION = "60s"
DEFAULT_RATE = "50/s"
STEP_DETAILS = ("apis", "direction", "jitter", "note", "as")
SCENARIO_DETAILS = ("lesson", "variants", "only")
CLUSTER_DETAILS = ("network", "storage", "features", "profile", "legacy")


def fewer_steps(document: Document) -> Iterator[Document]:
    """Leave out half of the steps, then quarters, down to single ones."""
    yield from _shorter_lists(document, ("steps",))


def fewer_checks(document: Document) -> Iterator[Document]:
    """Leave out checks."""
    yield from _shorter_lists(document, ("expect",))


def fewer_clients(document: Document) -> Iterator[Document]:
    """Leave out one client after the other."""
    yield from _without_keys(document, ("clients",), tuple(document.get("clients", {})))


def fewer_details(document: Document) -> Iterator[Document]:
    """Leave out what a scenario, its cluster and its steps can do without."""
    yield from _without_keys(document, (), SCENARIO_DETAILS)
    yield from _without_keys(document, ("cluster",), CLUSTER_DETAILS)
    yield from _without_keys(document, ("cluster", "config"), tuple(_at(document, ("cluster", "config")) or ()))
    for name in document.get("clients", {}):
        path = ("clients", name, "config")
        yield from _without_keys(document, path, tuple(_at(document, path) or ()))
    for number, _ in enumerate(document.get("steps", ())):
        yield from _without_keys(document, ("steps", number), STEP_DETAILS)


def fewer_nodes(document: Document) -> Iterator[Document]:
    """Take away controllers, then brokers, and replicas with them."""
    cluster = document.get("cluster", {})
    controllers = cluster.get("controllers", 3)
    if isinstance(controllers, int):
        yield from (_with(document, ("cluster", "controllers"), fewer) for fewer in range(1, controllers))
    brokers = cluster.get("brokers", 3)
    if isinstance(brokers, int):
        yield from (_with_brokers(document, fewer) for fewer in range(1, brokers))


def fewer_partitions(document: Document) -> Iterator[Document]:
    """Leave out topics, and let the others have fewer partitions."""
    topics = document.get("cluster", {}).get("topics", {})
    yield from _without_keys(document, ("cluster", "topics"), tuple(topics))
    for name, topic in topics.items():
        yield from _smaller(document, ("cluster", "topics", name, "partitions"), topic.get("partitions", 1))


def fewer_records(document: Document) -> Iterator[Document]:
    """Let clients send less."""
    for name, client in document.get("clients", {}).items():
        if "consume" not in client:
            rate = round(parse_rate_per_second(client.get("rate", DEFAULT_RATE)))
            for smaller in _halvings(rate):
                yield _with(document, ("clients", name, "rate"), f"{smaller}/s")


def shorter(document: Document) -> Iterator[Document]:
    """End the run soon after its last step."""
    duration_s = _seconds(document.get("duration", DEFAULT_DURATION))
    ends_s = [_seconds(step["at"]) + _seconds(step.get("for", "0s")) for step in _timed(document)]
    if len(ends_s) < len(document.get("steps", ())):
        return  # steps that wait for others: their times are not known here
    needed_s = int(max(ends_s, default=0.0)) + AFTER_LAST_STEP_S
    for wanted_s in sorted({needed_s, (needed_s + int(duration_s)) // 2}):
        if wanted_s < duration_s:
            yield _with(document, ("duration",), f"{wanted_s}s")


def earlier_steps(document: Document) -> Iterator[Document]:
    """Begin with the faults at once: move all steps towards the start by the same time."""
    first_s = min((_seconds(step["at"]) for step in _timed(document)), default=0.0)
    for moved_s in (int(first_s) - 1, int(first_s) // 2):
        if moved_s > 0:
            moved = copy.deepcopy(document)
            for step in _timed(moved):
                step["at"] = _duration(_seconds(step["at"]) - moved_s)
            yield moved


def shorter_faults(document: Document) -> Iterator[Document]:
    """Let each fault last half as long, in whole seconds while it lasts seconds."""
    for number, step in enumerate(document.get("steps", ())):
        if "for" in step:
            lasts_ms = round(_seconds(step["for"]) * 1000)
            for smaller_ms in _halvings(lasts_ms):
                yield _with(document, ("steps", number, "for"), _duration(smaller_ms / 1000))


def rounder_times(document: Document) -> Iterator[Document]:
    """Let steps begin at whole seconds."""
    for number, step in enumerate(document.get("steps", ())):
        if "at" in step and (begins_s := _seconds(step["at"])) != int(begins_s):
            yield _with(document, ("steps", number, "at"), f"{int(begins_s)}s")


REDUCTIONS: tuple[Reduction, ...] = (
    fewer_steps, fewer_clients, fewer_nodes, fewer_partitions, shorter, earlier_steps, fewer_records,
    shorter_faults, fewer_details, rounder_times, fewer_checks,
)  # fmt: skip
"""In this order: what makes a run cheapest comes first, so that all the rest is tried on cheap runs."""


# --- edits ---------------------------------------------------------------------------------------------


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        if isinstance(document, dict) and part not in document:
            return None
        document = document[part]
    return document


def _with(document: Document, path: tuple[str | int, ...], value: Any) -> Document:
    changed = copy.deepcopy(document)
    place: Any = changed
    for part in path[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    place[path[-1]] = value
    return changed


def _without_keys(document: Document, path: tuple[str | int, ...], keys: tuple[str, ...]) -> Iterator[Document]:
    for key in keys:
        if key in (_at(document, path) or ()):
            changed = copy.deepcopy(document)
            del _at(changed, path)[key]
            yield changed


def _shorter_lists(document: Document, path: tuple[str, ...]) -> Iterator[Document]:
    items = _at(document, path) or []
    size = len(items)
    while size > 0:
        for start in range(0, len(items), size):
            yield _with(document, path, items[:start] + items[start + size :])
        size //= 2


def _with_brokers(document: Document, brokers: int) -> Document:
    changed = _with(document, ("cluster", "brokers"), brokers)
    for topic in changed["cluster"].get("topics", {}).values():
        if topic.get("replication-factor", 1) > brokers:
            topic["replication-factor"] = brokers
    return changed


def _smaller(document: Document, path: tuple[str | int, ...], number: int) -> Iterator[Document]:
    for smaller in _halvings(number):
        yield _with(document, path, smaller)


def _halvings(number: int) -> tuple[int, ...]:
    """One, then half of it: what is worth trying below a number."""
    return tuple(sorted({smaller for smaller in (1, number // 2) if 0 < smaller < number}))


def _timed(document: Document) -> list[Document]:
    return [step for step in document.get("steps", ()) if "at" in step]


def _seconds(duration: str) -> float:
    try:
        return parse_duration_us(duration) / US_PER_SECOND
    except ValueError as error:
        raise ScenarioError([f"{duration!r} is no duration: {error}"]) from error


def _duration(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
