"""An event loop in virtual time: asyncio's rules, with a clock that jumps and an order that repeats.

Here: time, timers, tasks and futures, and the order in which callbacks run. Not here: connections (`network`, `tcp`),
who may run (`machines`), what is recorded of a step (`recording`).

Time is on a binary grid, so sums and differences of floats are exact, and a timer always fires at least one tick
after it was set: client code assumes that time passes while it runs, and spins when it does not.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil
from random import Random
from typing import Any, NoReturn, TypeVar

from cluster.runtime.sim.await_chains import describe_tasks
from cluster.runtime.sim.errors import SimDeadlock, SimEscape, SimLivelock, SimTimeExhausted
from cluster.runtime.sim.handles import SimHandle, SimTimer
from cluster.runtime.sim.machines import PROCESS, Process
from cluster.runtime.sim.recording import StepRecorder

TICKS_PER_S = 2.0**20
TICK_S = 1 / TICKS_PER_S
START_S = 1024.0
"""What the monotonic clock shows when a run begins; not zero, which code may take for "never"."""

STEPS_AT_ONE_INSTANT_MAX = 1_000_000

DISSOLVE_ROUNDS = 3
"""How often tasks are cancelled at the end of a run; some need more than once."""

HEAP_SIZE_MIN = 1024
"""Timers, cancelled ones included, below which looking for cancelled ones is not worth it."""

_T = TypeVar("_T")


class SimFuture(asyncio.Future[_T]):
    """A future whose hash is a number given at the first need, not an address: sets of futures repeat their order."""

    _number = 0

    def __hash__(self) -> int:
        number = self._number
        if not number:
            loop: Any = self.get_loop()
            number = self._number = loop.next_number()
        return number


class SimTask(asyncio.Task[_T]):
    """A task that knows its process, is named after it, and has a hash that repeats."""

    def __init__(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        loop: SimLoop,
        name: str | None,
        context: Context | None,
    ) -> None:
        self.number = loop.next_number()
        self.process = PROCESS.get(None) if context is None else context.get(PROCESS)
        place = self.process.name if self.process is not None else "-"
        what = name or getattr(coro, "__qualname__", type(coro).__name__)
        self.step_label = f"{place}/{what}#{self.number}"
        super().__init__(coro, loop=loop, name=self.step_label, context=context)

    def __hash__(self) -> int:
        return self.number

    @property
    def place(self) -> str:
        """Where it runs, for whoever asks why it does not go on."""
        return f"{self.process.name} ({self.process.state.value})" if self.process is not None else "(no machine)"

    def set_name(self, value: object) -> None:
        """Rename it; it keeps its process and number."""
        place = self.process.name if self.process is not None else "-"
        self.step_label = f"{place}/{value}#{self.number}"
        super().set_name(self.step_label)

    def forsake(self) -> None:
        """Close its coroutine, whatever that says, and say nothing when the task is destroyed unfinished."""
        self._log_destroy_pending = False
        with suppress(Exception):
            self.get_coro().close()


async def _no_network(*_: object) -> None:
    raise SimEscape("this loop has no network")


class SimLoop(asyncio.base_events.BaseEventLoop):
    """asyncio's loop with `_run_once`, timers and connections replaced; all the rest is inherited."""

    def __init__(self, rng: Random, recorder: StepRecorder, *, time_limit_s: float, steps_limit: int) -> None:
        super().__init__()
        self._ready: deque[SimHandle] = deque()
        self._heap: list[tuple[float, int, SimTimer]] = []
        self._heap_size_limit = HEAP_SIZE_MIN
        self.now = START_S
        self._time_limit = START_S + time_limit_s
        self._timers_set = 0
        self.next_number: Callable[[], int] = count(1).__next__  # serial numbers of this run
        self._steps_limit = steps_limit
        self._rng = rng
        self._recorder = recorder
        self._graveyard: list[object] = []
        self._failure: BaseException | None = None
        self._stopping = False
        self._thread_number = threading.get_ident()
        self._is_dissolving = False  # the run is over: the dead may run their last steps
        self.steps = 0
        self.on_error: Callable[[Process | None, dict[str, Any]], None] | None = None
        self.on_undelivered: Callable[[SimHandle], None] | None = None
        self.open_stream: Callable[..., Coroutine[Any, Any, Any]] = _no_network
        self.open_server: Callable[..., Coroutine[Any, Any, Any]] = _no_network

    # --- time ---

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    def call_at(  # type: ignore[override]  # the base is generic over the callback's arguments, which is no help here
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimTimer:
        """Run a callback at a virtual time, rounded up to the grid and at least one tick from now."""
        return self.set_timer(when, callback, args, context)

    def set_timer(
        self, when: float, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context | None
    ) -> SimTimer:
        """Do as `call_at`, for callers that have the arguments in a tuple already."""
        when = ceil(when * TICKS_PER_S) * TICK_S
        if when <= self.now:
            when = self.now + TICK_S
        timer = SimTimer((callback, arguments, copy_context() if context is None else context))
        timer.due = when
        self._timers_set += 1
        heappush(self._heap, (when, self._timers_set, timer))
        return timer

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimTimer:
        """Run a callback after a virtual delay in seconds."""
        return self.set_timer(self.now + delay, callback, args, context)

    def call_soon(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Run a callback in this instant, after those that wait already."""
        handle = SimHandle((callback, args, copy_context() if context is None else context))
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Like `call_soon`. Raises SimEscape from another thread: its timing could not be repeated."""
        if threading.get_ident() != self._thread_number:
            raise SimEscape("a real thread called into the simulation")
        return self.call_soon(callback, *args, context=context)

    # --- tasks and futures ---

    get_debug: Any = bool
    """False, without running Python code: every future asks."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future with a hash that repeats."""
        return SimFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[_T]:
        """Start a task of the current process, or of the process of the given context."""
        return SimTask(coro, loop=self, name=None if name is None else str(name), context=context)

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function inline after a seeded delay of up to a millisecond: no thread, no race."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to whoever awaits the future
                future.set_exception(error)

        self.call_later(self._rng.random() * 1e-3, run)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        """Do nothing: there are no threads."""

    # --- connections; Any, because the base declares overloads over sockets and TLS ---

    async def _create_connection(
        self, protocol_factory: Callable[[], Any], host: str, port: int, *, ssl: object = None, **_: object
    ) -> Any:
        """Open a stream to a machine by its name. TLS is not simulated: its library rolls dice of its own."""
        if ssl:
            raise SimEscape("TLS cannot be simulated")
        return await self.open_stream(protocol_factory, host, port)

    async def _create_server(self, protocol_factory: Callable[[], Any], host: object, port: int, **_: object) -> Any:
        """Listen on a port of the current machine, whatever the host is."""
        return await self.open_server(protocol_factory, port)

    async def _getaddrinfo(self, host: str, port: int, **_: object) -> Any:
        """Names are addresses here."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    create_connection: Any = _create_connection
    create_server: Any = _create_server
    getaddrinfo: Any = _getaddrinfo

    # --- running ---

    def _run_once(self) -> None:
        """Run steps until somebody stops the loop; when nothing is ready, let time jump to the next timer."""
        ready = self._ready
        record = self._recorder.step if self._recorder.is_hashing else None
        steps = self.steps
        steps_limit = min(self._steps_limit, steps + STEPS_AT_ONE_INSTANT_MAX)
        while not self._stopping:
            if ready:
                handle = ready.popleft()
            elif self._is_dissolving:
                self._stopping = True
                break
            else:
                self.steps = steps
                handle = self._advance()
                steps_limit = min(self._steps_limit, steps + STEPS_AT_ONE_INSTANT_MAX)
            callback, arguments, context = handle
            if callback is None:
                continue
            process = context.get(PROCESS)
            if process is not None and not process.runs and not self._is_dissolving:
                process.hold(handle)
                continue
            steps += 1
            if steps > steps_limit:
                self.steps = steps
                self._raise_spinning()
            if record is not None:
                record(callback)
            try:
                if len(arguments) == 1:  # most have one, and a starred call builds a list and a tuple for it
                    context.run(callback, arguments[0])
                else:
                    context.run(callback, *arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001  # as asyncio: whatever a callback raises is reported
                name = getattr(callback, "__qualname__", type(callback).__name__)
                self._tell(process, {"message": f"exception in callback {name}", "exception": error})
        self.steps = steps
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _raise_spinning(self) -> NoReturn:
        if self.steps > self._steps_limit:
            raise SimTimeExhausted(self._report(f"the budget of {self._steps_limit} steps is used up"))
        raise SimLivelock(self._report(f"{STEPS_AT_ONE_INSTANT_MAX} steps without time passing"))

    def _advance(self) -> SimTimer:
        """Move time to the first timer and return it; make all others that are due then ready, in their order."""
        heap = self._heap
        if len(heap) > self._heap_size_limit:
            self._drop_cancelled()
        while heap:
            when, _, timer = heappop(heap)
            if timer[0] is not None:
                break
        else:
            raise SimDeadlock(self._report("nothing is ready and no timer is set"))
        if when > self._time_limit:
            raise SimTimeExhausted(self._report(f"the budget of {self._time_limit - START_S:g} virtual s is used up"))
        self.now = when
        if self._recorder.is_hashing:
            self._recorder.instant(when)
        while heap and heap[0][0] <= when:
            self._ready.append(heappop(heap)[2])
        return timer

    def _drop_cancelled(self) -> None:
        """Rebuild the heap without cancelled timers: most are timeouts, which would stay for their whole time."""
        self._heap[:] = [entry for entry in self._heap if entry[2][0] is not None]
        heapify(self._heap)
        self._heap_size_limit = 2 * len(self._heap) + HEAP_SIZE_MIN

    def fail(self, error: BaseException) -> None:
        """End the run with this error, after the step in hand, unless it has ended already."""
        if self._failure is None and not self._is_dissolving:
            self._failure = error
            self._stopping = True

    def _report(self, what: str) -> str:
        return f"{what} at {self.now - START_S:.6f} virtual s\n{describe_tasks(self.unfinished_tasks())}"

    def unfinished_tasks(self) -> list[SimTask[Any]]:
        """Return all tasks of this loop that are not done, oldest first."""
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, SimTask)]
        return sorted(tasks, key=lambda task: task.number)

    # --- errors ---

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio would log, for the end of the run."""
        self._tell(PROCESS.get(None), context)

    def _tell(self, process: Process | None, context: dict[str, Any]) -> None:
        if self.on_error is not None:
            self.on_error(process, context)
        else:
            sys.stderr.write(f"{context.get('message')}: {context.get('exception')!r}\n")

    # --- the end ---

    def dissolve(self) -> None:
        """Cancel every task, of living and dead processes, and let them run without time passing; close what is left.

        What they do is seen by nobody: it only keeps destructors from doing it later, in the middle of another run.
        """
        self._is_dissolving = True
        self._failure = None
        for _ in range(DISSOLVE_ROUNDS):
            for task in self.unfinished_tasks():
                task.cancel()
            with suppress(SimLivelock, SimTimeExhausted):
                self.run_forever()
        for task in self.unfinished_tasks():
            task.forsake()
        self._ready.clear()
        self._heap.clear()
        self._graveyard.clear()

    # --- the dead ---

    def bury(self, handle: SimHandle) -> None:
        """Keep a dead process's callback; when it is a message, the machine's kernel deals with it."""
        self._graveyard.append(handle)
        if self.on_undelivered is not None:
            self.on_undelivered(handle)

    def bury_tasks_of(self, process: Process) -> None:
        """Keep a dead process's tasks where no destructor runs their `finally` blocks."""
        self._graveyard.extend(task for task in self.unfinished_tasks() if task.process is process)

    def run_held(self, handles: list[SimHandle]) -> None:
        """Run what a paused process could not, in the order in which it came."""
        self._ready.extend(handles)
