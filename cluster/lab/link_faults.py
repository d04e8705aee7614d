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


def ways(sources: Sequence[str], targets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return every way from a source to a target; nobody has a link with itself."""
    return tuple((source, target) for source in sources for target in targets if source != target)


def hamper(
    directions: Iterable[tuple[str, str]],
    *,
    latency_ms: float = 0.0,
    jitter_ms: float = 0.0,
    drop_rate: float = 0.0,
    apis: Sequence[str] = (),
) -> tuple[LinkRule, ...]:
    """Make what is sent some ways late, or lose a share of it. A way that is named twice is hampered once."""
    return tuple(
        LinkRule(source, target, latency_ms=latency_ms, jitter_ms=jitter_ms, drop_rate=drop_rate, apis=tuple(apis))
        for source, target in dict.fromkeys(directions)
    )


def _cut(pairs: Iterable[tuple[str, str]]) -> tuple[LinkRule, ...]:
    both_ways = [way for one, other in pairs for way in ((one, other), (other, one))]
    return tuple(LinkRule(source, target, cut=True) for source, target in dict.fromkeys(both_ways))
