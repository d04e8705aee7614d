"""Rules for links between nodes and clients: what both worlds understand as a network fault.

Here: the rule and how several rules add up. How a delay or a cut is brought about is each world's own business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkRule:
    """One direction of one link. `source` and `target` are node names (`b1`) or client ids (`p1`).

    `apis` names RPC methods (`Fetch`, `Deliver`, `BrokerHeartbeat`, ...); empty means all traffic. A cut link keeps
    what is sent, as TCP does, and delivers it soon after the heal unless the connection was given up before.
    `drop_rate` is the chance that a message is lost: a retransmission's delay on a stream. One that loses everything
    is a cut.
    """

    source: str
    target: str
    cut: bool = False
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    drop_rate: float = 0.0
    apis: tuple[str, ...] = ()

    def matches(self, source: str, target: str, api: str | None) -> bool:
        """Whether this rule applies to a message; `api` is None for bytes of a Kafka connection."""
        return source == self.source and target == self.target and (not self.apis or api in self.apis)


@dataclass(frozen=True, slots=True)
class LinkVerdict:
    """What all matching rules add up to for one message."""

    cut: bool = False
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    drop_rate: float = 0.0


PASS = LinkVerdict()


def judge(rules: Iterable[LinkRule], source: str, target: str, api: str | None) -> LinkVerdict:
    """Add the matching rules up: a cut or a certain loss cuts, latencies add, independent losses combine."""
    matching = [rule for rule in rules if rule.matches(source, target, api)]
    if not matching:
        return PASS
    kept = 1.0
    for rule in matching:
        kept *= 1.0 - rule.drop_rate
    return LinkVerdict(
        cut=any(rule.cut or rule.drop_rate >= 1 for rule in matching),
        latency_ms=sum(rule.latency_ms for rule in matching),
        jitter_ms=sum(rule.jitter_ms for rule in matching),
        drop_rate=1.0 - kept,
    )
