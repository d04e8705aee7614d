"""The client's side of a gRPC connection, shaped as grpc.aio's channel: generated stubs use it unmodified.

Here: connecting, backing off, and what a lost connection does to its calls. A call on a channel that cannot connect
fails with UNAVAILABLE; one to a machine that answers nothing hangs until its deadline or the connection attempt's.
"""

from __future__ import annotations

import asyncio
from random import Random
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from cluster.runtime.sim.handles import SimTimer
from cluster.runtime.sim.machines import Process
from cluster.runtime.sim.network import End, Network
from cluster.runtime.sim.rpc_call import Method, SimCall

CONNECT_TIMEOUT_S = 5.0
"""How long one attempt to connect may take; gRPC's own default of 20 s is too patient for nodes of one cluster."""

BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 0.5
BACKOFF_FACTOR = 1.6
BACKOFF_JITTER = 0.2
"""Pauses between attempts: gRPC's algorithm, with the shorter times that nodes of one cluster ask for."""

State = grpc.ChannelConnectivity


def _method_maker(*, request_streaming: bool, response_streaming: bool) -> Any:
    """Return what a stub calls, as a method of its channel, for each RPC of one of the four kinds."""

    def make(
        self: SimChannel,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> SimMultiCallable:
        kind = (request_streaming, response_streaming)
        api = method.rpartition("/")[2]
        return SimMultiCallable(self, Method(method, request_serializer, response_deserializer, *kind, api))

    return make


class SimChannel(grpc.aio.Channel):
    """A channel of the process that opened it, to a port of a machine."""

    def __init__(self, network: Network, process: Process, host: str, port: int, rng: Random) -> None:
        self.network = network
        self._process = process
        self._host = host
        self._port = port
        self._rng = rng
        self._state = State.IDLE
        self._end: End | None = None
        self._calls: dict[int, SimCall] = {}
        self._waiting: list[SimCall] = []
        self._backoff_s = BACKOFF_S_MIN
        self._retry_at = 0.0
        self._retry_timer: SimTimer | None = None
        self._connect_timer: SimTimer | None = None
        self._state_changes: list[asyncio.Future[None]] = []
        self._last_failure = ""

    # --- calls ---

    def start(self, call: SimCall) -> None:
        """Begin a call now, after connecting, or never."""
        if self._state is State.SHUTDOWN:
            raise grpc.aio.UsageError("Channel is closed.")
        self._calls[call.number] = call
        call.add_done_callback(self._ended)
        if self._state is State.READY:
            assert self._end is not None
            call.begin(self._end)
        elif self._state is State.TRANSIENT_FAILURE and not call.wait_for_ready and not self._may_retry:
            call.fail(grpc.StatusCode.UNAVAILABLE, self._last_failure)
        else:
            self._waiting.append(call)
            if self._state is not State.CONNECTING and self._may_retry:
                self._connect()

    def _ended(self, call: SimCall) -> None:
        self._calls.pop(call.number, None)
        if self._waiting and call in self._waiting:
            self._waiting.remove(call)

    # --- the connection ---

    @property
    def _may_retry(self) -> bool:
        return self.network.loop.time() >= self._retry_at

    def _connect(self) -> None:
        self._become(State.CONNECTING)
        try:
            self._end = self.network.dial(self._process, self._host, self._port, self._opened)
        except OSError as error:
            self._attempt_failed(str(error))
            return
        self._end.on_reset = lambda: self._attempt_failed("connection refused")
        self._connect_timer = self.network.loop.call_later(CONNECT_TIMEOUT_S, self._attempt_timed_out)

    def _opened(self) -> None:
        end = self._end
        if self._state is not State.CONNECTING or end is None:
            return
        if self._connect_timer is not None:
            self._connect_timer.cancel()
        end.on_reset = self._lost
        end.carrier = self
        self._backoff_s = BACKOFF_S_MIN
        self._become(State.READY)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.begin(end)

    def _attempt_timed_out(self) -> None:
        if self._state is State.CONNECTING and self._end is not None:
            self._end.forget()
            self._attempt_failed("timed out while connecting")

    def _attempt_failed(self, why: str) -> None:
        loop = self.network.loop
        if self._connect_timer is not None:
            self._connect_timer.cancel()
        self._last_failure = f"failed to connect to {self._host}:{self._port}: {why}"
        jitter = 1 + BACKOFF_JITTER * (2 * self._rng.random() - 1)
        self._retry_at = loop.time() + self._backoff_s * jitter
        self._backoff_s = min(self._backoff_s * BACKOFF_FACTOR, BACKOFF_S_MAX)
        self._end = None
        self._become(State.TRANSIENT_FAILURE)
        for call in [call for call in self._waiting if not call.wait_for_ready]:
            call.fail(grpc.StatusCode.UNAVAILABLE, self._last_failure)
        if self._waiting:
            self._retry_timer = loop.call_at(self._retry_at, self._retry)

    def _retry(self) -> None:
        if self._waiting and self._state is State.TRANSIENT_FAILURE:
            self._connect()

    def _lost(self) -> None:
        self._end = None
        self._become(State.IDLE)
        for call in list(self._calls.values()):
            if call not in self._waiting:
                call.fail(grpc.StatusCode.UNAVAILABLE, f"connection to {self._host}:{self._port} reset by peer")

    def _become(self, state: State) -> None:
        self._state = state
        changes, self._state_changes = self._state_changes, []
        for changed in changes:
            if not changed.done():
                changed.set_result(None)

    # --- grpc.aio's face ---

    unary_unary = _method_maker(request_streaming=False, response_streaming=False)
    unary_stream = _method_maker(request_streaming=False, response_streaming=True)
    stream_unary = _method_maker(request_streaming=True, response_streaming=False)
    stream_stream = _method_maker(request_streaming=True, response_streaming=True)

    async def close(self, grace: float | None = None) -> None:
        """Cancel all calls and close the connection. Grace is not given: nobody here asks for it."""
        if self._state is State.SHUTDOWN:
            return
        for call in list(self._calls.values()):
            call.cancel()
        for timer in (self._retry_timer, self._connect_timer):
            if timer is not None:
                timer.cancel()
        if self._end is not None:
            self._end.reset()
            self._end = None
        self._become(State.SHUTDOWN)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the connection's state."""
        if try_to_connect and self._state in (State.IDLE, State.TRANSIENT_FAILURE) and self._may_retry:
            self._connect()
        return self._state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return when the state is another one."""
        while self._state is last_observed_state:
            changed: asyncio.Future[None] = self.network.loop.create_future()
            self._state_changes.append(changed)
            await changed

    async def channel_ready(self) -> None:
        """Return when connected."""
        while (state := self.get_state(try_to_connect=True)) is not State.READY:
            if state is State.TRANSIENT_FAILURE:
                self._retry_timer = self.network.loop.call_at(self._retry_at, self._connect)
            await self.wait_for_state_change(state)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()


class SimMultiCallable:
    """What a stub calls: each call of it is an RPC."""

    __slots__ = ("_channel", "_method")

    def __init__(self, channel: SimChannel, method: Method) -> None:
        self._channel = channel
        self._method = method

    def __call__(
        self,
        request: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        *,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
        request_iterator: Any = None,
    ) -> SimCall:
        call = SimCall(self._channel.network.loop, self._method, timeout, metadata)
        call.wait_for_ready = bool(wait_for_ready)
        requests = request if request_iterator is None else request_iterator
        if not self._method.request_streaming:
            call.first_request = self._method.serialize(request)
        self._channel.start(call)
        if self._method.request_streaming and requests is not None:
            call.feed(requests)
        return call
