"""Faults of single requests of Kafka clients: refused, late, or carried out and never answered.

Here: the rules and their judgement, for one broker. Not here: what a broker does with a verdict
(`cluster.broker.interference`), and who sets the rules (`cluster.lab`).

A byte stream keeps its order: what follows a request that is held up waits behind it, as behind a lost segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cluster.base.ports import Rng


@dataclass(frozen=True, slots=True)
class RequestRule:
    """What befalls requests at one broker. No `clients` or `apis` (Kafka's names, as `Produce`) means all of them.

    `error` (Kafka's name, such as NOT_LEADER_OR_FOLLOWER) is answered in place of carrying the request out. `rate` is
    the chance that a request is hit, `count` how many are hit at most, 0 for no limit. Latencies count before a request
    is carried out when it is `inward`, else before its answer leaves.
    """

    node: str
    fault: str = ""
    clients: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    error: str = ""
    loses_reply: bool = False
    holds: bool = False
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    inward: bool = True
    rate: float = 1.0
    count: int = 0

    def matches(self, client: str | None, api: str) -> bool:
        """Whether a request is of those that may be hit."""
        return (not self.apis or api in self.apis) and (not self.clients or client in self.clients)


@dataclass(frozen=True, slots=True)
class RequestVerdict:
    """What befalls one request."""

    error: str = ""
    loses_reply: bool = False
    holds: bool = False
    """Until the rules change, then it is judged anew."""

    holds_reply: bool = False
    delay_ms: float = 0.0
    reply_delay_ms: float = 0.0


class RequestFaults:
    """The rules of one broker. `active` is False when there are none: look there first, it is free."""

    def __init__(self, rng: Rng) -> None:
        self.active = False
        self._rng = rng
        self._rules: tuple[RequestRule, ...] = ()
        self._hits: dict[RequestRule, int] = {}
        self._waiting: list[Callable[[], None]] = []

    def replace(self, rules: Iterable[RequestRule]) -> None:
        """Put these rules in force in place of all that were; one that stays goes on counting."""
        self._rules = tuple(rules)
        self.active = bool(self._rules)
        self._hits = {rule: self._hits.get(rule, 0) for rule in self._rules}
        waiting, self._waiting = self._waiting, []
        for released in waiting:
            released()

    def when_changed(self, call: Callable[[], None]) -> None:
        """Call once when the rules are others."""
        self._waiting.append(call)

    def judge(self, client: str | None, api: str) -> RequestVerdict | None:
        """Return what befalls a request, None when nothing does. Rules that count count this one."""
        hit = [rule for rule in self._rules if rule.matches(client, api) and self._hits_now(rule)]
        if not hit:
            return None
        return RequestVerdict(
            error=next((rule.error for rule in hit if rule.error), ""),
            loses_reply=any(rule.loses_reply for rule in hit),
            holds=any(rule.holds and rule.inward for rule in hit),
            holds_reply=any(rule.holds and not rule.inward for rule in hit),
            delay_ms=sum(self._delay_ms(rule) for rule in hit if rule.inward),
            reply_delay_ms=sum(self._delay_ms(rule) for rule in hit if not rule.inward),
        )

    def _hits_now(self, rule: RequestRule) -> bool:
        if rule.count and self._hits[rule] >= rule.count:
            return False
        if rule.rate < 1 and self._rng.random() >= rule.rate:
            return False
        self._hits[rule] += 1
        return True

    def _delay_ms(self, rule: RequestRule) -> float:
        return rule.latency_ms + (self._rng.random() * rule.jitter_ms if rule.jitter_ms else 0.0)
