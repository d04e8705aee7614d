"""How a command talks with the supervisor of a running cluster: one JSON line each way over a Unix socket.

Here: both ends of the line's form, and the command's end of the socket. Plain blocking code: a command asks one
question. Not here: the answers (`supervisor`).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.lab.errors import LabError
from cluster.lab.home import SOCKET_FILE, cluster_home, cluster_names


def ask(name: str, command: str, **arguments: Any) -> Any:
    """Ask the supervisor of a cluster and return its answer. Raises LabError: its own, or that nobody is there."""
    directory = cluster_home(name)
    try:
        with socket.socket(socket.AF_UNIX) as line, reachable_socket(directory) as address:
            line.connect(address)
            line.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            with line.makefile("rb") as replies:
                answer = replies.readline()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        others = [other for other in cluster_names() if other != name and is_running(other)]
        remedy = f"Running: {', '.join(others)}; choose with --name." if others else "Start one: fencepost up."
        raise LabError(f"No cluster called {name} is running.", remedy) from error
    except OSError as error:
        cause = f"The supervisor of {name} cannot be asked: {error.strerror or error}."
        raise LabError(cause, f"Its socket is in {directory}; it may belong to another user.") from error
    if not answer:
        raise LabError(f"The supervisor of {name} went away before it answered.", "See `fencepost ps`.")
    row = json.loads(answer)
    if "error" in row:
        raise LabError(row["error"]["cause"], row["error"]["remedy"], row["error"]["exit_code"])
    return row["result"]


def is_running(name: str) -> bool:
    """Whether a supervisor listens for that cluster."""
    directory = cluster_home(name)
    try:
        with socket.socket(socket.AF_UNIX) as line, reachable_socket(directory) as address:
            line.connect(address)
    except OSError:
        return False
    return True


@contextmanager
def reachable_socket(directory: Path) -> Iterator[str]:
    """Give the address of the control socket. A Unix address holds 107 bytes, and a path may be longer."""
    address = str(directory / SOCKET_FILE)
    if len(address.encode()) < 100:
        yield address
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)
