"""One run of the simulation, from its seed to its result.

Here: assembling loop, network, machines and recorders, running the lab's main coroutine, and clearing up. Not here:
clusters of nodes (`cluster.lab`), which are built on this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Generic, TypeVar

from cluster.base.errors import KafkaError
from cluster.base.trace import Traced, TraceEvent
from cluster.runtime.node_rules import NodeFaults
from cluster.runtime.sim.disk import SimDisk
from cluster.runtime.sim.errors import SimProcessFailed
from cluster.runtime.sim.loop import START_S, SimLoop
from cluster.runtime.sim.machines import Machine, Process
from cluster.runtime.sim.network import Latency, Network
from cluster.runtime.sim.patches import world_replaced
from cluster.runtime.sim.recording import SimTracer, StepRecorder, TraceRecorder
from cluster.runtime.sim.tcp import connect, listen
from cluster.runtime.sim.world import SimWorld

LAB = "lab"
"""The machine on which the main coroutine runs."""

WRITEBACK_MS = 30_000
"""How long the page cache keeps dirty data by default (Linux's `dirty_expire_centisecs`)."""

STEPS_LIMIT = 200_000_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SimulationResult(Generic[_T]):
    """What a run gave. Two runs of one seed have the same hash; `errors` are those nobody caught, in order."""

    value: _T
    trace: tuple[Traced, ...]
    trace_hash: str
    virtual_s: float
    steps: int
    errors: tuple[str, ...]
    lines: tuple[str, ...] = ()


class Simulation:
    """What the main coroutine is given: machines, links, the trace."""

    def __init__(self, seed: int, loop: SimLoop, steps: StepRecorder, latency: Latency, *, is_tracing: bool) -> None:
        self.seed = seed
        self.loop = loop
        self.is_tracing = is_tracing
        self.network = Network(loop, steps, str(seed), latency)
        self.trace = TraceRecorder(self.now_us)
        self._tracers: list[SimTracer] = []
        self.errors: list[str] = []
        self.on_crash: Callable[[str], None] = lambda _name: None  # a process ended whose disk was made to fail
        self.writeback_ms: float = WRITEBACK_MS
        loop.on_error = self._on_error
        loop.open_stream = partial(connect, self.network)
        loop.open_server = partial(listen, self.network)

    def now_us(self) -> int:
        """Microseconds of virtual time since the run began."""
        return int((self.loop.now - START_S) * 1e6)

    def rng(self, purpose: str) -> Random:
        """Return dice for one purpose: they do not depend on how often others were thrown."""
        return Random(f"{self.seed}/{purpose}")

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event of a client or of the lab into the trace."""
        self.trace.emit(node, event)

    def stop_tracing(self) -> None:
        """Listen no more: from now on nodes do not even make their events."""
        self.is_tracing = False
        for tracer in self._tracers:
            tracer.enabled = False

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every later event, as it happens."""
        self.trace.subscribe(on_event)

    def machine(self, name: str) -> Machine:
        """Return the machine of that name, building it when there is none."""
        machine = self.network.machines.get(name)
        if machine is None:
            disk = SimDisk(name, self.rng(f"disk/{name}"), self.loop.time, self.writeback_ms)
            faults = NodeFaults(self.rng(f"faults/{name}"))
            machine = Machine(name, self.loop, disk, faults, self.network.process_ended)
            self.network.machines[name] = machine
        return machine

    def world(self, process: Process) -> SimWorld:
        """Return the world of a node that runs as this process."""
        tracer = SimTracer(self.trace, process.name, enabled=self.is_tracing)
        self._tracers.append(tracer)
        return SimWorld(self.network, process, tracer, self.seed)

    def run_process(
        self, name: str, main: Callable[[Process], Coroutine[Any, Any, Any]], *, is_critical: bool = True
    ) -> Process:
        """Start a process on a machine. When its main coroutine ends, the process ends and its sockets are closed.

        A critical process that ends with an exception fails the whole run.
        """
        process = self.machine(name).start(is_critical=is_critical)
        process.main = process.spawn(main(process), name="main")
        process.main.add_done_callback(lambda task: self._main_ended(process, task), context=self.network.kernel)
        return process

    def _main_ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        if process.machine.process is not process:
            return  # killed in the same instant
        process.machine.exit()
        error = None if task.cancelled() else task.exception()
        if error is not None and process.is_critical and _is_about_its_disk(process, error):
            self.on_crash(process.name)  # what else could it do
        elif error is not None and process.is_critical:
            failure = SimProcessFailed(f"{process.name} ended with {error!r}")
            failure.__cause__ = error
            self.loop.fail(failure)

    def _on_error(self, process: Process | None, context: dict[str, Any]) -> None:
        place = process.name if process is not None else LAB
        error = context.get("exception")
        if error is None:
            return  # a complaint of asyncio or a client about something left open, as processes do that end
        self.errors.append(f"{place}: {context.get('message')}: {error!r}")
        if process is not None and isinstance(error, Exception) and _is_about_its_disk(process, error):
            return
        if isinstance(error, Exception) and process is not None and process.is_critical:
            failure = SimProcessFailed(f"{place}: {context.get('message')}: {error!r}")
            failure.__cause__ = error
            self.loop.fail(failure)


def _is_about_its_disk(process: Process, error: BaseException) -> bool:
    """Whether a disk that was made to fail is why a process ends. A bug is a bug on any disk."""
    if not process.machine.faults.ails_disk:
        return False
    if isinstance(error, BaseExceptionGroup):
        return all(_is_about_its_disk(process, part) for part in error.exceptions)
    return isinstance(error, OSError | KafkaError)


def run_simulation(
    main: Callable[[Simulation], Awaitable[_T]],
    seed: int,
    *,
    virtual_time_limit_s: float = 3600.0,
    steps_limit: int = STEPS_LIMIT,
    latency: Latency | None = None,
    writeback_ms: float = WRITEBACK_MS,
    is_hashing: bool = True,
    is_tracing: bool = True,
    keep_lines: bool = False,
) -> SimulationResult[_T]:
    """Run a coroutine in a world of its own, made from the seed.

    The hash repeats in every process whose interpreter was started with PYTHONHASHSEED=0 (`ensure_reproducible`).
    Raises SimDeadlock, SimLivelock, SimTimeExhausted, SimProcessFailed, or what the coroutine raises.
    """
    steps = StepRecorder(is_hashing=is_hashing, keep=keep_lines)
    loop = SimLoop(Random(f"{seed}/loop"), steps, time_limit_s=virtual_time_limit_s, steps_limit=steps_limit)
    simulation = Simulation(seed, loop, steps, latency or Latency(), is_tracing=is_tracing)
    simulation.writeback_ms = writeback_ms
    with world_replaced(loop, str(seed)):
        try:
            lab = simulation.machine(LAB).start()
            value = loop.run_until_complete(lab.spawn(_main(main, simulation), name="main"))
            return SimulationResult(
                value=value,
                trace=tuple(simulation.trace.events),
                trace_hash=steps.digest(),
                virtual_s=loop.time() - START_S,
                steps=loop.steps,
                errors=tuple(simulation.errors),
                lines=tuple(steps.lines or ()),
            )
        finally:
            _clear_up(simulation, steps)


async def _main(main: Callable[[Simulation], Awaitable[_T]], simulation: Simulation) -> _T:
    return await main(simulation)


def _clear_up(simulation: Simulation, steps: StepRecorder) -> None:
    """Let every task end, the dead ones too, where nothing they do is seen; then forget all."""
    loop = simulation.loop
    steps.is_hashing = False
    simulation.stop_tracing()
    loop.on_error = lambda process, context: None
    loop.dissolve()
    loop.close()
