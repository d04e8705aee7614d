"""The eyes of a run: every trace event goes through here, to the view, the oracles, the checks and whoever waits.

Here: who is told of which event. An event reaches only those that asked for its kind, because a run has hundreds of
thousands of them. Not here: what they make of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from cluster.base.trace import PhaseBegan, StepEnded, StepFired, Traced
from cluster.checks import Oracle, Panel
from cluster.report import ClusterView, LeaderGaps
from cluster.scenario.expressions import Expression, Scope
from cluster.scenario.plan import Moment
from cluster.scenario.watches import Watch

TIMED_OUT = "timed-out"


class Moments:
    """When steps fired and ended, by the trace."""

    def __init__(self) -> None:
        self._fired: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self.timed_out: dict[str, None] = {}

    def on_event(self, traced: Traced) -> None:
        """Note the first firing and the first end of a step."""
        event = traced.event
        if isinstance(event, StepFired):
            self._fired.setdefault(event.step, traced.time_us)
        elif isinstance(event, StepEnded) and event.outcome != TIMED_OUT:
            self._ended.setdefault(event.step, traced.time_us)
        elif isinstance(event, StepEnded):
            self.timed_out[event.step] = None

    def time_us(self, moment: Moment) -> int | None:
        """When a moment was; None when it has not come."""
        known = (self._ended if moment.is_end else self._fired).get(moment.step)
        return None if known is None else known + moment.plus_us


@dataclass(slots=True)
class _Waiter:
    is_true: Callable[[], bool]
    future: asyncio.Future[None]


class Observer:
    """Takes every event in, in order. `trace` keeps them all, for the story and the report."""

    def __init__(self, view: ClusterView, panel: Panel, watches: Iterable[Watch], scope: Scope) -> None:
        self.view = view
        self.scope = scope
        self.moments = Moments()
        self.leader_gaps = LeaderGaps(view)
        self.trace: list[Traced] = []
        self.phase = ""
        self.phases: dict[str, int] = {}
        self._panel = panel
        self._watches: list[Watch] = []
        self._watches_by_kind: dict[str, list[Watch]] = {}
        self._told: dict[str, tuple[Callable[[Traced], None], ...]] = {}  # resolved once for each kind and phase
        for watch in watches:
            self.watch(watch)
        self._waiters: list[_Waiter] = []
        self._waiters_by_kind: dict[str, list[_Waiter]] = {}

    def consult(self, oracle: Oracle) -> None:
        """Tell an oracle of all that happens, and of all that has happened."""
        self._told.clear()
        self._panel.add(oracle, self.trace)

    def watch(self, watch: Watch) -> None:
        """Let a check look at its condition, now and from now on."""
        self._told.clear()
        if self.phase == "faults":
            self.scope.now_us = self.view.now_us
            watch.evaluate(self.scope, self.moments)
        self._watches.append(watch)
        for kind in sorted(watch.expression.kinds):
            self._watches_by_kind.setdefault(kind, []).append(watch)

    def on_event(self, traced: Traced) -> None:
        """Take one event in and tell those that asked for its kind."""
        self.trace.append(traced)
        kind = traced.event.kind
        told = self._told.get(kind)
        if told is None:
            told = self._told[kind] = self._resolve(kind)
        self.view.apply(traced)
        for on_event in told:
            on_event(traced)
        if self._waiters:
            for waiter in self._waiters_by_kind.get(kind, ()):
                _wake(waiter)

    def _resolve(self, kind: str) -> tuple[Callable[[Traced], None], ...]:
        """Return who judges events of one kind in this phase, in order."""
        told: list[Callable[[Traced], None]] = []
        if self.phase == "faults" and kind in LeaderGaps.kinds:
            told.append(self.leader_gaps.on_event)
        told += self._panel.listeners.get(kind, ())
        if kind in (StepFired.kind, StepEnded.kind, PhaseBegan.kind):
            told.append(self._on_schedule)
        elif self.phase == "faults":
            told += [partial(self._evaluate, watch) for watch in self._watches_by_kind.get(kind, ())]
        return tuple(told)

    def _evaluate(self, watch: Watch, traced: Traced) -> None:
        self.scope.now_us = traced.time_us
        watch.evaluate(self.scope, self.moments)

    def sample(self, now_us: int) -> None:
        """Evaluate what changes with time alone; called every so often. So do scopes that open without an event."""
        self.scope.now_us = now_us
        for watch in self._watches:
            if (watch.expression.is_sampled or watch.evaluations == 0) and self.phase == "faults":
                watch.evaluate(self.scope, self.moments)
        for waiter in self._waiters:
            _wake(waiter)

    async def until(self, expression: Expression, timeout_us: int) -> bool:
        """Wait until a condition is true; False when that took too long."""
        self.scope.now_us = self.view.now_us
        return await self._until(lambda: expression.is_true(self.scope), sorted(expression.kinds), timeout_us)

    async def until_true(self, is_true: Callable[[], bool], kinds: Iterable[str], timeout_us: int) -> bool:
        """Wait until a predicate that only these kinds of events can change is true; False when it took too long."""
        return await self._until(is_true, list(kinds), timeout_us)

    async def _until(self, is_true: Callable[[], bool], kinds: list[str], timeout_us: int) -> bool:
        if is_true():
            return True
        waiter = _Waiter(is_true, asyncio.get_running_loop().create_future())
        lists = [self._waiters, *(self._waiters_by_kind.setdefault(kind, []) for kind in kinds)]
        for waiters in lists:
            waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter.future, timeout_us / 1e6)
        except TimeoutError:
            return False
        finally:
            for waiters in lists:
                waiters.remove(waiter)
        return True

    def _on_schedule(self, traced: Traced) -> None:
        """A step may open a scope or bind a name: every check is looked at."""
        self.moments.on_event(traced)
        self.scope.now_us = traced.time_us
        if isinstance(traced.event, PhaseBegan):
            self.phase = traced.event.phase
            self._told.clear()
            self.phases.setdefault(self.phase, traced.time_us)
        if self.phase == "faults":
            for watch in self._watches:
                watch.evaluate(self.scope, self.moments)


def _wake(waiter: _Waiter) -> None:
    if not waiter.future.done() and waiter.is_true():
        waiter.future.set_result(None)
