"""A client of a local cluster: a task of the lab's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class ClientTask:
    """Runs a client's main coroutine."""

    def __init__(self, name: str, main: Coroutine[Any, Any, None]) -> None:
        self.name = name
        self._task = asyncio.get_running_loop().create_task(main, name=name)

    @property
    def done(self) -> bool:
        """Whether its main coroutine has ended."""
        return self._task.done()

    async def stop(self) -> None:
        """Cancel it and wait for its end; what it raised of its own is raised here."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def wait(self) -> None:
        """Wait until its main coroutine has returned; what it raised is raised here."""
        await asyncio.shield(self._task)

    async def end(self) -> None:
        """Cancel it, whatever it has to say: the cluster is going away."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
