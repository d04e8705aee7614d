"""asyncio.wait for the simulated loop's own futures: the same answer in the same order, for a third of the work.

Here: the ways in which clients call it for every record, waiting for the first of several or for the only one. Not
here: all other ways, which stay asyncio's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from cluster.runtime.sim.loop import SimFuture, SimTask

_wait = asyncio.wait


async def wait(
    fs: Iterable[asyncio.Future[Any]],
    *,
    timeout: float | None = None,  # noqa: ASYNC109  # asyncio's
    return_when: str = asyncio.ALL_COMPLETED,
) -> tuple[set[asyncio.Future[Any]], set[asyncio.Future[Any]]]:
    """Return which are done and which are not, as `asyncio.wait` does.

    What that does more (counting, looking for coroutines by their abstract base class) makes no difference when the
    first one ends the wait.
    """
    futures = set(fs)
    if not futures or (return_when != asyncio.FIRST_COMPLETED and len(futures) > 1):
        return await _wait(futures, timeout=timeout, return_when=return_when)
    for future in futures:
        if type(future) not in _OWN:
            return await _wait(futures, timeout=timeout, return_when=return_when)
    loop = asyncio.get_running_loop()
    first: asyncio.Future[None] = asyncio.Future(loop=loop)  # its hash is an address, which nobody asks for

    def release(_: object = None) -> None:
        if not first.done():
            first.set_result(None)

    timer = None if timeout is None else loop.call_later(timeout, release)
    for future in futures:
        future.add_done_callback(release)
    try:
        await first
    finally:
        if timer is not None:
            timer.cancel()
        for future in futures:
            future.remove_done_callback(release)
    done: set[asyncio.Future[Any]] = set()
    for future in futures:  # plainly: a comprehension is a call, and this runs several times for each record
        if future.done():
            done.add(future)
    return done, futures - done


_OWN = (SimFuture, SimTask)
