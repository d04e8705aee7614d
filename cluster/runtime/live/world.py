"""The world of a live node: real channels, listeners, files and clocks behind `cluster.node.world.World`.

Here: the parts put together for one process. Nothing in it decides anything.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc.aio

from cluster.base.ids import NodeId
from cluster.base.ports import Clock, Disk, Rng, SilentTracer, Tracer
from cluster.runtime.live.channel import open_channel
from cluster.runtime.live.disk import LiveDisk
from cluster.runtime.live.lab_service import LabService
from cluster.runtime.live.link_table import LinkTable
from cluster.runtime.live.listener import linked_factory
from cluster.runtime.live.server import address_taken, start_server
from cluster.runtime.live.trace_file import TRACE_FILE, TraceFile
from cluster.runtime.node_rules import NodeFaults


class LiveClock:
    """The machine's clocks."""

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class LiveWorld:
    """The outside of one node in a process of its own.

    `names` gives the peers' names, which link rules go by; `bind_host` is where it listens when that is not the
    advertised host, as in a container.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        names: Mapping[NodeId, str],
        trace: bool = False,
        bind_host: str | None = None,
    ) -> None:
        self._files = LiveDisk(directory)
        self._trace = TraceFile(directory / TRACE_FILE, name) if trace else None
        self.rng: Rng = random.Random(os.urandom(16))
        self.faults = NodeFaults(self.rng)
        self.clock: Clock = self.faults.attach_clock(LiveClock())
        self.disk: Disk = self.faults.attach_disk(self._files)
        self.request_faults = self.faults.requests
        self.tracer: Tracer = self._trace or SilentTracer()
        self.links = LinkTable(name, self.rng)
        self._names = names
        self._bind_host = bind_host

    def close(self) -> None:
        """Write what is still to be traced and close the files."""
        if self._trace is not None:
            self._trace.flush()
        self._files.close()

    def channel(self, peer: NodeId, host: str, port: int) -> grpc.aio.Channel:
        """Open a channel to a peer; nothing is sent yet."""
        return open_channel(self.links, self._names.get(peer, str(peer)), host, port)

    async def serve_rpc(self, host: str, port: int, register: Callable[[grpc.aio.Server], None]) -> grpc.aio.Server:
        """Listen for peers and the lab. Raises OSError, naming the address, when it is taken."""
        lab = LabService(self.links, self.faults, self._files.note_unsynced)
        return await start_server(self.links, lab, self._bind_host or host, port, register)

    async def listen(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> asyncio.AbstractServer:
        """Listen for Kafka clients. Raises OSError, naming the address, when it is taken."""
        bind_host = self._bind_host or host
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(linked_factory(self.links, protocol_factory), bind_host, port, backlog=512)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise address_taken(bind_host, port) from error
            raise OSError(error.errno, f"cannot listen on {bind_host}:{port}: {error.strerror}") from error
