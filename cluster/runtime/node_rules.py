"""Rules about single nodes: their disks, their clocks, the requests that they are sent.

Here: what holds the rules of one node. Not here: what a disk or a clock does under them (`faulty_disk`,
`skewed_clock`), or links between nodes (`links`).
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.base.ports import Clock, Disk, Rng
from cluster.base.request_faults import RequestFaults, RequestRule
from cluster.runtime.faulty_disk import DiskRule, FaultyDisk
from cluster.runtime.skewed_clock import ClockRule, SkewedClock

NodeRule = DiskRule | ClockRule | RequestRule


class NodeFaults:
    """The rules of one node. They outlast its processes: each attaches the disk and the clock that it was given."""

    def __init__(self, rng: Rng) -> None:
        self.requests = RequestFaults(rng)
        self._rng = rng
        self._rules: tuple[NodeRule, ...] = ()
        self.has_damage = False
        """Whether its files were damaged while they lay there."""

        self._disk: FaultyDisk | None = None
        self._clock: SkewedClock | None = None

    @property
    def ails_disk(self) -> bool:
        """Whether its disk does not work as it should: a process may well end."""
        return any(isinstance(rule, DiskRule) for rule in self._rules) or self.has_damage

    def attach_disk(self, bare: Disk) -> FaultyDisk:
        """Return a disk that behaves as the rules say, from now on also after they change."""
        self._disk = FaultyDisk(bare, self._rng)
        self._disk.obey(rule for rule in self._rules if isinstance(rule, DiskRule))
        return self._disk

    def attach_clock(self, bare: Clock) -> SkewedClock:
        """Return a clock that goes as the rules say, from now on also after they change."""
        self._clock = SkewedClock(bare)
        self._clock.obey(rule for rule in self._rules if isinstance(rule, ClockRule))
        return self._clock

    def replace(self, rules: Iterable[NodeRule]) -> None:
        """Put these rules in force, in place of all that were."""
        self._rules = tuple(rules)
        self.requests.replace(rule for rule in self._rules if isinstance(rule, RequestRule))
        if self._disk is not None:
            self._disk.obey(rule for rule in self._rules if isinstance(rule, DiskRule))
        if self._clock is not None:
            self._clock.obey(rule for rule in self._rules if isinstance(rule, ClockRule))
