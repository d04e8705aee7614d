"""The client's side of one RPC, shaped as grpc.aio's call objects.

Here: one class for all four kinds of call: awaiting, reading, writing, deadlines and cancellation. Not here: the
connection it runs over (`rpc_channel`), and the other side (`rpc_server`). Only serialised bytes cross the network.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import grpc
import grpc.aio

from cluster.runtime.links import MESSAGE_APIS
from cluster.runtime.sim.handles import SimTimer
from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.network import End, Lane

WINDOW_BYTES = 64 * 1024
"""Bytes of one direction of a call that may be sent and not read before a writer waits (HTTP/2's default window)."""


@dataclass(frozen=True, slots=True)
class Method:
    """What generated code says about one RPC."""

    path: str
    serialize: Callable[[Any], bytes]
    deserialize: Callable[[bytes], Any]
    request_streaming: bool
    response_streaming: bool
    api: str
    """The bare name, by which link rules go."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    trailing_metadata: tuple[Any, ...] = ()
    is_local_cancellation: bool = False


def send(lane: Lane, deliver: Callable[..., None], data: bytes, *arguments: Any) -> None:
    """Send bytes over a lane, and let the run's hash see them."""
    recorder = lane.network.recorder
    if recorder.is_hashing:
        recorder.message(lane.step_label, crc32(data))
    lane.send(deliver, data, *arguments)


def send_loose(lane: Lane, deliver: Callable[..., None], data: bytes, *arguments: Any) -> None:
    """Send a message that is independent of all others, as a single request is."""
    recorder = lane.network.recorder
    if recorder.is_hashing:
        recorder.message(lane.step_label, crc32(data))
    if lane.link.rules and (wait_s := lane.overtaken_s()):
        lane.network.loop.call_later(wait_s, lane.send_loose, deliver, data, *arguments)
    else:
        lane.send_loose(deliver, data, *arguments)


def deliver_to_server(data: bytes, end: End, action: str, *arguments: Any) -> None:
    """Runs on the server's machine: find the connection's server side and tell it."""
    getattr(end.peer.carrier, action)(data, *arguments)


class SimCall(grpc.aio.Call):
    """One RPC from the client's point of view."""

    def __init__(self, loop: SimLoop, method: Method, timeout: float | None, metadata: Any) -> None:
        self.method = method
        self.metadata = tuple(metadata or ())
        self.loop = loop
        self.number = self.loop.next_number()
        self.deadline = None if timeout is None else self.loop.time() + timeout
        self.wait_for_ready = False
        self.first_request = b""  # a unary request travels with the call's beginning
        self.outcome: Outcome | None = None
        self.is_writer_waiting = False
        self._end: End | None = None
        self._up: Lane | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._received: deque[bytes] = deque()
        self._outstanding_bytes = 0
        self._is_done_writing = not method.request_streaming
        self._callbacks: list[Callable[[Any], None]] = []
        self._feeder: asyncio.Task[None] | None = None
        self._timer: SimTimer | None = None
        if self.deadline is not None:
            self._timer = self.loop.call_at(self.deadline, self._expire)

    # --- what the channel does with it ---

    def begin(self, end: End) -> None:
        """Send the call's beginning over a connection that is open."""
        self._end = end
        self._up = end.lane(self.method.api)
        begin = send if self.method.request_streaming or self.method.response_streaming else send_loose
        begin(self._up, deliver_to_server, self.first_request, end, "begin", self)
        self._wake()

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """End it on this side."""
        self._finish(Outcome(code, details))

    # --- what the server's messages do; these run in the client's process ---

    def message_arrived(self, data: bytes) -> None:
        """A response."""
        if self.outcome is None:
            self._received.append(data)
            self._wake()

    def end_arrived(self, data: bytes, outcome: Outcome) -> None:
        """The status, with the response of a call that has one response."""
        if not self.method.response_streaming and outcome.code is grpc.StatusCode.OK:
            self._received.append(data)
        self._finish(outcome)

    def window_opened(self) -> None:
        """The server read enough for a waiting writer to go on."""
        self._wake()

    # --- grpc.aio's face ---

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response().__await__()

    async def _response(self) -> Any:
        while self.outcome is None:
            await self._wait()
        if self.outcome.code is not grpc.StatusCode.OK:
            raise self._error()
        return self.method.deserialize(self._received[0])

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def _responses(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not grpc.aio.EOF:
            yield response

    async def read(self) -> Any:
        """Return the next response, or EOF after the last. Raises AioRpcError when the call failed."""
        while not self._received:
            if self.outcome is not None:
                if self.outcome.code is grpc.StatusCode.OK:
                    return grpc.aio.EOF
                raise self._error()
            await self._wait()
        data = self._received.popleft()
        assert self._end is not None
        self._end.peer.carrier.response_read(self.number, len(data))
        return self.method.deserialize(data)

    async def write(self, request: Any) -> None:
        """Send a request; wait while the server does not keep up. Raises AioRpcError when the call failed."""
        if self._is_done_writing:
            raise asyncio.InvalidStateError("RPC is half closed after calling done_writing().")
        if self._end is None:
            await self._connected()
        if self.outcome is not None:
            self._raise_when_done()
        assert self._up is not None
        data = self.method.serialize(request)
        self._outstanding_bytes += len(data)
        post = send_loose if self.method.api in MESSAGE_APIS else send
        post(self._up, deliver_to_server, data, self._end, "message", self.number)
        while self._outstanding_bytes > WINDOW_BYTES and self.outcome is None:
            self.is_writer_waiting = True
            await self._wait()
        self.is_writer_waiting = False
        if self.outcome is not None:
            self._raise_when_done()

    async def done_writing(self) -> None:
        """Tell the server that no request follows."""
        if not self._is_done_writing:
            await self._connected()
            self._is_done_writing = True
            if self.outcome is None and self._up is not None:
                send(self._up, deliver_to_server, b"", self._end, "half_close", self.number)

    def request_read(self, size_bytes: int) -> None:
        """The server's application read so many bytes. Called on the server's side: it only counts."""
        self._outstanding_bytes -= size_bytes

    @property
    def has_room(self) -> bool:
        """Whether a waiting writer could go on."""
        return self._outstanding_bytes <= WINDOW_BYTES

    def cancel(self) -> bool:
        """End the call here, and its handler on the server."""
        if self.outcome is not None:
            return False
        self._abandon(Outcome(grpc.StatusCode.CANCELLED, "Locally cancelled by application!", (), True))
        return True

    def cancelled(self) -> bool:
        """Whether it ended as CANCELLED."""
        return self.outcome is not None and self.outcome.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.loop.time())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back with this call when it ends."""
        if self.outcome is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Return nothing, once connected: servers here send none."""
        await self._connected()
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """Return what the server sent with the status."""
        return grpc.aio.Metadata(*(await self._ended()).trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        """Wait for the end and return its code."""
        return (await self._ended()).code

    async def details(self) -> str:
        """Wait for the end and return its details."""
        return (await self._ended()).details

    async def wait_for_connection(self) -> None:
        """Wait until the call is on its way. Raises AioRpcError when it failed before."""
        await self._connected()
        self._raise_when_done()

    # --- inside ---

    def feed(self, requests: Any) -> None:
        """Send all requests of an iterator, from a task of its own."""
        self._feeder = asyncio.ensure_future(self._feed(requests))

    async def _feed(self, requests: Any) -> None:
        try:
            if hasattr(requests, "__aiter__"):
                async for request in requests:
                    await self.write(request)
            else:
                for request in requests:
                    await self.write(request)
            await self.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # whoever reads the responses is told

    async def _connected(self) -> None:
        while self._end is None and self.outcome is None:
            await self._wait()

    async def _ended(self) -> Outcome:
        while self.outcome is None:
            await self._wait()
        return self.outcome

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.Future(loop=self.loop)  # asyncio's own: in no set, it needs no number
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            self.cancel()  # as grpc.aio: who gives up waiting gives up the call
            raise

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _raise_when_done(self) -> None:
        if self.outcome is not None:
            if self.outcome.code is grpc.StatusCode.OK:
                raise asyncio.InvalidStateError("RPC already finished.")
            raise self._error()

    def _error(self) -> BaseException:
        outcome = self.outcome
        assert outcome is not None
        if outcome.is_local_cancellation:
            return asyncio.CancelledError()
        trailing = grpc.aio.Metadata(*outcome.trailing_metadata)
        return grpc.aio.AioRpcError(outcome.code, grpc.aio.Metadata(), trailing, outcome.details)

    def _expire(self) -> None:
        if self.outcome is None:
            self._abandon(Outcome(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _abandon(self, outcome: Outcome) -> None:
        if self._up is not None:
            send(self._up, deliver_to_server, b"", self._end, "cancel", self.number)
        self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
        if self._feeder is not None and outcome.code is not grpc.StatusCode.OK:
            self._feeder.cancel()
        self._wake()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
