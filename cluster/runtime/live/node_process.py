"""The life of one node's process: a world, a node, a loop, and how it ends.

Here: what happens after the fork, or in a container's only process. SIGTERM asks for a stop in good order.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cluster.base.errors import KafkaError
from cluster.node.config import NodeConfig
from cluster.node.world import World
from cluster.runtime.live.order import NodeOrder
from cluster.runtime.live.world import LiveWorld

COULD_NOT_START = 4
CRASHED = 70  # EX_SOFTWARE: a bug of ours, with its traceback in the log


class RunningNode(Protocol):
    """The part of a node that its process sees."""

    async def run(self) -> None:
        """Serve until a stop is requested, and stop in good order."""

    def request_stop(self) -> None:
        """Ask for that stop."""


_CALLS_END_S = 0.1

NodeFactory = Callable[[NodeConfig, World], RunningNode]


def run_node(order: NodeOrder, factory: NodeFactory, say_cause: Callable[[str], None]) -> int:
    """Run a node to its end and return the exit code. `say_cause` is told why, when it ends by an error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_cancellation)
    try:
        with asyncio.Runner() as runner:
            runner.run(_serve(order, factory))
    except BaseException as error:  # noqa: BLE001 - the last frame of a process: nobody else would tell
        first = _first(error)
        if not isinstance(first, KafkaError | OSError):
            traceback.print_exc()
            say_cause(f"a bug in Fencepost: {first!r}")
            return CRASHED
        cause = _cause(first)
        logging.getLogger(__name__).error("%s", cause)
        say_cause(cause)
        return COULD_NOT_START
    return 0


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Drop gRPC's tracebacks of calls that a stopping server cancels: that is how they are meant to end."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _cause(error: KafkaError | OSError) -> str:
    if isinstance(error, KafkaError):
        return error.message or str(error)
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason


def _first(error: BaseException) -> BaseException:
    """Return the first error within the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve(order: NodeOrder, factory: NodeFactory) -> None:
    config = order.config
    world = LiveWorld(
        config.name, Path(order.directory), names=order.names, trace=order.trace, bind_host=order.bind_host
    )
    world.links.replace(order.rules)
    try:
        node = factory(config, world)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, node.request_stop)
        await node.run()
        await _let_calls_end()
    finally:
        world.close()


async def _let_calls_end() -> None:
    """Let calls that the stopped server has cancelled end: when the loop's end cuts them, gRPC prints tracebacks."""
    calls = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if calls:
        await asyncio.wait(calls, timeout=_CALLS_END_S)
