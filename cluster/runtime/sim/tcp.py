"""Byte streams over the simulated network, shaped as asyncio's transports and servers.

Here: what `create_connection` and `create_server` give out. Not here: when bytes arrive (`network`).
Some writes arrive in two pieces, so that partial reads are exercised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.machines import PROCESS, Process
from cluster.runtime.sim.network import End, Network

HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
"""asyncio's defaults for when a writer is asked to pause, and to go on."""

SPLIT_ONE_IN = 16
"""How many writes it takes on average until one arrives in two pieces."""


class SimTransport(asyncio.Transport):
    """One end of a byte stream."""

    def __init__(self, end: End, protocol: asyncio.BaseProtocol, port: int, server: SimServer | None) -> None:
        super().__init__({"peername": (end.peer.machine_name, port), "sockname": (end.machine_name, port)})
        self._end = end
        self._lane = end.lane(None)
        self._loop = end.network.loop
        self._recorder = end.network.recorder
        self._server = server
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._is_closing = False
        self._is_lost = False
        self._eof_sent = False
        self._reading = True
        self._received: deque[bytes | None] = deque()  # while reading is paused; None is the end of the stream
        self._outstanding_bytes = 0  # sent and not yet taken by the peer's protocol
        self._high, self._low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        self._writing_paused = False
        end.on_reset = self._was_reset
        end.carrier = self

    def open(self) -> None:
        """Tell the protocol that it is connected."""
        self._protocol.connection_made(self)

    # --- writing ---

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes; they are copied."""
        if self._is_closing or not data:  # after close(), which ends the stream too, asyncio drops what is written
            return
        assert not self._eof_sent, "the stream was ended"
        self._send(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send several pieces at once."""
        self.write(b"".join(list_of_data))

    def _send(self, data: bytes) -> None:
        crc = crc32(data)
        if self._recorder.is_hashing:
            self._recorder.message(self._lane.step_label, crc)
        self._outstanding_bytes += len(data)
        if len(data) > 1 and crc % SPLIT_ONE_IN == 0:
            middle = 1 + crc % (len(data) - 1)
            self._lane.send(self._arrived, data[:middle])
            data = data[middle:]
        self._lane.send(self._arrived, data)
        if self._outstanding_bytes > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _arrived(self, data: bytes) -> None:
        """Hand over to the peer's transport. This runs in the peer's process."""
        self._end.peer.carrier.receive(data)

    def taken(self, size_bytes: int) -> None:
        """The peer's protocol took so many bytes: room for more. Called in the peer's process."""
        self._outstanding_bytes -= size_bytes
        if self._writing_paused and self._outstanding_bytes <= self._low and not self._is_lost:
            # The news travels as an acknowledgement does: through the peer's way back to here.
            self._end.peer.lane(None).send(self._acknowledged)

    def _acknowledged(self) -> None:
        if self._writing_paused and self._outstanding_bytes <= self._low and not self._is_lost:
            self._writing_paused = False
            self._protocol.resume_writing()

    def write_eof(self) -> None:
        """End this direction of the stream."""
        if not self._eof_sent and not self._is_closing:
            self._eof_sent = True
            self._lane.send(self._ended)

    def can_write_eof(self) -> bool:
        """Streams can be ended in one direction."""
        return True

    def _ended(self) -> None:
        self._end.peer.carrier.receive(None)

    def get_write_buffer_size(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._outstanding_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high mark."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, with asyncio's defaults."""
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    # --- reading ---

    def receive(self, data: bytes | None) -> None:
        """Take bytes, or the end of the stream, that arrived."""
        if self._is_lost:
            return
        if self._received or not self._reading:
            self._received.append(data)
        else:
            self._hand_over(data)

    def _hand_over(self, data: bytes | None) -> None:
        if data is None:
            keep_open = self._protocol.eof_received()  # type: ignore[attr-defined]  # all stream protocols have it
            if not keep_open:
                self.close()
            return
        self._end.peer.carrier.taken(len(data))
        try:
            if self._buffered:
                self._fill_buffer(data)
            else:
                self._protocol.data_received(data)  # type: ignore[attr-defined]  # as above
        except BaseException:
            self.abort()  # as asyncio does with a protocol that raises
            raise

    def _fill_buffer(self, data: bytes) -> None:
        while data and not self._is_lost:
            protocol: Any = self._protocol
            buffer = protocol.get_buffer(len(data))
            part, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(part)] = part
            protocol.buffer_updated(len(part))

    def is_reading(self) -> bool:
        """Whether the protocol is given what arrives."""
        return self._reading and not self._is_closing

    def pause_reading(self) -> None:
        """Keep what arrives; the peer's writer will notice."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand over what was kept, soon."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        while self._received and self._reading and not self._is_lost:
            self._hand_over(self._received.popleft())

    # --- ending ---

    def is_closing(self) -> bool:
        """Whether it was closed, here or by a reset."""
        return self._is_closing

    def close(self) -> None:
        """Close after everything that was written has been sent."""
        if self._is_closing:
            return
        self._is_closing = True
        if not self._eof_sent:
            self._eof_sent = True
            self._lane.send(self._ended)
        self._end.forget()
        self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once; the peer sees a reset."""
        if self._is_lost:
            return
        self._is_closing = True
        self._end.reset()
        self._loop.call_soon(self._lose, None)

    def _was_reset(self) -> None:
        self._is_closing = True
        self._lose(ConnectionResetError(104, "connection reset by peer"))

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._received.clear()
        self._protocol.connection_lost(error)
        if self._server is not None:
            self._server.detach()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol in charge."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Put another protocol in charge."""
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)


