"""The launcher's side of the zygote: start nodes, signal them, learn of their ends.

Here: asyncio on the lab's side of the socket. Not here: which nodes there are and when they are ready (`cluster.lab`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cluster.runtime.live.order import NodeOrder
from cluster.runtime.live.zygote_start import StartedZygote, start_zygote

_LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class NodeExit:
    """How a node's process ended: `status` is its exit code, or minus the signal; `cause` is what it said last."""

    name: str
    pid: int
    status: int
    cause: str


class ZygoteGone(Exception):
    """The zygote died, and all nodes with it."""


class Launcher:
    """All node processes of one cluster."""

    def __init__(self, zygote: StartedZygote | None = None) -> None:
        self._zygote = zygote or start_zygote()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._spawning: dict[str, asyncio.Future[int]] = {}
        self._ending: dict[str, asyncio.Future[NodeExit]] = {}
        self._pids: dict[str, int] = {}
        self.on_exit: Callable[[NodeExit], None] = lambda _exit: None
        self.on_gone: Callable[[], None] = lambda: None

    async def connect(self) -> None:
        """Begin to talk with the zygote; it may still be loading."""
        reader, self._writer = await asyncio.open_connection(sock=self._zygote.orders, limit=_LINE_BYTES_MAX)
        self._reading = asyncio.create_task(self._read(reader))

    def pid(self, name: str) -> int | None:
        """Return the process id of a node that runs."""
        return self._pids.get(name)

    async def spawn(self, order: NodeOrder) -> int:
        """Start a node and return its process id. Raises ZygoteGone."""
        name = order.config.name
        assert name not in self._pids and name not in self._spawning, f"{name} runs already"
        loop = asyncio.get_running_loop()
        self._ending[name] = loop.create_future()
        spawned: asyncio.Future[int] = loop.create_future()
        self._spawning[name] = spawned
        self._order({"do": "spawn", "name": name, "order": order.to_json()})
        return await spawned

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node, if it runs."""
        self._order({"do": "signal", "name": name, "signal": int(number)})

    async def ended(self, name: str) -> NodeExit:
        """Wait for the end of a node that was started. Raises ZygoteGone."""
        return await asyncio.shield(self._ending[name])

    async def close(self) -> None:
        """Kill what still runs and wait until the zygote is gone."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            await self._reading
        await asyncio.get_running_loop().run_in_executor(None, self._zygote.abandon)

    def last_words(self) -> str:
        """Return what the zygote printed when it died of an error."""
        return self._zygote.said()

    def _order(self, row: dict[str, Any]) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ZygoteGone
        self._writer.write(json.dumps(row).encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            with suppress(ConnectionResetError, BrokenPipeError):
                while line := await reader.readline():
                    self._take(json.loads(line))
        finally:
            self._lose_everything()

    def _take(self, row: dict[str, Any]) -> None:
        if row["event"] == "spawned":
            self._pids[row["name"]] = row["pid"]
            spawned = self._spawning.pop(row["name"])
            if not spawned.done():  # whoever asked for it was interrupted
                spawned.set_result(row["pid"])
        elif row["event"] == "exited":
            del self._pids[row["name"]]
            end = NodeExit(row["name"], row["pid"], row["status"], row["cause"])
            self._ending[row["name"]].set_result(end)
            self.on_exit(end)

    def _lose_everything(self) -> None:
        self._pids.clear()
        futures: list[asyncio.Future[Any]] = [*self._spawning.values(), *self._ending.values()]
        for future in futures:
            if not future.done():
                future.set_exception(ZygoteGone())
                future.exception()  # nobody may be waiting
        self._spawning.clear()
        self.on_gone()
