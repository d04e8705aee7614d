"""Network faults as rules: who can no longer talk with whom, and how badly.

Here: from the shape of a fault to its rules, one for each direction of each link. Pure. Rules that name APIs cannot be
about the bytes of a client's connection: there they become rules about requests, at the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.base.request_faults import RequestRule
from cluster.lab.errors import USAGE, LabError
from cluster.runtime.links import LinkRule

_LOSS_MS = 200.0
"""What a lost message costs on a stream: TCP's shortest retransmission timeout."""


def isolate(names: Sequence[str], everyone: Sequence[str]) -> tuple[LinkRule, ...]:
    """Cut each of the names off from everyone, those that are isolated with it included."""
    pairs = [(one, other) for one in names for other in everyone if one != other]
    return _cut(pairs)


def partition(sides: Sequence[Sequence[str]], *, one_way: bool = False) -> tuple[LinkRule, ...]:
    """Cut every link between members that share no side. Sides may overlap: who is in two of them is a bridge.

    One way, only what members of an earlier side send to those of later ones is cut.
    """
    everyone = list(dict.fromkeys(name for side in sides for name in side))
    pairs = [
        (one, other)
        for one in everyone
        for other in everyone
        if one != other and not any(one in side and other in side for side in sides)
    ]
    if not one_way:
        return _cut(pairs)
    first = {name: min(number for number, side in enumerate(sides) if name in side) for name in everyone}
    return tuple(LinkRule(one, other, cut=True) for one, other in pairs if first[one] < first[other])


def ring(names: Sequence[str]) -> tuple[LinkRule, ...]:
    """Cut every link but those between neighbours, the last and the first among them."""
    count = len(names)
    apart = [
        (names[one], names[other])
        for one in range(count)
        for other in range(count)
        if one != other and (one - other) % count not in (1, count - 1)
    ]
    return _cut(apart)


def ways(sources: Sequence[str], targets: Sequence[str], direction: str = "forward") -> tuple[tuple[str, str], ...]:
    """Return every way from a source to a target, or back, or both; nobody has a link with itself."""
    forward = [(source, target) for source in sources for target in targets if source != target]
    backward = [(target, source) for target in targets for source in sources if source != target]
    found = {"forward": forward, "backward": backward, "both": forward + backward}[direction]
    return tuple(dict.fromkeys(found))


def hamper(
    directions: Iterable[tuple[str, str]],
    *,
    latency_ms: float = 0.0,
    jitter_ms: float = 0.0,
    drop_rate: float = 0.0,
    apis: Sequence[str] = (),
    **more: Any,
) -> tuple[LinkRule, ...]:
    """Make what is sent some ways late, or lose a share of it. A way that is named twice is hampered once."""
    return tuple(
        LinkRule(
            source, target, latency_ms=latency_ms, jitter_ms=jitter_ms, drop_rate=drop_rate, apis=tuple(apis), **more
        )
        for source, target in dict.fromkeys(directions)
    )


def link_rules(
    verb: str, directions: Sequence[tuple[str, str]], settings: Mapping[str, Any], clients: Sequence[str]
) -> tuple[tuple[LinkRule, ...], tuple[RequestRule, ...]]:
    """Return the rules of slow, drop, hold, throttle, duplicate or reorder. Raises LabError for what cannot be shown.

    `settings` are as the catalogue has them: durations in microseconds, shares of 1, bytes per second. Where two roles
    turned out to be one node there are no ways, and no rules.
    """
    apis: tuple[str, ...] = tuple(settings.get("apis", ()))
    of_clients = [way for way in directions if way[0] in clients or way[1] in clients]
    if verb in ("duplicate", "reorder"):
        if of_clients and len(of_clients) == len(directions):
            cause = f"A client's connection is a stream of bytes: {verb} has nothing to do there."
            raise LabError(cause, "Name a link between nodes.", USAGE)
        of_clients = []
    if not apis or not of_clients:
        return _rules(verb, directions, settings, apis), ()
    if verb == "throttle":
        raise LabError("The bandwidth of a client's connection cannot be limited by API.", "Leave apis out.", USAGE)
    between = [way for way in directions if way not in of_clients]
    requests = [_request_rule(verb, way, settings, apis, clients) for way in of_clients]
    return _rules(verb, between, settings, apis), tuple(rule for rule in requests if rule is not None)


def _rules(
    verb: str, directions: Sequence[tuple[str, str]], settings: Mapping[str, Any], apis: Sequence[str]
) -> tuple[LinkRule, ...]:
    rate = settings.get("rate", 1.0)
    fields: dict[str, Any] = {
        "slow": {
            "latency_ms": settings.get("latency", 0) / 1000,
            "jitter_ms": settings.get("jitter", 0) / 1000,
            "distribution": settings.get("distribution", "uniform"),
        },
        "drop": {"drop_rate": rate},
        "hold": {"held": True},
        "throttle": {"bandwidth": settings.get("bandwidth", 0.0)},
        "duplicate": {"duplicate_rate": rate},
        "reorder": {"reorder_rate": rate},
    }[verb]
    return hamper(directions, apis=apis, **fields)


def _request_rule(
    verb: str, way: tuple[str, str], settings: Mapping[str, Any], apis: tuple[str, ...], clients: Sequence[str]
) -> RequestRule | None:
    source, target = way
    inward = source in clients
    client, node = (source, target) if inward else (target, source)
    if node in clients:
        return None  # clients do not talk to one another
    rate = settings.get("rate", 1.0)
    if verb == "slow":
        latency_ms, jitter_ms = settings.get("latency", 0) / 1000, settings.get("jitter", 0) / 1000
        return RequestRule(
            node, clients=(client,), apis=apis, latency_ms=latency_ms, jitter_ms=jitter_ms, inward=inward
        )
    if verb == "hold" or rate >= 1:
        return RequestRule(node, clients=(client,), apis=apis, holds=True, inward=inward)
    return RequestRule(node, clients=(client,), apis=apis, latency_ms=_LOSS_MS, rate=rate, inward=inward)


def _cut(pairs: Iterable[tuple[str, str]]) -> tuple[LinkRule, ...]:
    both_ways = [way for one, other in pairs for way in ((one, other), (other, one))]
    return tuple(LinkRule(source, target, cut=True) for source, target in dict.fromkeys(both_ways))
