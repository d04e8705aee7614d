"""Machines and the processes on them: who runs, who is held, who is gone.

Here: a machine's power and its current process, and what happens to a process's callbacks when it does not run.
Not here: what the network makes of a death (`network`), what the disk keeps (`disk`).

A process is found through a context variable: tasks, timers and connections inherit it, so that every callback
knows on whose behalf it runs. A process that was killed never runs again, not even its `finally` blocks: its
callbacks and tasks go to a graveyard, which also keeps destructors from running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from enum import Enum
from typing import Any, Protocol

from cluster.runtime.node_rules import NodeFaults
from cluster.runtime.sim.disk import SimDisk
from cluster.runtime.sim.handles import SimHandle

PROCESS: ContextVar[Process] = ContextVar("fencepost_simulated_process")


class ProcessState(Enum):
    """What a process does with its callbacks: runs them, keeps them for later, or never runs them again."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


class Scheduler(Protocol):
    """What a process asks of the loop that gives it its turns."""

    def create_task(self, coro: Coroutine[Any, Any, Any], *, name: str | None, context: Context) -> asyncio.Task[Any]:
        """Start a task that finds its process through the context."""

    def run_held(self, handles: list[SimHandle]) -> None:
        """Run what a paused process could not, in the order in which it came."""

    def bury(self, handle: SimHandle) -> None:
        """Keep a dead process's callback where it neither runs nor is destroyed."""

    def bury_tasks_of(self, process: Process) -> None:
        """Keep a dead process's tasks where no destructor runs their `finally` blocks."""


class Process:
    """One run of a program on a machine, from its start to its end or death."""

    def __init__(self, machine: Machine, number: int, scheduler: Scheduler, is_critical: bool) -> None:
        self.machine = machine
        self.name = machine.name
        self.number = number  # how many processes this machine has had before
        self.is_critical = is_critical  # an exception that escapes it fails the whole run
        self.state = ProcessState.RUNNING
        self.runs = True  # state is RUNNING: the one bit that the loop looks at before each step
        self.main: asyncio.Task[Any] | None = None
        self._held: list[SimHandle] = []
        self._scheduler = scheduler
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)

    def spawn(self, main: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine as this process."""
        assert self.state is not ProcessState.DEAD
        return self._scheduler.create_task(main, name=name, context=self.context.copy())

    def hold(self, handle: SimHandle) -> None:
        """Take a callback that came due while the process does not run."""
        if self.state is ProcessState.PAUSED:
            self._held.append(handle)
        else:
            self._scheduler.bury(handle)

    def pause(self) -> None:
        """Stop running, as SIGSTOP does: the kernel goes on receiving, nothing is answered."""
        assert self.state is ProcessState.RUNNING, f"{self.name} is {self.state.value}"
        self._become(ProcessState.PAUSED)

    def resume(self) -> None:
        """Run on, first all that was held, in its order."""
        assert self.state is ProcessState.PAUSED, f"{self.name} is {self.state.value}"
        self._become(ProcessState.RUNNING)
        held, self._held = self._held, []
        self._scheduler.run_held(held)

    def die(self) -> None:
        """Never run again. Tasks are kept where no destructor runs."""
        self._become(ProcessState.DEAD)
        self._scheduler.bury_tasks_of(self)
        for handle in self._held:
            self._scheduler.bury(handle)
        self._held = []

    def _become(self, state: ProcessState) -> None:
        self.state = state
        self.runs = state is ProcessState.RUNNING


class Machine:
    """A computer: a name on the network, a disk, and at most one process. `faults` is what is wrong with it."""

    def __init__(
        self, name: str, scheduler: Scheduler, disk: SimDisk, faults: NodeFaults, on_death: Callable[[Process], None]
    ) -> None:
        self.name = name
        self.disk = disk
        self.faults = faults
        self.is_powered = True
        self.process: Process | None = None
        self.processes_started = 0
        self._scheduler = scheduler
        self._on_death = on_death
        self._on_boot: list[Callable[[], None]] = []

    @property
    def is_alive(self) -> bool:
        """Whether a process runs or is paused here."""
        return self.process is not None

    def start(self, *, is_critical: bool = False) -> Process:
        """Start a process, after turning the power on when it is off."""
        assert self.process is None, f"{self.name} runs already"
        if not self.is_powered:
            self.is_powered = True
            waiting, self._on_boot = self._on_boot, []
            for callback in waiting:
                callback()
        self.process = Process(self, self.processes_started, self._scheduler, is_critical)
        self.processes_started += 1
        return self.process

    def exit(self) -> None:
        """Let the process go after it ended by itself: the kernel closes what it left open."""
        self._end()

    def kill(self) -> None:
        """SIGKILL: peers see connections reset, files keep what was written."""
        self._end()

    def power_off(self) -> None:
        """Cut the power: peers see silence, files keep what was synced."""
        self.is_powered = False
        if self.process is not None:
            self._end()
        self.disk.lose_power()

    def when_booted(self, callback: Callable[[], None]) -> None:
        """Call back when power returns; the machine is off."""
        assert not self.is_powered
        self._on_boot.append(callback)

    def _end(self) -> None:
        process = self.process
        assert process is not None, f"{self.name} runs nothing"
        self.process = None
        process.die()
        self._on_death(process)
