"""What `fencepost up` does before anything else is loaded: detach, and start the process that loads the nodes' code.

Detached, a child of this process goes on and becomes the supervisor; this process waits until the cluster is ready,
and never loads anything. Standard library only, and little of it: each module costs a part of the start.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from cluster.runtime.live.zygote_start import StartedZygote, start_zygote

_COULD_NOT_START = 4

_started: list[StartedZygote] = []
_waiting: list[int] = []  # the pipe to the process that waits


def start() -> None:
    """Start the nodes' parent process."""
    _started.append(start_zygote())


def take() -> StartedZygote | None:
    """Return what was started, once; it belongs to the caller."""
    return _started.pop() if _started else None


def is_detached() -> bool:
    """Whether another process waits for this one to be ready."""
    return bool(_waiting)


def detach() -> None:
    """Return in a child of this process. The process itself ends with the child, or as soon as it is let go."""
    while _started:
        _started.pop().abandon()  # it would die with its parent, which is about to go
    ready_out, ready_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready_out)
        _waiting.append(ready_in)
        return
    os.close(ready_in)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child too, and the child decides
    if os.read(ready_out, 1):
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        os.write(2, b"fencepost: The supervisor was killed before the cluster was ready.\nTry again.\n")
    os._exit(code if code >= 0 else _COULD_NOT_START)


def let_go(log: Path) -> None:
    """Live on without a terminal, and tell the waiting process. Raises BrokenPipeError when it has gone."""
    os.setsid()
    with open(os.devnull, "rb") as nothing, log.open("wb") as written:
        os.dup2(nothing.fileno(), 0)
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
    ready = _waiting.pop()
    os.write(ready, b"1")
    os.close(ready)
