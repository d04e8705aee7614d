"""Starting the zygote, with as little loaded as possible: it is the first thing that `fencepost up` does."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

NODE = "cluster.node.node:Node"
"""What runs as a node, as module:attribute; tests have another."""

_WORDS_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class StartedZygote:
    """A zygote that may still be loading, and the launcher's end of the socket to it. `words` is what it prints."""

    pid: int
    orders: socket.socket
    words: int

    def said(self) -> str:
        """Return what it has printed, which is nothing unless it died of an error."""
        return os.pread(self.words, _WORDS_BYTES_MAX, 0).decode(errors="replace").strip()

    def abandon(self) -> None:
        """Let it end, and wait for that."""
        self.orders.close()
        os.close(self.words)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            return  # somebody has waited for it


def start_zygote(factory: str = NODE) -> StartedZygote:
    """Start one. It dies with the calling thread, so call from a thread that lives as long as the cluster."""
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    # -P: not what lies in the current directory. -S: where modules are is known, and finding out anew takes its time.
    command = [sys.executable, "-P", "-S", "-m", "cluster.runtime.live.zygote"]
    arguments = [str(theirs.fileno()), str(os.getpid()), factory]
    words = _memory_file()
    with theirs, open(os.devnull, "rb") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0), *((os.POSIX_SPAWN_DUP2, words, fd) for fd in (1, 2))]
        pid = os.posix_spawn(sys.executable, [*command, *arguments], _environment(), file_actions=actions)
    return StartedZygote(pid, ours, words)


def _memory_file() -> int:
    """Return a file for what the zygote prints: not the terminal, which it would keep open for ever."""
    return os.memfd_create("zygote") if sys.platform.startswith("linux") else os.open(os.devnull, os.O_RDWR)


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
    # The node's code must be the launcher's, and its libraries too.
    root = str(Path(__file__).resolve().parents[3])
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    parts = [root, *given, *(path for path in sys.path if os.path.isabs(path))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(part for part in parts if part))
    return environment
