"""The table of faults in force: every fault has an undo, and who runs a cluster owns the table.

Here: what each fault of the catalogue does to a target, and how it is taken back; the same for a scenario and for a
cluster that people break by hand. Not here: when (`cluster.scenario.schedule`), or whom a selector means (`selectors`):
orders name nodes and clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from cluster.base.request_faults import RequestRule
from cluster.base.trace import StepEnded
from cluster.lab import damage, link_faults
from cluster.lab.catalogue import BY_VERB, OPTIONS
from cluster.lab.errors import LabError
from cluster.lab.quantities import US_PER_SECOND, parse_duration_us
from cluster.lab.target import LAB, Target
from cluster.runtime.faulty_disk import DiskRule
from cluster.runtime.links import LinkRule
from cluster.runtime.node_rules import NodeRule
from cluster.runtime.skewed_clock import ClockRule

HEALED = "healed"
DOWN = ("kill", "stop", "power-off", "torn-write", "wipe", "remove-broker")
ABSENT = "absent"
BACK = {"start": (*DOWN, "restart"), "add-broker": DOWN, "resume": ("pause",)}
"""Which verbs a verb takes back."""

_DISK_KINDS = {
    "disk-misread": "misread",
    "disk-error": "error",
    "disk-full": "full",
    "disk-slow": "slow",
    "disk-lie": "lie",
}


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """A fault to bring about, with everybody named.

    `names` are nodes, or the sources of a link, whose other ends are `towards`; `sides` are those of a partition.
    `settings` are the options of the catalogue: durations in microseconds, shares of 1, bytes per second.
    """

    verb: str
    names: tuple[str, ...] = ()
    towards: tuple[str, ...] = ()
    sides: tuple[tuple[str, ...], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, name: str) -> Any:
        """What an option is set to, or its default; None without either."""
        return self.settings.get(name)

    def seconds(self, name: str) -> float:
        """A duration, in seconds; its default when it was not given."""
        given = self.settings.get(name)
        return float(parse_duration_us(OPTIONS[name].default) if given is None else given) / US_PER_SECOND


@dataclass(slots=True)
class Fault:
    """Something that was broken and is broken still. `targets` are those that it still holds."""

    fault_id: str
    order: FaultOrder
    targets: tuple[str, ...]
    has_link_rules: bool = False
    has_node_rules: bool = False
    flips: dict[str, tuple[damage.Flip, ...]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    @property
    def verb(self) -> str:
        """What was done."""
        return self.order.verb


class FaultTable:
    """Breaks and mends one target. A `strict` one refuses what has no effect, such as killing a dead node."""

    def __init__(self, target: Target, clients: Sequence[str], rng: Random, *, strict: bool = False) -> None:
        self.on_end: Callable[[str], None] = lambda _fault_id: None
        self._target = target
        self._clients = tuple(clients)
        self._rng = rng
        self._strict = strict
        self._faults: dict[str, Fault] = {}
        absent = [broker.name for broker in target.spec.brokers if broker.joins_later]
        self._states = {name: ABSENT if name in absent else "running" for name in target.node_names}
        self._ailing: dict[str, None] = {}  # nodes whose disks were made to fail: they may end by themselves
        self._turns = {name: asyncio.Lock() for name in target.node_names}

    @property
    def active(self) -> tuple[Fault, ...]:
        """What is broken now, oldest first."""
        return tuple(self._faults.values())

    @property
    def everyone(self) -> tuple[str, ...]:
        """All nodes and clients."""
        return (*self._target.node_names, *self._clients)

    def meet(self, clients: Sequence[str]) -> None:
        """Learn of clients that orders may name."""
        self._clients = tuple(dict.fromkeys((*self._clients, *clients)))

    async def break_(self, fault_id: str, order: FaultOrder) -> Fault:
        """Bring a fault about. Raises LabError when it is impossible; what was broken by then can be healed."""
        fault = Fault(
            fault_id, order, order.names or tuple(dict.fromkeys(name for side in order.sides for name in side))
        )
        if BY_VERB[order.verb].is_lasting:
            self._faults[fault_id] = fault  # before it is in force: one that fails half-way can be healed
        if BY_VERB[order.verb].group == "disk":
            self._ailing |= dict.fromkeys(order.names)
        await self._begin(fault)
        if order.verb in BACK:
            self._mended(order.verb, fault.targets)
        return fault

    async def _begin(self, fault: Fault) -> None:
        order = fault.order
        match order.verb:
            case "crash-loop":
                fault.task = asyncio.create_task(self._crash_loop(fault))
            case "rolling-restart":
                fault.task = asyncio.create_task(self._roll(fault))
            case "bit-rot":
                for name in fault.targets:
                    count = order.setting("count") or 1
                    patterns = order.setting("files") or ()
                    fault.flips[name] = damage.rot(self._target.files(name), patterns, count, self._rng)
            case "disk-misread" | "disk-error" | "disk-full" | "disk-slow" | "disk-lie":
                await self._node_rules(fault, [_disk_rule(name, order) for name in fault.targets])
            case "clock":
                await self._node_rules(fault, [_clock_rule(name, order) for name in fault.targets])
            case "fail" | "lose-reply":
                await self._node_rules(fault, [_request_rule(name, fault.fault_id, order) for name in fault.targets])
            case "partition":
                direction = order.setting("direction") or "both"
                sides = tuple(reversed(order.sides)) if direction == "backward" else order.sides
                await self._link_rules(fault, link_faults.partition(sides, one_way=direction != "both"))
            case "ring":
                await self._link_rules(fault, link_faults.ring(order.names))
            case "isolate":
                await self._link_rules(fault, link_faults.isolate(order.names, self.everyone))
            case "slow" | "drop" | "hold" | "throttle" | "duplicate" | "reorder":
                await self._hamper(fault)
            case _:
                await self._break_nodes(fault)

    async def _hamper(self, fault: Fault) -> None:
        order = fault.order
        fault.targets = tuple(dict.fromkeys((*order.names, *order.towards)))
        ways = link_faults.ways(order.names, order.towards, order.setting("direction") or "forward")
        links, requests = link_faults.link_rules(order.verb, ways, order.settings, self._clients)
        if links:
            await self._link_rules(fault, links)
        if requests:
            await self._node_rules(fault, [replace(rule, fault=fault.fault_id) for rule in requests])

    async def _link_rules(self, fault: Fault, rules: Sequence[LinkRule]) -> None:
        fault.has_link_rules = True
        await self._target.set_link_rule(fault.fault_id, rules)

    async def _node_rules(self, fault: Fault, rules: Sequence[NodeRule]) -> None:
        fault.has_node_rules = True
        await self._target.set_node_rules(fault.fault_id, rules)

    # --- nodes -------------------------------------------------------------------------------------

    async def _break_nodes(self, fault: Fault) -> None:
        """Break one node after the other; those before a failure stay in the table."""
        broken: list[str] = []
        try:
            for name in fault.targets:
                await self._do_to_node(fault.verb, name)
                broken.append(name)
        except LabError:
            fault.targets = tuple(broken)
            if not broken:
                self._faults.pop(fault.fault_id, None)
            raise

    async def _do_to_node(self, verb: str, name: str) -> None:
        """Do one thing to a node, to its end: a step that is given up in the middle of a stop has stopped the node."""
        await asyncio.shield(asyncio.ensure_future(self._in_turn(verb, name)))

    async def _in_turn(self, verb: str, name: str) -> None:
        """A stop takes time: what another step wants of the node meanwhile comes after it."""
        async with self._turns[name]:
            if verb == "restart":
                if not self._strict or self._target.is_running(name):
                    await self._change("stop", name)
                await self._change("start", name)
            elif verb == "add-broker":
                self._states[name] = "stop" if self._states[name] == ABSENT else self._states[name]
                await self._change("start", name)
            else:
                await self._change(verb, name)

    async def _change(self, verb: str, name: str) -> None:
        state = self._state(verb, name)
        if verb in DOWN and state not in (*DOWN, ABSENT):
            if verb in ("stop", "remove-broker") and state == "pause":
                await self._target.resume(name)  # a frozen process cannot stop in good order
            self._states[name] = verb
            await self._take_down(verb, name)
        elif verb == "power-off" and state in ("kill", "stop"):
            self._states[name] = verb
            await self._target.power_off(name)  # its page cache goes too
        elif verb == "wipe" and state in DOWN:
            self._target.files(name).clear()
        elif verb == "start" and state in DOWN:
            await self._target.start_node(name)
            self._states[name] = "running"
        elif verb == "pause" and state == "running":
            self._states[name] = verb
            await self._target.pause(name)
        elif verb == "resume" and state == "pause":
            await self._target.resume(name)
            self._states[name] = "running"

    def _state(self, verb: str, name: str) -> str:
        """A strict table asks the target itself, which refuses what makes no sense: a node may have crashed."""
        if not self._strict:
            fell = name in self._ailing and not self._target.is_running(name)
            if fell and self._states[name] in ("running", "pause"):
                self._states[name] = "kill"  # its disk failed it; one that ended for no such reason is a bug to be seen
            return self._states[name]
        if verb == "start":
            return "kill"
        return "pause" if verb == "resume" else "running"

    async def _take_down(self, verb: str, name: str) -> None:
        match verb:
            case "kill":
                await self._target.kill(name)
            case "stop" | "remove-broker":
                await self._target.stop(name)
            case "power-off":
                await self._target.power_off(name)
            case "torn-write":
                await self._target.crash(name)
                damage.tear(self._target.files(name), self._rng)
            case "wipe":
                if self._target.is_running(name):
                    await self._target.kill(name)
                self._target.files(name).clear()

    def _mended(self, verb: str, names: tuple[str, ...]) -> None:
        """A node that was started or resumed later is no longer broken by what came before."""
        for fault in list(self._faults.values()):
            if fault.verb in BACK[verb]:
                fault.targets = tuple(name for name in fault.targets if name not in names)
                if not fault.targets:
                    self._end(fault.fault_id)

    # --- faults that go on by themselves -----------------------------------------------------------

    async def _crash_loop(self, fault: Fault) -> None:
        while True:
            for name in fault.targets:
                await self._do_to_node("kill", name)
            await asyncio.sleep(fault.order.seconds("down"))
            for name in fault.targets:
                await self._do_to_node("start", name)
            await asyncio.sleep(fault.order.seconds("up"))

    async def _roll(self, fault: Fault) -> None:
        for name in fault.targets:
            await self._do_to_node("stop", name)
            await asyncio.sleep(fault.order.seconds("down"))
            await self._do_to_node("start", name)
            await asyncio.sleep(fault.order.seconds("up"))
        self._end(fault.fault_id)

    # --- healing -----------------------------------------------------------------------------------

    async def heal(self, fault_id: str) -> None:
        """Undo one fault; nothing happens when it is undone already. Raises LabError when it cannot be just now."""
        fault = self._faults.get(fault_id)
        if fault is None:
            return
        if fault.task is not None:
            await _ended(fault.task)
        if fault.has_link_rules:
            await self._target.clear_link_rule(fault_id)
        if fault.has_node_rules:
            await self._target.clear_node_rules(fault_id)
        for name, flips in fault.flips.items():
            damage.restore(self._target.files(name), flips)
        if fault.verb in (*DOWN, "crash-loop", "rolling-restart", "pause"):
            for name in fault.targets:
                await self._raise_up("resume" if fault.verb == "pause" else "start", name)
        if BY_VERB[fault.verb].group == "disk" and fault.verb not in DOWN:
            await self._start_fallen(fault)
        self._end(fault_id)

    async def _start_fallen(self, fault: Fault) -> None:
        """Start nodes that ended because their disk failed them."""
        for name in fault.targets:
            others = [other for other in self._faults.values() if other is not fault and name in other.targets]
            if not self._target.is_running(name) and not any(other.verb in DOWN for other in others):
                await self._do_to_node("start", name)

    async def _raise_up(self, verb: str, name: str) -> None:
        if self._strict and (self._target.is_running(name) if verb == "start" else not self._target.is_paused(name)):
            return  # somebody else has done it
        await self._do_to_node(verb, name)

    async def heal_all(self) -> None:
        """Undo everything, then start every node that is down for whatever reason and resume every paused one."""
        for fault_id in list(self._faults):
            if self._faults[fault_id].verb == "remove-broker":
                self._end(fault_id)
            else:
                await self.heal(fault_id)
        for name in self._target.node_names:
            if self._states[name] not in (ABSENT, "remove-broker"):
                await self._do_to_node("resume", name)
                await self._do_to_node("start", name)

    async def let_go(self) -> None:
        """Undo what would outlast the cluster: nodes are about to end, their files may be used again."""
        for fault in list(self._faults.values()):
            if fault.task is not None:
                fault.task.cancel()
            for name, flips in fault.flips.items():
                damage.restore(self._target.files(name), flips)

    def _end(self, fault_id: str) -> None:
        if self._faults.pop(fault_id, None) is not None:
            self._target.emit(LAB, StepEnded(fault_id, HEALED))
            self.on_end(fault_id)


async def _ended(task: asyncio.Task[None]) -> None:
    """Stop what goes on by itself; what it raised of its own is raised here."""
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(outcome, Exception):
        raise outcome


def _disk_rule(name: str, order: FaultOrder) -> DiskRule:
    return DiskRule(
        name,
        _DISK_KINDS[order.verb],
        operations=tuple(order.setting("operations") or ()),
        files=tuple(order.setting("files") or ()),
        rate=order.settings.get("rate", 1.0),
        latency_ms=order.settings.get("latency", 0) / 1000,
        jitter_ms=order.settings.get("jitter", 0) / 1000,
    )


def _clock_rule(name: str, order: FaultOrder) -> ClockRule:
    strobe = order.setting("strobe")
    offset_us = (order.setting("bump") or 0) if strobe is None else strobe
    return ClockRule(
        name,
        offset_ms=offset_us / 1000,
        drift=order.setting("drift") or 0.0,
        period_ms=0.0 if strobe is None else order.seconds("period") * 1000,
    )


def _request_rule(name: str, fault_id: str, order: FaultOrder) -> RequestRule:
    return RequestRule(
        name,
        fault=fault_id,
        clients=tuple(order.setting("clients") or ()),
        apis=tuple(order.setting("apis") or ()),
        error=order.setting("error") or "",
        loses_reply=order.verb == "lose-reply",
        rate=order.settings.get("rate", 1.0),
        count=order.setting("count") or 0,
    )
