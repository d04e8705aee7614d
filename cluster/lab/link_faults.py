"""Network faults as link rules: who can no longer talk with whom, and how slowly.

Here: from the shape of a fault to its rules, one for each direction of each link. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.runtime.links import LinkRule


def isolate(names: Sequence[str], everyone: Sequence[str]) -> tuple[LinkRule, ...]:
    """Cut each of the names off from everyone, those that are isolated with it included."""
    pairs = [(one, other) for one in names for other in everyone if one != other]
    return _cut(pairs)


def partition(sides: Sequence[Sequence[str]]) -> tuple[LinkRule, ...]:
    """Cut every link between members that share no side. Sides may overlap: who is in two of them is a bridge."""
    everyone = list(dict.fromkeys(name for side in sides for name in side))
    pairs = [
        (one, other)
        for one in everyone
        for other in everyone
        if one != other and not any(one in side and other in side for side in sides)
    ]
    return _cut(pairs)


def slow(
    sources: Sequence[str], targets: Sequence[str], latency_ms: float, jitter_ms: float, apis: Sequence[str]
) -> tuple[LinkRule, ...]:
    """Delay what the sources send to the targets."""
    return tuple(
        LinkRule(source, target, latency_ms=latency_ms, jitter_ms=jitter_ms, apis=tuple(apis))
        for source, target in _directed(sources, targets)
    )


def drop(sources: Sequence[str], targets: Sequence[str], rate: float, apis: Sequence[str]) -> tuple[LinkRule, ...]:
    """Lose a share of what the sources send to the targets; a rate of 1 cuts."""
    if rate >= 1:
        return tuple(LinkRule(one, other, cut=True, apis=tuple(apis)) for one, other in _directed(sources, targets))
    return tuple(
        LinkRule(source, target, drop_rate=rate, apis=tuple(apis)) for source, target in _directed(sources, targets)
    )


def _directed(sources: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    return [(source, target) for source in sources for target in targets if source != target]


def _cut(pairs: Iterable[tuple[str, str]]) -> tuple[LinkRule, ...]:
    both_ways = [way for one, other in pairs for way in ((one, other), (other, one))]
    return tuple(LinkRule(source, target, cut=True) for source, target in dict.fromkeys(both_ways))
