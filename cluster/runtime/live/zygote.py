"""The zygote: a process that has loaded the node's code and forks a node whenever it is told to.

Here: orders in, events out, as JSON lines over one socket. It has a single thread and never starts gRPC, because a
process that has cannot be forked. When the launcher goes away, however it goes, the zygote and all nodes die.

    orders  {"do": "spawn", "name": ..., "order": {...}}   {"do": "signal", "name": ..., "signal": 9}
    events  {"event": "ready"}   {"event": "spawned", "name": ..., "pid": ...}
            {"event": "exited", "name": ..., "pid": ..., "status": ..., "cause": ...}
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from cluster.runtime.live.process import die_with_parent, name_process, prepare_for_nodes

_CAUSE_BYTES_MAX = 4096


@dataclass(slots=True)
class _Child:
    name: str
    cause: int  # the read end of a pipe on which the node says why it ends


class Zygote:
    """Forks, signals and buries nodes."""

    def __init__(self, orders: socket.socket, factory: str) -> None:
        self._orders = orders
        self._received = b""
        self._children: dict[int, _Child] = {}
        module, _, attribute = factory.partition(":")
        # kio registers strategies with Hypothesis wherever that is installed: half of a cluster's time to start.
        sys.modules.setdefault("hypothesis", cast(ModuleType, None))
        self._factory = getattr(importlib.import_module(module), attribute)
        self._node_process = importlib.import_module("cluster.runtime.live.node_process")
        self._order = importlib.import_module("cluster.runtime.live.order")
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.collect()
        gc.freeze()  # what is loaded now stays shared: the collector touches no page of it in the children

    def run(self) -> None:
        """Serve until the launcher closes its end."""
        self._tell({"event": "ready"})
        orders = self._orders.fileno()
        while True:
            readable, _, _ = select.select([orders, self._woken], [], [])
            if self._woken in readable:
                os.read(self._woken, 512)
                self._bury()
            if orders in readable and not self._obey():
                break
        self._end_all()

    def _end_all(self) -> None:
        """Kill the nodes and wait for their ends: who waits for the zygote's end has waited for theirs."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _obey(self) -> bool:
        """Take what the launcher has sent. Returns False when it has closed."""
        content = self._orders.recv(1 << 16)
        *lines, self._received = (self._received + content).split(b"\n")
        for line in lines:
            row = json.loads(line)
            if row["do"] == "spawn":
                self._spawn(row["name"], row["order"])
            else:
                self._signal(row["name"], row["signal"])
        return bool(content)

    def _spawn(self, name: str, order: dict[str, Any]) -> None:
        cause_out, cause_in = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = self._become_node(parent, order, cause_in)
            finally:
                os._exit(code)  # nothing of the zygote may run in the child
        os.close(cause_in)
        self._children[pid] = _Child(name, cause_out)
        self._tell({"event": "spawned", "name": name, "pid": pid})

    def _become_node(self, parent: int, row: dict[str, Any], cause_in: int) -> int:
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._orders.close()
        os.close(self._woken)
        for child in self._children.values():
            os.close(child.cause)
        self._children.clear()
        order = self._order.NodeOrder.from_json(row)
        name_process(f"fencepost-{order.config.name}")
        directory = Path(order.directory)
        directory.mkdir(parents=True, exist_ok=True)
        log = os.open(directory / self._order.LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)

        def say_cause(text: str) -> None:
            os.write(cause_in, text.encode()[:_CAUSE_BYTES_MAX])

        code: int = self._node_process.run_node(order, self._factory, say_cause)
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    def _signal(self, name: str, number: int) -> None:
        for pid, child in self._children.items():
            if child.name == name:
                os.kill(pid, number)

    def _bury(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            cause = os.read(child.cause, _CAUSE_BYTES_MAX).decode("utf-8", "replace")
            os.close(child.cause)
            status = os.waitstatus_to_exitcode(status)
            self._tell({"event": "exited", "name": child.name, "pid": pid, "status": status, "cause": cause})

    def _tell(self, row: dict[str, Any]) -> None:
        self._orders.sendall(json.dumps(row).encode() + b"\n")


def main() -> None:
    """Run as `python -m cluster.runtime.live.zygote SOCKET PARENT FACTORY`."""
    descriptor, parent, factory = sys.argv[1:]
    die_with_parent(int(parent))
    os.setsid()  # Ctrl-C at the terminal is the launcher's business
    name_process("fencepost-nodes")
    prepare_for_nodes()
    # The launcher may go at any time; the kernel ends the nodes with this process.
    with socket.socket(fileno=int(descriptor)) as orders, suppress(BrokenPipeError, ConnectionResetError):
        Zygote(orders, factory).run()


if __name__ == "__main__":
    main()
