"""Faults and the table of those in force: every fault has an undo, and the run owns the table.

Here: what each action does to a target, and how it is taken back. Not here: when (`schedule`), or what a selector
means (`cluster.lab.selectors`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.base.trace import StepEnded
from cluster.lab import LAB, Target, link_faults
from cluster.runtime.links import LinkRule
from cluster.scenario.plan import LinkAction

HEALED = "healed"
DOWN = ("kill", "stop", "power-off")
_BACK = {"start": (*DOWN, "restart"), "resume": ("pause",)}
"""Which verbs a verb takes back."""


@dataclass(slots=True)
class Fault:
    """Something that a step broke and that is broken still."""

    step: str
    verb: str
    targets: tuple[str, ...]
    is_link_rule: bool = False


class FaultTable:
    """Breaks and mends one target."""

    def __init__(self, target: Target, clients: Sequence[str]) -> None:
        self._target = target
        self._everyone = (*target.node_names, *clients)
        self._faults: dict[str, Fault] = {}
        self._states = dict.fromkeys(target.node_names, "running")
        self._turns = {name: asyncio.Lock() for name in target.node_names}

    @property
    def active(self) -> tuple[Fault, ...]:
        """What is broken now, oldest first."""
        return tuple(self._faults.values())

    async def do_to_nodes(self, step: str, verb: str, targets: tuple[str, ...]) -> None:
        """Kill, stop, start, restart, pause, resume or power off nodes; one that is so already is left alone."""
        if verb not in ("start", "resume", "restart"):
            self._faults[step] = Fault(step, verb, targets)
        for name in targets:
            await self._do_to_node(verb, name)
        if verb in _BACK:
            self._mended(verb, targets)

    async def _do_to_node(self, verb: str, name: str) -> None:
        """Do one thing to a node, to its end: a step that is given up in the middle of a stop has stopped the node."""
        await asyncio.shield(asyncio.ensure_future(self._in_turn(verb, name)))

    async def _in_turn(self, verb: str, name: str) -> None:
        """A stop takes time: what another step wants of the node meanwhile comes after it."""
        async with self._turns[name]:
            if verb == "restart":
                await self._change("stop", name)
                await self._change("start", name)
            else:
                await self._change(verb, name)

    async def _change(self, verb: str, name: str) -> None:
        state = self._states[name]
        if verb in DOWN and state not in DOWN:
            if verb == "stop" and state == "pause":
                await self._target.resume(name)  # a frozen process cannot stop in good order
            does = {"kill": self._target.kill, "stop": self._target.stop, "power-off": self._target.power_off}
            self._states[name] = verb
            await does[verb](name)
        elif verb == "power-off" and state in ("kill", "stop"):
            self._states[name] = verb
            await self._target.power_off(name)  # its page cache goes too
        elif verb == "start" and state in DOWN:
            await self._target.start_node(name)
            self._states[name] = "running"
        elif verb == "pause" and state == "running":
            self._states[name] = verb
            await self._target.pause(name)
        elif verb == "resume" and state == "pause":
            await self._target.resume(name)
            self._states[name] = "running"

    def _mended(self, verb: str, names: tuple[str, ...]) -> None:
        """A node that a later step started or resumed is no longer broken by the earlier step."""
        for fault in list(self._faults.values()):
            if fault.verb in _BACK[verb]:
                fault.targets = tuple(name for name in fault.targets if name not in names)
                if not fault.targets:
                    self._end(fault.step)

    # --- links -------------------------------------------------------------------------------------

    async def partition(self, step: str, sides: Mapping[str, tuple[str, ...]]) -> None:
        """Cut the links between names that share no side; overlapping sides make a bridge."""
        placed = tuple(name for name in self._everyone if any(name in members for members in sides.values()))
        await self._rule(step, "partition", placed, link_faults.partition(list(sides.values())))

    async def isolate(self, step: str, targets: tuple[str, ...]) -> None:
        """Cut each target off from everybody, one another included."""
        await self._rule(step, "isolate", targets, link_faults.isolate(targets, self._everyone))

    async def hamper(self, step: str, action: LinkAction, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
        """Make messages from sources to targets late or lost."""
        forward = link_faults.ways(sources, targets) if action.direction in ("forward", "both") else ()
        backward = link_faults.ways(targets, sources) if action.direction in ("backward", "both") else ()
        rules = link_faults.hamper(
            (*forward, *backward),
            latency_ms=action.latency_us / 1000,
            jitter_ms=action.jitter_us / 1000,
            drop_rate=action.drop_rate,
            apis=action.apis,
        )
        await self._rule(step, action.verb, (*sources, *targets), rules)

    async def _rule(self, step: str, verb: str, targets: tuple[str, ...], rules: Sequence[LinkRule]) -> None:
        self._faults[step] = Fault(step, verb, targets, is_link_rule=True)
        await self._target.set_link_rule(step, rules)

    # --- healing -----------------------------------------------------------------------------------

    async def heal(self, step: str) -> None:
        """Undo the fault of one step; nothing happens when it is undone already."""
        fault = self._faults.get(step)
        if fault is None:
            return
        if fault.is_link_rule:
            await self._target.clear_link_rule(step)
        else:
            for name in fault.targets:
                await self._do_to_node("resume" if fault.verb == "pause" else "start", name)
        self._end(step)

    async def heal_all(self) -> None:
        """Undo everything, then start every node that is down for whatever reason and resume every paused one."""
        for step in list(self._faults):
            await self.heal(step)
        for name in self._target.node_names:
            await self._do_to_node("resume", name)
            await self._do_to_node("start", name)

    def _end(self, step: str) -> None:
        if self._faults.pop(step, None) is not None:
            self._target.emit(LAB, StepEnded(step, HEALED))