class SimServer(asyncio.AbstractServer):
    """A listening port."""

    def __init__(self, network: Network, process: Process, port: int, factory: Callable[[], Any]) -> None:
        self._network = network
        self._process = process
        self._port = port
        self._factory = factory
        self._open_count = 0
        self._is_serving = True
        self._closed: list[asyncio.Future[None]] = []
        network.listen(process, port, self._accept)

    def _accept(self, end: End) -> None:
        transport = SimTransport(end, self._factory(), self._port, self)
        self._open_count += 1
        transport.open()

    def detach(self) -> None:
        """One of its connections is gone."""
        self._open_count -= 1
        self._wake()

    def _wake(self) -> None:
        if self._open_count == 0 and not self._is_serving:
            for waiter in self._closed:
                if not waiter.done():
                    waiter.set_result(None)
            self._closed.clear()

    def close(self) -> None:
        """Stop listening; open connections stay."""
        if self._is_serving:
            self._is_serving = False
            self._network.stop_listening(self._process, self._port)
            self._wake()

    def get_loop(self) -> SimLoop:
        """Return the loop it runs in."""
        return self._network.loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._is_serving

    async def start_serving(self) -> None:
        """Do nothing: it serves from the start."""

    async def serve_forever(self) -> None:
        """Wait until cancelled."""
        await self._network.loop.create_future()

    async def wait_closed(self) -> None:
        """Wait until it is closed and its last connection is gone."""
        if self._is_serving or self._open_count:
            waiter = self._network.loop.create_future()
            self._closed.append(waiter)
            await waiter

    @property
    def sockets(self) -> tuple[Any, ...]:
        """There are none."""
        return ()


async def connect(
    network: Network, factory: Callable[[], Any], host: str, port: int
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """Open a stream from the current process. Hangs when nobody answers.

    Raises ConnectionRefusedError when nothing listens there, OSError when there is no such machine.
    """
    opened: asyncio.Future[tuple[SimTransport, asyncio.BaseProtocol]] = network.loop.create_future()

    def on_open() -> None:
        if opened.done():
            end.reset()
            return
        protocol = factory()
        transport = SimTransport(end, protocol, port, None)
        transport.open()
        opened.set_result((transport, protocol))

    def on_refused() -> None:
        if not opened.done():
            opened.set_exception(ConnectionRefusedError(111, f"connection refused by {host}:{port}"))

    end = network.dial(PROCESS.get(), host, port, on_open)
    end.on_reset = on_refused
    try:
        return await opened
    except asyncio.CancelledError:
        end.reset()
        raise


async def listen(network: Network, factory: Callable[[], Any], port: int) -> SimServer:
    """Listen on a port of the current process's machine. Raises OSError when it is taken."""
    return SimServer(network, PROCESS.get(), port, factory)
