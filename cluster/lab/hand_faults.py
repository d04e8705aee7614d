"""Faults of a running cluster that people break by hand: whom they meant, since when, until when.

Here: `break` and `heal` as the supervisor of a local cluster answers them. What was broken is remembered by name, so
that a heal mends the same nodes whoever leads by then. Not here: what a fault does (`fault_table`).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.base.trace import StepFired
from cluster.lab.api_names import check_apis, check_error
from cluster.lab.catalogue import BY_VERB
from cluster.lab.errors import USAGE, LabError
from cluster.lab.fault_table import Fault, FaultOrder, FaultTable
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


@dataclass(frozen=True, slots=True)
class BreakRequest:
    """What someone asks to break. `selectors` are one, the sides of a partition, or source and target of a link.

    `settings` are options of the catalogue, read; `clients` are Kafka client ids that selectors may name.
    """

    verb: str
    selectors: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    for_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class HandFault:
    """What somebody broke: what was asked, and since when (milliseconds since 1970)."""

    request: BreakRequest
    fault: Fault
    since_ms: int
    until_ms: int | None

    @property
    def fault_id(self) -> str:
        """The name by which it is healed."""
        return self.fault.fault_id

    @property
    def targets(self) -> tuple[str, ...]:
        """Whom it holds."""
        return self.fault.targets


class HandFaults:
    """Breaks and heals one local target. It knows everything that is broken."""

    def __init__(self, target: LocalTarget) -> None:
        self._target = target
        self._rng = random.Random(os.urandom(8))
        self._table = FaultTable(target, (), self._rng, strict=True)
        self._table.on_end = self._ended
        self._faults: dict[str, HandFault] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._healing: dict[asyncio.Task[list[HandFault]], None] = {}
        self._count = 0

    @property
    def active(self) -> list[HandFault]:
        """The faults that are in force, oldest first."""
        return list(self._faults.values())

    async def break_(self, request: BreakRequest) -> HandFault:
        """Bring a fault about. Raises LabError when a selector means nothing or the fault is impossible."""
        kind = BY_VERB[request.verb]
        self._check(request)
        observation = await self._target.observe(request.clients)
        self._table.meet(request.clients)
        sides = self._resolve(request, observation)
        order = FaultOrder(
            request.verb,
            names=() if kind.takes == "sides" else sides[0],
            towards=sides[1] if kind.takes == "link" else (),
            sides=tuple(sides) if kind.takes == "sides" else (),
            settings=request.settings,
        )
        targets = tuple(dict.fromkeys(name for side in sides for name in side))
        self._count += 1
        fault_id = f"f{self._count}"
        now_ms = time.time_ns() // 1_000_000
        until_ms = round(now_ms + request.for_ms) if request.for_ms else None
        self._target.emit(LAB, StepFired(fault_id, request.verb, targets))
        try:
            fault = await self._table.break_(fault_id, order)
        finally:
            for active in self._table.active:
                if active.fault_id == fault_id:  # also one that failed half-way: it can be healed
                    self._faults[fault_id] = HandFault(request, active, now_ms, until_ms)
        if request.for_ms and fault_id in self._faults:
            loop = asyncio.get_running_loop()
            self._timers[fault_id] = loop.call_later(request.for_ms / 1000, self._heal_in_time, fault_id)
        return self._faults.get(fault_id) or HandFault(request, fault, now_ms, until_ms)

    async def heal(self, what: str) -> list[HandFault]:
        """Undo one fault by id, or `all`. Raises LabError when there is no such fault, or one cannot be healed now.

        The others are healed all the same.
        """
        if what == "all":
            healed = self.active
        elif what in self._faults:
            healed = [self._faults[what]]
        else:
            known = ", ".join(self._faults) or "none"
            raise LabError(
                f"No fault is called {what}.", f"Active faults: {known}. `fencepost faults` lists them.", USAGE
            )
        problems: list[LabError] = []
        for fault in healed:
            try:
                await self._table.heal(fault.fault_id)
            except LabError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        return healed

    async def let_go(self) -> None:
        """Undo what would outlast the cluster, which is about to stop."""
        await self._table.let_go()

    def node_state(self, name: str) -> str:
        """Return `running`, `paused`, `killed`, `stopped` or `crashed`."""
        if name in self._target.paused:
            return "paused"
        if self._target.is_running(name):
            return "running"
        if name in self._target.crashes:
            return "crashed"
        asked = [fault.request.verb for fault in self.active if name in fault.targets]
        return "stopped" if "stop" in asked or "remove-broker" in asked or not asked else "killed"

    def _check(self, request: BreakRequest) -> None:
        try:
            check_apis(request.settings.get("apis", ()), requests_only=BY_VERB[request.verb].group == "requests")
            check_error(request.settings.get("error"))
        except ValueError as error:
            raise LabError(f"{error}.", "Names are Kafka's.", USAGE) from None

    def _resolve(self, request: BreakRequest, observation: Observation) -> list[tuple[str, ...]]:
        names = (*self._target.node_names, *request.clients)
        racks = list(dict.fromkeys(observation.racks.values()))
        is_link = BY_VERB[request.verb].group == "network"
        sides: list[tuple[str, ...]] = []
        try:
            for text in request.selectors:
                taken = [name for side in sides for name in side]
                rest = [name for name in names if name not in taken] if is_link else None
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

    def _ended(self, fault_id: str) -> None:
        self._faults.pop(fault_id, None)
        timer = self._timers.pop(fault_id, None)
        if timer is not None:
            timer.cancel()

    def _heal_in_time(self, fault_id: str) -> None:
        if fault_id in self._faults:
            task = asyncio.get_running_loop().create_task(self.heal(fault_id))
            self._healing[task] = None  # the loop itself holds tasks weakly
            task.add_done_callback(self._healing.pop)
