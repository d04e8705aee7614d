"""The table of active faults of a cluster that people break by hand, and how each is brought about and undone.

Here: `break` and `heal` on a local target. Every fault has an undo; what was broken is remembered by name, so that a
heal mends the same nodes whoever leads by then. Not here: faults of a scenario (`cluster.scenario`).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from cluster.base.trace import StepEnded, StepFired
from cluster.lab import link_faults
from cluster.lab.errors import USAGE, LabError
from cluster.lab.local_target import LocalTarget
from cluster.lab.observation import Observation
from cluster.lab.selectors import (
    NothingSelected,
    SelectorError,
    check_selector,
    parse_selector,
    resolve_some,
)
from cluster.lab.target import LAB
from cluster.runtime.links import LinkRule

MENDING_VERBS = ("start", "restart", "resume")
LINK_VERBS = ("isolate", "partition", "slow", "drop")


@dataclass(frozen=True, slots=True)
class BreakRequest:
    """What someone asks to break. `selectors` are one, the sides of a partition, or source and target of a link."""

    verb: str
    selectors: tuple[str, ...]
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    rate: float = 1.0
    apis: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    for_ms: float = 0.0


@dataclass(slots=True)
class Fault:
    """An active fault: what was asked, whom it meant, and since when (milliseconds since 1970)."""

    fault_id: str
    request: BreakRequest
    targets: tuple[str, ...]
    since_ms: int
    until_ms: int | None
    rules: tuple[LinkRule, ...] = field(default=())


class FaultTable:
    """Breaks and heals one local target. It knows everything that is broken."""

    def __init__(self, target: LocalTarget) -> None:
        self._target = target
        self._faults: dict[str, Fault] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._healing: dict[asyncio.Task[list[Fault]], None] = {}
        self._count = 0
        self._rng = random.Random(os.urandom(8))

    @property
    def active(self) -> list[Fault]:
        """The faults that are in force, oldest first."""
        return list(self._faults.values())

    async def break_(self, request: BreakRequest) -> Fault:
        """Bring a fault about. Raises LabError when a selector means nothing or the fault is impossible."""
        observation = await self._target.observe(request.clients)
        sides = self._resolve(request, observation)
        targets = tuple(dict.fromkeys(name for side in sides for name in side))
        self._count += 1
        now_ms = time.time_ns() // 1_000_000
        until_ms = round(now_ms + request.for_ms) if request.for_ms else None
        fault = Fault(f"f{self._count}", request, targets, now_ms, until_ms)
        self._target.emit(LAB, StepFired(fault.fault_id, request.verb, targets))
        if request.verb in MENDING_VERBS:
            await self._node_fault(request.verb, targets)
            self._forget_nodes(targets, ("pause",) if request.verb == "resume" else ("kill", "stop", "pause"))
            return fault
        # In the table before it is in force: one that fails half-way can be healed.
        self._faults[fault.fault_id] = fault
        if request.verb in LINK_VERBS:
            fault.rules = self._link_rules(request, sides)
            await self._target.set_link_rule(fault.fault_id, fault.rules)
        else:
            await self._break_nodes(fault)
        if request.for_ms:
            loop = asyncio.get_running_loop()
            self._timers[fault.fault_id] = loop.call_later(request.for_ms / 1000, self._heal_in_time, fault.fault_id)
        return fault

    async def heal(self, what: str) -> list[Fault]:
        """Undo one fault by id, or `all`. Raises LabError when there is no such fault."""
        if what == "all":
            healed = self.active
        elif what in self._faults:
            healed = [self._faults[what]]
        else:
            known = ", ".join(self._faults) or "none"
            raise LabError(
                f"No fault is called {what}.", f"Active faults: {known}. `fencepost faults` lists them.", USAGE
            )
        for fault in healed:
            await self._undo(fault)
        return healed

    def node_state(self, name: str) -> str:
        """Return `running`, `paused`, `killed`, `stopped` or `crashed`."""
        if name in self._target.paused:
            return "paused"
        if self._target.is_running(name):
            return "running"
        if name in self._target.crashes:
            return "crashed"
        asked = [fault.request.verb for fault in self.active if name in fault.targets]
        return "killed" if "kill" in asked else "stopped"

    def _resolve(self, request: BreakRequest, observation: Observation) -> list[tuple[str, ...]]:
        names = (*self._target.node_names, *request.clients)
        racks = list(dict.fromkeys(observation.racks.values()))
        sides: list[tuple[str, ...]] = []
        try:
            for text in request.selectors:
                taken = [name for side in sides for name in side]
                rest = [name for name in names if name not in taken] if request.verb in LINK_VERBS else None
                side: list[str] = []
                for part in text.split(","):  # no selector has a comma of its own
                    selector = parse_selector(part.strip())
                    check_selector(selector, names, observation.topics(), racks)
                    side += resolve_some(selector, observation, rng=self._rng, rest=rest)
                sides.append(tuple(dict.fromkeys(side)))
        except SelectorError as error:
            raise LabError(
                f"{error}.", "Targets are names or roles, such as b1, leader(orders-0), brokers.", USAGE
            ) from None
        except NothingSelected as error:
            raise LabError(f"{error}.", "`fencepost topic describe` and `fencepost ps` show who is what.") from None
        return sides

    def _link_rules(self, request: BreakRequest, sides: Sequence[tuple[str, ...]]) -> tuple[LinkRule, ...]:
        everyone = (*self._target.node_names, *request.clients)
        match request.verb:
            case "isolate":
                return link_faults.isolate(sides[0], everyone)
            case "partition":
                return link_faults.partition(sides)
        return link_faults.hamper(
            link_faults.ways(sides[0], sides[1]),
            latency_ms=request.latency_ms,
            jitter_ms=request.jitter_ms,
            drop_rate=request.rate if request.verb == "drop" else 0.0,
            apis=request.apis,
        )

    async def _break_nodes(self, fault: Fault) -> None:
        """Break one node after the other; those before a failure stay in the table."""
        wanted, fault.targets = fault.targets, ()
        try:
            for name in wanted:
                await self._node_fault(fault.request.verb, [name])
                fault.targets = (*fault.targets, name)
        finally:
            if not fault.targets:
                del self._faults[fault.fault_id]

    async def _node_fault(self, verb: str, targets: Sequence[str]) -> None:
        actions: dict[str, Callable[[str], Awaitable[None]]] = {
            "kill": self._target.kill,
            "stop": self._target.stop,
            "start": self._target.start_node,
            "restart": self._restart,
            "pause": self._target.pause,
            "resume": self._target.resume,
        }
        for name in targets:
            await actions[verb](name)

    async def _restart(self, name: str) -> None:
        if self._target.is_running(name):
            await self._target.stop(name)
        await self._target.start_node(name)

    async def _undo(self, fault: Fault) -> None:
        self._forget(fault)  # at once, so that nobody else heals it meanwhile
        try:
            if fault.rules:
                await self._target.clear_link_rule(fault.fault_id)
            for name in fault.targets:
                if fault.request.verb == "pause" and name in self._target.paused:
                    await self._target.resume(name)
                elif fault.request.verb in ("kill", "stop") and not self._target.is_running(name):
                    await self._target.start_node(name)
        except LabError:
            self._faults[fault.fault_id] = fault  # what could not be undone can be healed once more
            raise
        self._target.emit(LAB, StepEnded(fault.fault_id, "healed"))

    def _forget_nodes(self, names: Sequence[str], verbs: Sequence[str]) -> None:
        """Take nodes out of the faults that a start or a resume has undone."""
        for fault in self.active:
            if fault.request.verb in verbs:
                fault.targets = tuple(name for name in fault.targets if name not in names)
                if not fault.targets:
                    self._forget(fault)

    def _forget(self, fault: Fault) -> None:
        self._faults.pop(fault.fault_id, None)
        timer = self._timers.pop(fault.fault_id, None)
        if timer is not None:
            timer.cancel()

    def _heal_in_time(self, fault_id: str) -> None:
        if fault_id in self._faults:
            task = asyncio.get_running_loop().create_task(self.heal(fault_id))
            self._healing[task] = None  # the loop itself holds tasks weakly
            task.add_done_callback(self._healing.pop)
