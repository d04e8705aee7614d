"""Starting the zygote, with as little loaded as possible: it is the first thing that `fencepost up` does."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

NODE = "cluster.node.node:Node"
"""What runs as a node, as module:attribute; tests have another."""


@dataclass(frozen=True, slots=True)
class StartedZygote:
    """A zygote that may still be loading, and the launcher's end of the socket to it."""

    pid: int
    orders: socket.socket


def start_zygote(factory: str = NODE) -> StartedZygote:
    """Start one. It dies with the calling thread, so call from a thread that lives as long as the cluster."""
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    command = [sys.executable, "-m", "cluster.runtime.live.zygote", str(theirs.fileno()), str(os.getpid()), factory]
    with theirs, open(os.devnull, "rb") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
        pid = os.posix_spawn(sys.executable, command, _environment(), file_actions=actions)
    return StartedZygote(pid, ours)


def compiled_code_directory() -> Path:
    """Return where compiled modules are kept for a user who wants none beside the source."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fencepost" / "pycache"


def _environment() -> dict[str, str]:
    """Return this environment, made fit for a fast start: compiled modules are kept from one start to the next."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", "") or sys.pycache_prefix:
        environment["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix or str(compiled_code_directory())
    environment.setdefault("GRPC_VERBOSITY", "ERROR")  # or it chats about peers that went away
    # The node's code must be the launcher's, also when that was found through sys.path alone.
    root = str(Path(__file__).resolve().parents[3])
    path = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join(part for part in (root, path) if part)
    return environment
