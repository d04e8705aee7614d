"""A clock that is wrong as it is told to be, around any other clock.

Here: steps, drift and strobes of one node's clocks; the same code in both worlds. Not here: who says so (`node_rules`).

A step moves the time of day only, as it does on a real machine: timeouts go by the monotonic clock, which never goes
back. Drift is the oscillator's, so both clocks have it. When it ends, the time of day is right again at once, as after
a step by NTP, and the monotonic clock goes on from where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.base.ports import Clock


@dataclass(frozen=True, slots=True)
class ClockRule:
    """What ails one node's clock.

    `offset_ms` moves the wall clock. `drift` makes both clocks run faster (0.1: a tenth) or slower (-0.1). With a
    `period_ms` the offset comes and goes: a strobe, there for one period and gone for the next.
    """

    node: str
    offset_ms: float = 0.0
    drift: float = 0.0
    period_ms: float = 0.0


class SkewedClock:
    """The Clock port, with rules. One that never had any is the bare clock."""

    def __init__(self, bare: Clock) -> None:
        self._bare = bare
        self._rules: tuple[ClockRule, ...] = ()
        self._since_ms = 0
        self._monotonic_then_ms = 0.0
        self._rate = 1.0
        self.__dict__.update(monotonic_ms=bare.monotonic_ms, wall_ms=bare.wall_ms)

    def obey(self, rules: Iterable[ClockRule]) -> None:
        """Put these rules in force, in place of all that were."""
        wanted = tuple(rules)
        if wanted == self._rules:
            return
        now_ms = self._bare.monotonic_ms()
        self._monotonic_then_ms = self.monotonic_ms()
        self._since_ms = now_ms
        self._rules = wanted
        self._rate = max(0.01, 1.0 + sum(rule.drift for rule in wanted))
        kind = type(self)
        self.__dict__.update(monotonic_ms=kind.monotonic_ms.__get__(self), wall_ms=kind.wall_ms.__get__(self))

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back."""
        return int(self._monotonic_then_ms + (self._bare.monotonic_ms() - self._since_ms) * self._rate)

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as this node believes."""
        passed_ms = self._bare.monotonic_ms() - self._since_ms
        offset_ms = passed_ms * (self._rate - 1.0)
        for rule in self._rules:
            if not rule.period_ms or int(passed_ms / rule.period_ms) % 2 == 0:
                offset_ms += rule.offset_ms
        return self._bare.wall_ms() + int(offset_ms)
