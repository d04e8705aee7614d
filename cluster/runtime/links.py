"""Rules for links between nodes and clients: what both worlds understand as a network fault.

Here: the rule and how several rules add up, and the arithmetic of delays that both worlds share. How a delay or a cut
is brought about is each world's own business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

from cluster.base.ports import Rng

DISTRIBUTIONS = ("uniform", "exponential")
"""How a jitter is drawn: evenly between nothing and the jitter, or exponentially with the jitter as its mean."""

MESSAGE_APIS = ("Deliver",)
"""Streams whose messages are independent of one another, as datagrams: Raft's. They may be doubled and overtaken."""


@dataclass(frozen=True, slots=True)
class LinkRule:
    """One direction of one link. `source` and `target` are node names (`b1`) or client ids (`p1`).

    `apis` names RPC methods (`Fetch`, `Deliver`, `BrokerHeartbeat`, ...); empty means all traffic. A cut link keeps
    what is sent, as TCP does, and delivers it soon after the heal unless the connection was given up before; one that
    is only `held` delivers it at once. `drop_rate` is the chance that a message is lost: a retransmission's delay on a
    stream. One that loses everything is a cut. `duplicate_rate` and `reorder_rate` are about single requests and about
    the messages of `MESSAGE_APIS`: a byte stream can show neither. `bandwidth` is in bytes per second, 0 for no limit.
    """

    source: str
    target: str
    cut: bool = False
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    drop_rate: float = 0.0
    apis: tuple[str, ...] = ()
    distribution: str = "uniform"
    duplicate_rate: float = 0.0
    reorder_rate: float = 0.0
    bandwidth: float = 0.0
    held: bool = False

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
    tail_ms: float = 0.0
    """The mean of an exponential delay."""

    duplicate_rate: float = 0.0
    reorder_rate: float = 0.0
    bandwidth: float = 0.0
    held: bool = False

    @property
    def stops(self) -> bool:
        """Whether nothing passes."""
        return self.cut or self.held

    def delay_ms(self, rng: Rng) -> float:
        """Draw how much later a message arrives, losses and bandwidth apart."""
        delay_ms = self.latency_ms + rng.random() * self.jitter_ms
        if self.tail_ms:
            delay_ms += exponential(self.tail_ms, rng)
        return delay_ms


PASS = LinkVerdict()


def exponential(mean: float, rng: Rng) -> float:
    """Draw from the exponential distribution with that mean."""
    return -mean * log(1.0 - rng.random())


def judge(rules: Iterable[LinkRule], source: str, target: str, api: str | None) -> LinkVerdict:
    """Add the matching rules up: a cut or a certain loss cuts, latencies add, independent chances combine.

    Of several bandwidths the lowest counts.
    """
    matching = [rule for rule in rules if rule.matches(source, target, api)]
    if not matching:
        return PASS
    return LinkVerdict(
        cut=any(rule.cut or rule.drop_rate >= 1 for rule in matching),
        latency_ms=sum(rule.latency_ms for rule in matching),
        jitter_ms=sum(rule.jitter_ms for rule in matching if rule.distribution == "uniform"),
        drop_rate=_either(rule.drop_rate for rule in matching),
        tail_ms=sum(rule.jitter_ms for rule in matching if rule.distribution == "exponential"),
        duplicate_rate=_either(rule.duplicate_rate for rule in matching),
        reorder_rate=_either(rule.reorder_rate for rule in matching),
        bandwidth=min((rule.bandwidth for rule in matching if rule.bandwidth), default=0.0),
        held=any(rule.held for rule in matching),
    )


def _either(chances: Iterable[float]) -> float:
    """The chance that at least one of several independent things happens."""
    neither = 1.0
    for chance in chances:
        neither *= 1.0 - chance
    return 1.0 - neither
