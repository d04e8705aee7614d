"""The face of the lab for Python: break, wait, check, heal, one call each. Scenarios in YAML run through it too.

Here: what a run can do to its cluster. Each call of a method such as `kill` is a step without a trigger, read and
checked as one of a scenario is; a scenario's own steps, whose triggers `schedule` waits for, come in through `perform`.

    async def story(lab: Lab) -> None:
        await lab.sleep("5s")
        await lab.kill("leader(orders-0)", as_="victim")
        await lab.wait("leader(orders-0) != $victim", timeout="15s")
        async with lab.fault("slow", "followers(orders-0) -> leader(orders-0)", latency="300ms"):
            await lab.sleep("4s")
        lab.check("durable", finally_="no-lost-acks")

Selectors mean whom they mean when a call is made. What a story leaves broken is healed when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import ValidationError

from cluster.base.trace import (
    ControllerActivated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    StepEnded,
    StepFired,
)
from cluster.lab import LAB, Target
from cluster.lab.fault_table import FaultOrder, FaultTable
from cluster.lab.quantities import US_PER_SECOND, parse_duration_us
from cluster.lab.selectors import Name, Selector, did_you_mean, parts_of, resolve
from cluster.scenario.check_planner import plan_check
from cluster.scenario.complaints import what_is_wrong
from cluster.scenario.errors import ScenarioError
from cluster.scenario.observation import TIMED_OUT, Observer
from cluster.scenario.operations import Operator
from cluster.scenario.plan import FaultAction, HealAction, OperationAction, PlannedCheck, PlannedStep
from cluster.scenario.schema import Check
from cluster.scenario.step_planner import StepPlanner
from cluster.scenario.steps import FullStep

_ROLE_CHANGES = (ControllerActivated.kind, NodeFaulted.kind, NodeStarted.kind, PartitionMetadataApplied.kind)


@dataclass(frozen=True, slots=True)
class Broken:
    """What a call did: the id by which it is healed, and whom it meant."""

    id: str
    targets: tuple[str, ...]


class Lab:
    """The cluster of one run, to be broken. Durations are texts with a unit; selectors and conditions as in YAML.

    `target` is the cluster itself, for what no step does.
    """

    def __init__(
        self,
        target: Target,
        observer: Observer,
        faults: FaultTable,
        planner: StepPlanner,
        expect: Callable[[PlannedCheck], None],
        *,
        bindings: dict[str, tuple[str, ...]],
        seed: int,
        duration_us: int,
    ) -> None:
        self.bindings = bindings
        self.duration_us = duration_us
        self.target = self._target = target
        self._observer = observer
        self._faults = faults
        self._planner = planner
        self._expect = expect
        self._operator = Operator(target)
        self._seed = seed
        self._count = 0
        self._waiting: list[asyncio.Task[None]] = []
        self._began_us = target.now_us()

    # --- waiting -----------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds since the faults began."""
        return self._target.now_us() - self._began_us

    async def sleep(self, duration: str) -> None:
        """Let time pass, the cluster's own."""
        await self.pass_us(parse_duration_us(duration))

    async def pass_us(self, duration_us: int) -> None:
        """The same in microseconds."""
        await asyncio.sleep(max(0, duration_us) / US_PER_SECOND)

    async def wait(self, condition: str, timeout: str = "30s", id: str | None = None) -> bool:  # noqa: A002, ASYNC109
        """Wait until a condition is true. False when that took too long: checks that hang on `id` are unknown then."""
        return await self.perform(self._read({"when": condition, "timeout": timeout}, id)) is not None

    def is_true(self, condition: str) -> bool:
        """Whether a condition is true now."""
        scope = self._observer.scope
        scope.now_us = self._target.now_us()
        return self._planner.expression(condition).is_true(scope)

    # --- breaking and mending ----------------------------------------------------------------------

    async def do(self, verb: str, argument: Any, id: str | None = None, **options: Any) -> Broken:  # noqa: A002
        """Do what a step of the language does; options have its keys, with `_` for `-` and `as_`, `for_`.

        Raises ScenarioError for a mistake, LabError when the cluster cannot be broken so, TimeoutError when the
        selector meant nobody for `timeout`.
        """
        step = self._read(
            {verb: argument, **{name.rstrip("_").replace("_", "-"): options[name] for name in options}}, id
        )
        broken = await self.perform(step)
        if broken is None:
            raise TimeoutError(f"{verb} {argument}: that meant nobody in time")
        if step.lasts_us is not None:
            lasts_us = step.lasts_us
            self._later(lambda: self.heal(broken.id), lasts_us)
        return broken

    @asynccontextmanager
    async def fault(self, verb: str, argument: Any, id: str | None = None, **options: Any) -> AsyncIterator[Broken]:  # noqa: A002
        """Break something for the length of a block, however that ends."""
        broken = await self.do(verb, argument, id, **options)
        try:
            yield broken
        finally:
            await self.heal(broken.id)

    async def kill(self, selector: str, **options: Any) -> Broken:
        """End processes at once."""
        return await self.do("kill", selector, **options)

    async def stop(self, selector: str, **options: Any) -> Broken:
        """Stop nodes in good order."""
        return await self.do("stop", selector, **options)

    async def start(self, selector: str, **options: Any) -> Broken:
        """Start what is down."""
        return await self.do("start", selector, **options)

    async def restart(self, selector: str, **options: Any) -> Broken:
        """Stop nodes in good order and start them."""
        return await self.do("restart", selector, **options)

    async def pause(self, selector: str, **options: Any) -> Broken:
        """Freeze processes."""
        return await self.do("pause", selector, **options)

    async def resume(self, selector: str, **options: Any) -> Broken:
        """Let paused processes go on."""
        return await self.do("resume", selector, **options)

    async def partition(self, sides: dict[str, list[str]], **options: Any) -> Broken:
        """Cut the links between sides."""
        return await self.do("partition", sides, **options)

    async def isolate(self, selector: str, **options: Any) -> Broken:
        """Cut nodes or clients off from everybody."""
        return await self.do("isolate", selector, **options)

    async def heal(self, what: str = "all") -> None:
        """Undo one fault by its id, or all of them; nothing when it has ended. Raises ScenarioError for another id."""
        if what == "all":
            await self._faults.heal_all()
            return
        if what.split("/", maxsplit=1)[0] not in self._planner.step_ids:
            raise ScenarioError([f"heal: there is no step {what!r}{did_you_mean(what, self._planner.step_ids)}"])
        for fault in self._faults.active:
            if fault.fault_id == what or fault.fault_id.startswith(f"{what}/"):
                await self._faults.heal(fault.fault_id)

    def active(self, what: str) -> bool:
        """Whether a fault of that id is in force."""
        return any(fault.fault_id.split("/")[0] == what for fault in self._faults.active)

    def when_healed(self, call: Callable[[str], None]) -> None:
        """Call back with the id of each fault that has ended."""
        self._faults.on_end = call

    async def close(self) -> None:
        """Do nothing later any more: the run heals everything. Raises what a heal in time raised."""
        for task in self._waiting:
            task.cancel()
        for outcome in await asyncio.gather(*self._waiting, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def note(self, text: str) -> None:
        """Say what is going on, in the trace."""
        self._count += 1
        self._target.emit(LAB, StepFired(f"note-{self._count}", text, ()))

    # --- clients -----------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """Kafka's `bootstrap.servers` of the cluster."""
        return self._target.bootstrap

    async def client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a client to its end: `main` may use aiokafka with `name` as its `client_id`. Raises what it raises."""
        await self._target.spawn_client(name, main).wait()

    # --- checking ----------------------------------------------------------------------------------

    def check(self, id: str, **statement: Any) -> None:  # noqa: A002
        """Expect something, as `expect:` does: `always=`, `never=`, `sometimes=`, `eventually=` or `finally_=`.

        An invariant is judged from the beginning of the run, a condition from now on. Raises ScenarioError.
        """
        keys = {name.rstrip("_").replace("_", "-"): value for name, value in statement.items()}
        try:
            planned = plan_check(Check.model_validate({"id": id, **keys}), self._planner)
        except (ValidationError, ValueError) as error:
            raise ScenarioError([f"check {id}: {_text(error)}"]) from None
        self._expect(planned)

    # --- what the scenario's schedule and the calls above have in common ---------------------------

    async def perform(self, step: PlannedStep, fault_id: str = "") -> Broken | None:
        """Wait for a step's condition, mean its targets, act. None when one of the two took too long."""
        fault_id = fault_id or step.id
        if step.when is not None and not await self._observer.until(step.when, step.timeout_us):
            self._target.emit(LAB, StepEnded(fault_id, TIMED_OUT))
            return None
        if step.action is None:
            self._fire(step, fault_id, ())
            return Broken(fault_id, ())
        targets = await self._act(step, fault_id)
        if targets is None:
            self._target.emit(LAB, StepEnded(fault_id, TIMED_OUT))
            return None
        return Broken(fault_id, targets)

    async def _act(self, step: PlannedStep, fault_id: str) -> tuple[str, ...] | None:
        await self._target.settle()
        rng = Random(f"{self._seed}/steps/{fault_id}")
        match step.action:
            case HealAction(healed):
                self._fire(step, fault_id, ())
                await self.heal(healed)
                return ()
            case OperationAction(operation):
                self._fire(step, fault_id, ())
                await self._operator.do(step.id, operation)
                return ()
            case FaultAction() as action if action.sides:
                return await self._partition(step, fault_id, action, rng)
            case FaultAction(verb, names, towards, _, settings):
                assert names is not None
                sources = await self._targets(step, names, rng)
                targets = () if towards is None or sources is None else await self._targets(step, towards, rng)
                if sources is None or targets is None:
                    return None
                self._remember(step, sources)
                self._fire(step, fault_id, (*sources, *targets))
                await self._faults.break_(fault_id, FaultOrder(verb, sources, targets, settings=settings))
                return sources
        raise AssertionError(step.action)

    async def _partition(self, step: PlannedStep, fault_id: str, action: FaultAction, rng: Random) -> tuple[str, ...]:
        everyone = self._faults.everyone
        named: dict[str, tuple[str, ...]] = {}
        for rest_too in (False, True):  # first those who are named, then the rest
            placed = [name for side in named.values() for name in side]
            rest = tuple(name for name in everyone if name not in placed) if rest_too else ()
            for side, selectors in action.sides.items():
                members: list[str] = list(named.get(side, ()))
                # Each selector is resolved once: one() would draw somebody else the second time.
                for selector in [one for one in selectors if _names_rest(one) == rest_too]:
                    members += resolve(selector, self._observer.view, rng=rng, bindings=self.bindings, rest=rest)
                named[side] = tuple(dict.fromkeys(members))
        placed_names = tuple(dict.fromkeys(name for side in named.values() for name in side))
        self._remember(step, placed_names)
        if step.remember is not None:
            self.bindings.update({f"{step.remember}.{side}": members for side, members in named.items()})
        self._fire(step, fault_id, tuple(f"{side}:{name}" for side, members in named.items() for name in members))
        order = FaultOrder("partition", sides=tuple(named.values()), settings=action.settings)
        await self._faults.break_(fault_id, order)
        return placed_names

    async def _targets(self, step: PlannedStep, selector: Selector, rng: Random) -> tuple[str, ...] | None:
        """Resolve a selector; when it means nobody, wait for somebody to take the role."""
        found: list[tuple[str, ...]] = []

        def means_somebody() -> bool:
            names = resolve(selector, self._observer.view, rng=rng, bindings=self.bindings)
            if names and not found:
                found.append(names)
            return bool(names)

        if not await self._observer.until_true(means_somebody, _ROLE_CHANGES, step.timeout_us):
            return None
        return found[0]

    def _fire(self, step: PlannedStep, fault_id: str, targets: tuple[str, ...]) -> None:
        self._target.emit(LAB, StepFired(fault_id, step.verb or ("when" if step.when else "note"), targets))

    def _remember(self, step: PlannedStep, targets: tuple[str, ...]) -> None:
        if step.remember is not None:
            self.bindings[step.remember] = targets

    # --- inside ------------------------------------------------------------------------------------

    def _read(self, keys: dict[str, Any], id: str | None) -> PlannedStep:  # noqa: A002
        self._count += 1
        name = id or f"step-{self._count}"
        try:
            trigger = {} if "when" in keys else {"at": "0s"}
            planned = self._planner.step(FullStep.model_validate({"id": name, **trigger, **keys}))
        except (ValidationError, ValueError) as error:
            raise ScenarioError([f"{name}: {_text(error)}"]) from None
        if name not in self._planner.step_ids:
            self._planner.step_ids.append(name)  # checks may name it from now on
        return planned

    def _later(self, call: Callable[[], Awaitable[None]], after_us: int) -> None:
        async def wait() -> None:
            await self.pass_us(after_us)
            await call()

        self._waiting.append(asyncio.create_task(wait()))


def _names_rest(selector: Selector) -> bool:
    return any(isinstance(part, Name) and part.text == "rest" for part in parts_of(selector))


def _text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(what_is_wrong(problem) for problem in error.errors())
    return str(error)
