"""Link rules in force in this process, and the queue in which a message waits for its link.

Here: when a message that is sent now arrives, and in which order. Each process holds what it *sends*; what it receives
was held by the sender. Not here: what a message is (`channel`, `server`, `listener`).

A cut link keeps messages, as TCP does, and delivers them when it is mended. A lost message is sent again after a
retransmission timeout, so that on a stream a loss is a delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol
from weakref import WeakKeyDictionary

from cluster.base.ports import Rng
from cluster.runtime.links import MESSAGE_APIS, LinkRule, LinkVerdict, judge

_RETRANSMISSION_S = 0.2  # Linux's TCP_RTO_MIN; it doubles with every further loss
_RETRANSMISSIONS_MAX = 6
_QUEUE_LENGTH_MAX = 1000
_OVERTAKEN_S = 0.05  # how long a message that is overtaken waits at most
_HEADER_BYTES = 66  # what Ethernet, IP and TCP add to a message; it counts against a bandwidth


class Watcher(Protocol):
    """What wants to hear of every change of the rules."""

    def rules_changed(self) -> None:
        """Look at the rules again."""


class LinkTable:
    """The rules that this process knows. `active` is False when there are none: look there first, it is free."""

    def __init__(self, name: str, rng: Rng) -> None:
        self.name = name
        self.active = False
        self._rng = rng
        self._rules: tuple[LinkRule, ...] = ()
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._busy_until_s: dict[tuple[str, str], float] = {}
        # Weak: a connection that is gone must not be kept alive by the table.
        self._watchers: WeakKeyDictionary[Watcher, None] = WeakKeyDictionary()

    def replace(self, rules: Iterable[LinkRule]) -> None:
        """Put these rules in force, in place of all that were; messages that wait are judged anew."""
        self._rules = tuple(rules)
        self.active = bool(self._rules)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        for watcher in list(self._watchers):
            watcher.rules_changed()

    def watch(self, watcher: Watcher) -> None:
        """Tell it of every change of the rules, for as long as it lives."""
        self._watchers[watcher] = None

    def names(self, peer: str) -> bool:
        """Whether any rule is about this peer."""
        return any(peer in (rule.source, rule.target) for rule in self._rules)

    def verdict(self, source: str, target: str, api: str | None) -> LinkVerdict:
        """What all rules add up to for one message."""
        return judge(self._rules, source, target, api)

    def due_s(self, source: str, target: str, api: str | None, size_bytes: int = 0) -> float:
        """Return when, on the loop's clock, a message that is sent now arrives unless the link is cut."""
        verdict = self.verdict(source, target, api)
        delay_s = verdict.delay_ms(self._rng) / 1000
        timeout_s = _RETRANSMISSION_S
        for _ in range(_RETRANSMISSIONS_MAX):
            if self._rng.random() >= verdict.drop_rate:
                break
            delay_s += timeout_s
            timeout_s *= 2
        now_s = asyncio.get_running_loop().time()
        if verdict.bandwidth:
            begin_s = max(self._busy_until_s.get((source, target), 0.0), now_s)
            end_s = self._busy_until_s[source, target] = begin_s + (size_bytes + _HEADER_BYTES) / verdict.bandwidth
            delay_s += end_s - now_s
        return now_s + delay_s

    def is_doubled(self, source: str, target: str, api: str | None) -> bool:
        """Draw whether a message that is independent of all others arrives twice."""
        chance = self.verdict(source, target, api).duplicate_rate
        return chance > 0 and self._rng.random() < chance

    def overtaken_s(self, source: str, target: str, api: str | None) -> float:
        """Draw how long a message that is independent of all others is held back, for later ones to overtake it."""
        chance = self.verdict(source, target, api).reorder_rate
        return _OVERTAKEN_S * self._rng.random() if chance and self._rng.random() < chance else 0.0

    async def arrive(self, source: str, target: str, api: str | None, due_s: float) -> None:
        """Return at `due_s`, or when the link is mended if it is cut then, or at once when no rule is left."""
        loop = asyncio.get_running_loop()
        while self.active:
            cut = self.verdict(source, target, api).stops
            left_s = due_s - loop.time()
            if not cut and left_s <= 0:
                return
            changed: asyncio.Future[None] = loop.create_future()
            self._waiting[changed] = None
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed, None if cut else left_s)
            finally:
                del self._waiting[changed]

    async def carry(self, source: str, target: str, api: str | None, size_bytes: int = 0) -> None:
        """Return when a message that is sent now arrives."""
        await self.arrive(source, target, api, self.due_s(source, target, api, size_bytes))


class Outbox:
    """Messages of one stream on their way, in order. Sending does not wait for arrival, as with a socket."""

    def __init__(self, table: LinkTable, source: str, target: str, api: str | None) -> None:
        self._table = table
        self._route = (source, target, api)
        self._is_loose = api in MESSAGE_APIS
        self._queue: deque[tuple[float, Callable[[], Awaitable[None]]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def must_wait(self) -> bool:
        """Whether a message sent now has to go through `post`: there are rules, or messages before it."""
        return self._table.active or bool(self._queue)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._queue

    def post(self, deliver: Callable[[], Awaitable[None]], size_bytes: int = 0) -> None:
        """Send one message: `deliver` is awaited when it arrives. Raises what an earlier delivery raised."""
        if self._failure is not None:
            raise self._failure
        if not self._is_loose:
            self._enqueue(deliver, size_bytes)
            return
        for _ in range(2 if self._table.is_doubled(*self._route) else 1):
            wait_s = self._table.overtaken_s(*self._route)
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._enqueue, deliver, size_bytes)
            else:
                self._enqueue(deliver, size_bytes)

    def _enqueue(self, deliver: Callable[[], Awaitable[None]], size_bytes: int) -> None:
        self._queue.append((self._table.due_s(*self._route, size_bytes), deliver))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pump())

    async def room(self) -> None:
        """Wait while too many messages are on their way."""
        while len(self._queue) > _QUEUE_LENGTH_MAX and self._failure is None:
            self._moved.clear()
            await self._moved.wait()

    async def drained(self) -> None:
        """Wait until nothing is on its way."""
        while self._queue and self._failure is None:
            self._moved.clear()
            await self._moved.wait()

    def close(self) -> None:
        """Forget what is on its way."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    async def _pump(self) -> None:
        try:
            while self._queue:
                due_s, deliver = self._queue[0]
                await self._table.arrive(*self._route, due_s)
                await deliver()
                self._queue.popleft()
                self._moved.set()
        except Exception as error:  # noqa: BLE001 - the sender is told with its next message
            self._failure = error
            self._queue.clear()
        finally:
            self._task = None
            self._moved.set()
