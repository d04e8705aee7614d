"""The schedule of a run: each step waits for its trigger, means its targets, acts, and is undone in time.

Here: one task for each step. Not here: what an action does (`faults`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from cluster.base.trace import (
    ControllerActivated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    StepEnded,
    StepFired,
)
from cluster.lab import LAB, Target
from cluster.lab.selectors import Selector, resolve
from cluster.scenario.faults import FaultTable
from cluster.scenario.observation import TIMED_OUT, Observer
from cluster.scenario.plan import (
    Action,
    HealAction,
    IsolateAction,
    LinkAction,
    Moment,
    NodeAction,
    PartitionAction,
    PlannedStep,
)
from cluster.scenario.quantities import US_PER_SECOND

_ROLE_CHANGES = (ControllerActivated.kind, NodeFaulted.kind, NodeStarted.kind, PartitionMetadataApplied.kind)


class Schedule:
    """Runs the steps of a plan. `bindings` is what `as:` remembers, shared with the checks."""

    def __init__(
        self,
        steps: Sequence[PlannedStep],
        target: Target,
        observer: Observer,
        faults: FaultTable,
        *,
        bindings: dict[str, tuple[str, ...]],
        seed: int,
    ) -> None:
        self._steps = steps
        self._target = target
        self._observer = observer
        self._faults = faults
        self._bindings = bindings
        self._seed = seed
        self._start_us = 0
        loop = asyncio.get_running_loop()
        self._fired = {step.id: loop.create_future() for step in steps}
        self._ended = {step.id: loop.create_future() for step in steps}
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Start the clock: `at` counts from here."""
        self._start_us = self._target.now_us()
        self._tasks = [asyncio.create_task(self._run(step), name=f"step {step.id}") for step in self._steps]

    async def cancel(self) -> None:
        """Stop waiting for triggers; raises what a step raised, which is a bug or a broken lab."""
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def failure(self) -> BaseException | None:
        """What a step raised so far; None when all is well."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    async def _run(self, step: PlannedStep) -> None:
        await self._trigger(step)
        if step.when is not None and not await self._observer.until(step.when, step.timeout_us):
            self._target.emit(LAB, StepEnded(step.id, TIMED_OUT))
            return
        if step.action is None:
            self._fire(step, ())
        elif not await self._act(step, step.action):
            self._target.emit(LAB, StepEnded(step.id, TIMED_OUT))
            return
        self._fired[step.id].set_result(None)
        if step.lasts_us is not None:
            await self._sleep(step.lasts_us)
            await self._heal(step.id)

    async def _trigger(self, step: PlannedStep) -> None:
        if step.at_us is not None:
            await self._sleep(self._start_us + step.at_us - self._target.now_us())
        elif step.after is not None:
            await self._moment(step.after)

    async def _moment(self, moment: Moment) -> None:
        # Shielded, because several steps may wait for one moment and one of them may be cancelled.
        await asyncio.shield((self._ended if moment.is_end else self._fired)[moment.step])
        await self._sleep(moment.plus_us)

    async def _sleep(self, duration_us: int) -> None:
        await asyncio.sleep(max(0, duration_us) / US_PER_SECOND)

    def _fire(self, step: PlannedStep, targets: tuple[str, ...]) -> None:
        self._target.emit(LAB, StepFired(step.id, step.verb or ("when" if step.when else "note"), targets))

    # --- actions -----------------------------------------------------------------------------------

    async def _act(self, step: PlannedStep, action: Action) -> bool:
        """Resolve, remember, act; False when the targets meant nobody for as long as the step waits."""
        await self._target.settle()
        rng = Random(f"{self._seed}/steps/{step.id}")
        match action:
            case HealAction(healed):
                self._fire(step, ())
                await (self._heal_all() if healed == "all" else self._heal(healed))
            case NodeAction(verb, selector):
                targets = await self._targets(step, selector, rng)
                if targets is None:
                    return False
                self._remember(step, targets)
                self._fire(step, targets)
                await self._faults.do_to_nodes(step.id, verb, targets)
                self._note_ends()
            case IsolateAction(selector):
                targets = await self._targets(step, selector, rng)
                if targets is None:
                    return False
                self._remember(step, targets)
                self._fire(step, targets)
                await self._faults.isolate(step.id, targets)
            case PartitionAction(sides):
                await self._partition(step, sides, rng)
            case LinkAction():
                return await self._hamper(step, action, rng)
        return True

    async def _partition(self, step: PlannedStep, sides: Mapping[str, tuple[Selector, ...]], rng: Random) -> None:
        everyone = (*self._target.node_names, *self._observer.view.clients)
        named: dict[str, tuple[str, ...]] = {}
        for rest_too in (False, True):  # first those who are named, then the rest
            placed = [name for side in named.values() for name in side]
            rest = tuple(name for name in everyone if name not in placed) if rest_too else ()
            for side, selectors in sides.items():
                members: list[str] = list(named.get(side, ()))
                for selector in selectors:
                    members += resolve(selector, self._observer.view, rng=rng, bindings=self._bindings, rest=rest)
                named[side] = tuple(dict.fromkeys(members))
        self._remember(step, tuple(dict.fromkeys(name for side in named.values() for name in side)))
        if step.remember is not None:
            self._bindings.update({f"{step.remember}.{side}": members for side, members in named.items()})
        self._fire(step, tuple(f"{side}:{name}" for side, members in named.items() for name in members))
        await self._faults.partition(step.id, named)

    async def _hamper(self, step: PlannedStep, action: LinkAction, rng: Random) -> bool:
        sources = await self._targets(step, action.sources, rng)
        targets = await self._targets(step, action.targets, rng)
        if sources is None or targets is None:
            return False
        self._remember(step, sources)
        self._fire(step, (*sources, *targets))
        await self._faults.hamper(step.id, action, sources, targets)
        return True

    async def _targets(self, step: PlannedStep, selector: Selector, rng: Random) -> tuple[str, ...] | None:
        """Resolve a selector; when it means nobody, wait for somebody to take the role."""
        found: list[tuple[str, ...]] = []

        def means_somebody() -> bool:
            names = resolve(selector, self._observer.view, rng=rng, bindings=self._bindings)
            if names and not found:
                found.append(names)
            return bool(names)

        if not await self._observer.until_true(means_somebody, _ROLE_CHANGES, step.timeout_us):
            return None
        return found[0]

    def _remember(self, step: PlannedStep, targets: tuple[str, ...]) -> None:
        if step.remember is not None:
            self._bindings[step.remember] = targets

    # --- healing -----------------------------------------------------------------------------------

    async def _heal(self, step_id: str) -> None:
        await self._faults.heal(step_id)
        self._note_ends()

    async def _heal_all(self) -> None:
        await self._faults.heal_all()
        self._note_ends()

    def _note_ends(self) -> None:
        """Let those go on who wait for the end of a fault."""
        active = {fault.step for fault in self._faults.active}
        for step in self._steps:
            is_over = self._fired[step.id].done() and step.action is not None and step.id not in active
            if is_over and not self._ended[step.id].done():
                self._ended[step.id].set_result(None)
