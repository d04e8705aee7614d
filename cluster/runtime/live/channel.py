"""A grpc.aio channel whose requests go by the link rules.

Here: the sending side of a client. Without rules every call is the bare grpc.aio call: the detour is one attribute
lookup. Responses are held by the server that sends them (`server`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import grpc
import grpc.aio

from cluster.base.limits import RPC_MESSAGE_SIZE_BYTES_MAX
from cluster.runtime.live.link_table import LinkTable, Outbox

USER_AGENT = "fencepost/"
"""A client's user agent is this and its node's name: how a server knows who asks, at no cost per call."""

SIZE_OPTIONS = (
    ("grpc.max_receive_message_length", RPC_MESSAGE_SIZE_BYTES_MAX),
    ("grpc.max_send_message_length", RPC_MESSAGE_SIZE_BYTES_MAX),
)

# Measured: with gRPC's defaults the first acks=all answer of a new cluster takes a second longer.
_BACKOFF_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
)


def open_channel(table: LinkTable, peer: str, host: str, port: int) -> grpc.aio.Channel:
    """Open a channel to a peer by name; nothing is sent yet."""
    options = (
        *SIZE_OPTIONS,
        *_BACKOFF_OPTIONS,
        ("grpc.primary_user_agent", USER_AGENT + table.name),
        ("grpc.enable_http_proxy", 0),
    )
    return LinkedChannel(table, peer, grpc.aio.insecure_channel(f"{host}:{port}", options=options))


class LinkedChannel(grpc.aio.Channel):
    """The channel of this process to one peer."""

    def __init__(self, table: LinkTable, peer: str, channel: grpc.aio.Channel) -> None:
        self._table = table
        self._peer = peer
        self._channel = channel

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a callable for one request and one reply."""
        bare = self._channel.unary_unary(method, *args, **kwargs)
        return _SingleRequest(self._table, self._peer, _api(method), bare, is_loose=True)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a callable for one request and a stream of replies."""
        bare = self._channel.unary_stream(method, *args, **kwargs)
        return _SingleRequest(self._table, self._peer, _api(method), bare, is_loose=False)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a callable for a stream of requests and one reply."""
        bare = self._channel.stream_unary(method, *args, **kwargs)
        return _RequestStream(self._table, self._peer, _api(method), bare)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a callable for a stream each way."""
        bare = self._channel.stream_stream(method, *args, **kwargs)
        return _RequestStream(self._table, self._peer, _api(method), bare)

    async def close(self, grace: float | None = None) -> None:
        """Cancel the calls that are left after `grace` seconds, and close."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Tell whether it is connected."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until it is connected."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> LinkedChannel:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def _api(method: str) -> str:
    return method.rpartition("/")[2]


class _SingleRequest:
    """Calls with one request: unary and server-streaming. Only the former are `loose`: independent of all others."""

    def __init__(self, table: LinkTable, peer: str, api: str, bare: Any, *, is_loose: bool) -> None:
        self._is_loose = is_loose
        self._table = table
        self._route = (table.name, peer, api)
        self._bare = bare

    def __call__(self, request: Any, *, timeout: float | None = None, **kwargs: Any) -> Any:
        if not self._table.active:
            return self._bare(request, timeout=timeout, **kwargs)

        async def carried() -> Any:
            loop = asyncio.get_running_loop()
            deadline_s = None if timeout is None else loop.time() + timeout
            try:
                async with asyncio.timeout_at(deadline_s):
                    await asyncio.sleep(self._table.overtaken_s(*self._route) if self._is_loose else 0.0)
                    await self._table.carry(*self._route, request.ByteSize())
            except TimeoutError:
                raise _deadline_exceeded(self._route) from None
            left_s = None if deadline_s is None else max(0.0, deadline_s - loop.time())
            if self._is_loose and self._table.is_doubled(*self._route):
                _forget(self._bare(request, timeout=left_s, **kwargs))
            return self._bare(request, timeout=left_s, **kwargs)

        return HeldCall(asyncio.get_running_loop().create_task(carried()))


