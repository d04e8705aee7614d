"""What a process asks of its operating system at birth: to die with its parent, a name, memory and file limits.

Here: the few calls that Python has no function for (Linux `prctl`, glibc `mallopt`). On another system they do nothing,
and the nodes' lives depend on the launcher's socket alone.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_OPEN_FILES_WANTED = 65_536


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, however the parent dies. Call first thing."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)


def name_process(name: str) -> None:
    """Show a name (15 bytes at most) in `ps` and `top`."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def tune_memory() -> None:
    """Keep large buffers in the heap instead of mapping and unmapping pages for every message.

    Measured: three to five times the throughput of 1 MiB gRPC messages. Forked processes inherit it.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)
            mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def allow_many_files() -> None:
    """Raise the soft limit of open files: a partition has several and a connection has one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(_OPEN_FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