def _forget(call: Any) -> None:
    """Let a doubled request run, and its answer go, whatever it is. A call that nobody holds would be cancelled."""
    call.add_done_callback(lambda _done: None)  # this holds it


def _deadline_exceeded(route: tuple[str, str, str]) -> grpc.aio.AioRpcError:
    source, target, api = route
    empty = grpc.aio.Metadata()
    details = f"{api} from {source} to {target} was held by a link fault"
    return grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, empty, empty, details=details)


class HeldCall:
    """A call whose request is still on its way: it awaits, iterates and cancels like the call it becomes."""

    def __init__(self, carried: asyncio.Task[Any]) -> None:
        self._carried = carried
        carried.add_done_callback(_retrieve)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._reply().__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for message in await self._carried:
            yield message

    async def read(self) -> Any:
        """Return the next reply of a stream."""
        return await (await self._carried).read()

    async def code(self) -> grpc.StatusCode:
        """Wait for the end and tell how it was."""
        try:
            call = await asyncio.shield(self._carried)
        except grpc.aio.AioRpcError as error:
            return error.code()
        except asyncio.CancelledError:
            return grpc.StatusCode.CANCELLED
        status: grpc.StatusCode = await call.code()
        return status

    def cancel(self) -> bool:
        """Give the call up. Returns whether it was still under way."""
        if not self._carried.done():
            return self._carried.cancel()
        if self._carried.cancelled() or self._carried.exception() is not None:
            return False
        return bool(self._carried.result().cancel())

    def done(self) -> bool:
        """Whether the call has ended."""
        if not self._carried.done():
            return False
        ended = self._carried.cancelled() or self._carried.exception() is not None
        return ended or bool(self._carried.result().done())

    async def _reply(self) -> Any:
        return await (await self._carried)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome, lest asyncio complain about a call that nobody awaited."""
    if not task.cancelled():
        task.exception()


class _RequestStream:
    """Calls with a stream of requests: client-streaming and both ways."""

    def __init__(self, table: LinkTable, peer: str, api: str, bare: Any) -> None:
        self._table = table
        self._peer = peer
        self._api = api
        self._bare = bare

    def __call__(self, request_iterator: Any = None, **kwargs: Any) -> Any:
        outbox = Outbox(self._table, self._table.name, self._peer, self._api)
        if request_iterator is None:
            return LinkedStream(self._bare(**kwargs), outbox)
        return self._bare(self._carried(request_iterator), **kwargs)

    async def _carried(self, messages: Any) -> AsyncIterator[Any]:
        async for message in messages:
            if self._table.active:
                await self._table.carry(self._table.name, self._peer, self._api)
            yield message


class LinkedStream:
    """A call with a stream of requests, of which only `write` and `done_writing` differ from the bare call."""

    def __init__(self, call: Any, outbox: Outbox) -> None:
        self._call = call
        self._outbox = outbox
        self.read = getattr(call, "read", None)  # bound here: reading takes no detour at all
        call.add_done_callback(self._ended)

    def write(self, request: Any) -> Any:
        """Send one message; to be awaited."""
        if self._outbox.must_wait:
            return self._post(lambda: self._call.write(request), request.ByteSize())
        return self._call.write(request)

    def done_writing(self) -> Any:
        """Say that no message follows; to be awaited."""
        if self._outbox.must_wait:
            return self._post(self._call.done_writing)
        return self._call.done_writing()

    def __aiter__(self) -> AsyncIterator[Any]:
        replies: AsyncIterator[Any] = self._call.__aiter__()
        return replies

    def __await__(self) -> Generator[Any, None, Any]:
        return (yield from self._call.__await__())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    async def _post(self, deliver: Callable[[], Any], size_bytes: int = 0) -> None:
        if self._call.done():
            await deliver()  # raises what a write on an ended call raises
            return
        self._outbox.post(deliver, size_bytes)
        await self._outbox.room()

    def _ended(self, _call: Any) -> None:
        self._outbox.close()
