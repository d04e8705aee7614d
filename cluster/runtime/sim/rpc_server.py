"""The server's side of gRPC, shaped as grpc.aio's server and servicer context: generated servicers run unmodified.

Here: accepting connections, running handlers as tasks of the server's process, cancelling them when the client's call
ends or its machine dies, flow control of responses. Not here: the client's side (`rpc_channel`, `rpc_call`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NoReturn

import grpc
import grpc.aio

from cluster.runtime.sim.handles import SimTimer
from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.machines import Process
from cluster.runtime.sim.network import End, Network
from cluster.runtime.sim.rpc_call import WINDOW_BYTES, Outcome, SimCall, send

OK = grpc.StatusCode.OK


class SimRpcServer(grpc.aio.Server):
    """A gRPC server of one process. `add_insecure_port` and `start` are one step: `listen`."""

    def __init__(self, network: Network, process: Process) -> None:
        self.network = network
        self.methods: dict[str, Any] = {}
        self.is_stopping = False
        self._process = process
        self._port = 0
        self._peers: dict[int, Connection] = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Do nothing: generated code registers the same handlers by name as well."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve these methods."""
        for name, handler in method_handlers.items():
            self.methods[f"/{service_name}/{name}"] = handler

    def listen(self, port: int) -> None:
        """Accept connections. Raises OSError when the port is taken."""
        self._port = port
        self.network.listen(self._process, port, self._accept)

    def add_insecure_port(self, address: str) -> int:
        """Remember the port of `host:port`."""
        self._port = int(address.rpartition(":")[2])
        return self._port

    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """TLS is not simulated."""
        raise NotImplementedError("TLS cannot be simulated")

    async def start(self) -> None:
        """Accept connections on the port that was added."""
        self.listen(self._port)

    def _accept(self, end: End) -> None:
        self._peers[end.number] = Connection(self, end)

    def forget(self, end: End) -> None:
        """A connection is gone."""
        self._peers.pop(end.number, None)

    async def stop(self, grace: float | None) -> None:
        """Refuse new calls, let running ones end for `grace` seconds, cancel what is left, close all connections."""
        self.is_stopping = True
        self.network.stop_listening(self._process, self._port)
        tasks = [call.task for peer in self._peers.values() for call in peer.calls.values()]
        running = [task for task in tasks if task is not None and not task.done()]
        if running and grace:
            await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for peer in list(self._peers.values()):
            peer.end.reset()
        self._peers.clear()

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # grpc.aio's
        """Wait for ever, or until the timeout: nobody here uses its end."""
        await asyncio.wait([self.network.loop.create_future()], timeout=timeout)
        return True


class Connection:
    """One client's connection: the calls that run over it, by number. Its methods are what arriving messages call."""

    def __init__(self, server: SimRpcServer, end: End) -> None:
        self.server = server
        self.end = end
        self.calls: dict[int, ServerCall] = {}
        end.carrier = self
        end.on_reset = self._lost

    def begin(self, data: bytes, client: SimCall) -> None:
        """A call begins; `client` is where responses go to."""
        call = ServerCall(self, client)
        handler = self.server.methods.get(client.method.path)
        if self.server.is_stopping:
            call.finish(Outcome(grpc.StatusCode.UNAVAILABLE, "server is stopping"))
        elif handler is None:
            call.finish(Outcome(grpc.StatusCode.UNIMPLEMENTED, f"Method not found: {client.method.path}"))
        else:
            self.calls[client.number] = call
            call.run(handler, data)

    def message(self, data: bytes, number: int) -> None:
        """A request of a stream."""
        call = self.calls.get(number)
        if call is not None:
            call.request_arrived(data)

    def half_close(self, _: bytes, number: int) -> None:
        """No more requests."""
        call = self.calls.get(number)
        if call is not None:
            call.requests_ended()

    def cancel(self, _: bytes, number: int) -> None:
        """The client gave the call up."""
        call = self.calls.get(number)
        if call is not None:
            call.abandon()

    def response_read(self, number: int, size_bytes: int) -> None:
        """The client's application read so many bytes. Called on the client's side."""
        call = self.calls.get(number)
        if call is not None:
            call.response_read(size_bytes)

    def _lost(self) -> None:
        self.server.forget(self.end)
        for call in list(self.calls.values()):
            call.abandon()


class ServerCall(grpc.aio.ServicerContext[Any, Any]):
    """One RPC from the server's point of view; handlers get it as their context."""

    def __init__(self, connection: Connection, client: SimCall) -> None:
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._client = client
        self._number = client.number
        self._metadata = client.metadata
        self._deadline = client.deadline
        self._loop: SimLoop = connection.server.network.loop
        self._down = connection.end.lane(client.method.api)
        self._handler: Any = None
        self._requests: deque[bytes] = deque()
        self._requests_ended = False
        self._outstanding_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._is_writer_waiting = False
        self._is_abandoned = False
        self._outcome: Outcome | None = None
        self._code = OK
        self._details = ""
        self._trailing: tuple[Any, ...] = ()
        self._timer: SimTimer | None = None
        self._callbacks: list[Callable[[Any], None]] = []

    # --- what messages do ---

    def run(self, handler: Any, first_request: bytes) -> None:
        """Start the handler as a task of the server's process."""
        self._handler = handler
        self.task = self._loop.create_task(self._serve(handler, first_request), name=self._client.method.api)
        if self._deadline is not None:
            self._timer = self._loop.call_at(self._deadline, self.abandon)

    def request_arrived(self, data: bytes) -> None:
        """Keep a request until the handler reads it."""
        self._requests.append(data)
        self._wake()

    def requests_ended(self) -> None:
        """The handler will read the end after the last request."""
        self._requests_ended = True
        self._wake()

    def abandon(self) -> None:
        """Cancel the handler: nobody waits for its answer."""
        if self._outcome is None and not self._is_abandoned:
            self._is_abandoned = True
            self._connection.calls.pop(self._number, None)
            if self.task is not None:
                self.task.cancel()

    def response_read(self, size_bytes: int) -> None:
        """Count what the client read; a waiting writer learns of room through the network."""
        self._outstanding_bytes -= size_bytes
        if self._is_writer_waiting and self._outstanding_bytes <= WINDOW_BYTES:
            self._connection.end.peer.lane(self._client.method.api).send(self._wake)

    # --- running the handler ---

    async def _serve(self, handler: Any, first_request: bytes) -> None:
        outcome, response = Outcome(grpc.StatusCode.CANCELLED, "cancelled"), b""
        try:
            response = await self._handle(handler, first_request)
            outcome = Outcome(self._code, self._details, self._trailing)
        except grpc.aio.AbortError:
            outcome = Outcome(self._code, self._details, self._trailing)
        except asyncio.CancelledError:
            if not self._is_abandoned and not self._connection.server.is_stopping:
                raise
        except Exception as error:  # noqa: BLE001  # as grpc.aio: the client is told UNKNOWN
            outcome = Outcome(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
            self._loop.call_exception_handler({"message": f"handler of {handler_name(handler)}", "exception": error})
        finally:
            self.finish(outcome, response)

    async def _handle(self, handler: Any, first_request: bytes) -> bytes:
        requests = self._iterate() if handler.request_streaming else handler.request_deserializer(first_request)
        behaviour = function_of(handler)
        if not handler.response_streaming:
            result = behaviour(requests, self)
            response = await result if inspect.isawaitable(result) else result
            return bytes(handler.response_serializer(response)) if self._code is OK else b""
        result = behaviour(requests, self)
        if hasattr(result, "__aiter__"):
            async for response in result:
                await self.write(response)
        else:
            await result
        return b""

    def finish(self, outcome: Outcome, response: bytes = b"") -> None:
        """Send the status, unless the client is gone."""
        self._outcome = outcome
        self._connection.calls.pop(self._number, None)
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_abandoned and self._connection.end.is_open:
            send(self._down, self._client.end_arrived, response, outcome)
        for callback in self._callbacks:
            callback(self)

    async def _iterate(self) -> AsyncIterator[Any]:
        while (request := await self.read()) is not grpc.aio.EOF:
            yield request

    # --- grpc.aio's face for handlers ---

    async def read(self) -> Any:
        """Return the next request, or EOF after the last."""
        while not self._requests:
            if self._requests_ended:
                return grpc.aio.EOF
            await self._waiter()
        data = self._requests.popleft()
        self._client.request_read(len(data))
        if self._client.is_writer_waiting and self._client.has_room:
            self._down.send(self._client.window_opened)
        return self._handler.request_deserializer(data)

    async def write(self, message: Any) -> None:
        """Send a response; wait while the client does not keep up."""
        data = bytes(self._handler.response_serializer(message))
        self._outstanding_bytes += len(data)
        send(self._down, self._client.message_arrived, data)
        while self._outstanding_bytes > WINDOW_BYTES:
            self._is_writer_waiting = True
            await self._waiter()
        self._is_writer_waiting = False

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with a status."""
        assert code is not OK, "abort with OK"
        self._code, self._details, self._trailing = code, details, tuple(trailing_metadata)
        raise grpc.aio.AbortError("Locally aborted.")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status."""
        await self.abort(status.code, status.details or "")

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Do nothing: clients here wait for none."""

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Send this with the status."""
        self._trailing = tuple(trailing_metadata)

    def invocation_metadata(self) -> Any:
        """Return what the client sent along."""
        return grpc.aio.Metadata(*self._metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that a handler which returns will have."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Set the details that go with the status."""
        self._details = details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Do nothing."""

    def disable_next_message_compression(self) -> None:
        """Do nothing."""

    def peer(self) -> str:
        """Return the client's machine."""
        return f"sim:{self._connection.end.peer.machine_name}"

    def peer_identities(self) -> Iterable[bytes] | None:
        """There is no TLS."""
        return None

    def peer_identity_key(self) -> str | None:
        """There is no TLS."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """There is no TLS."""
        return {}

    def time_remaining(self) -> float:
        """Seconds until the client's deadline; infinite without one."""
        return float("inf") if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    def trailing_metadata(self) -> Any:
        """Return what was set."""
        return grpc.aio.Metadata(*self._trailing)

    def code(self) -> grpc.StatusCode:
        """Return what was set."""
        return self._code

    def details(self) -> str:
        """Return what was set."""
        return self._details

    def cancelled(self) -> bool:
        """Whether the client gave up."""
        return self._is_abandoned

    def done(self) -> bool:
        """Whether the status was sent or nobody waits for it."""
        return self._outcome is not None or self._is_abandoned

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when the call has ended."""
        self._callbacks.append(callback)

    # --- inside ---

    def _waiter(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.Future(loop=self._loop)  # asyncio's own: in no set, it needs no number
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def function_of(handler: Any) -> Callable[..., Any]:
    """Return the servicer's method that a handler wraps."""
    function = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    assert function is not None
    return function  # type: ignore[no-any-return]  # handlers are namedtuples of generated code


def handler_name(handler: Any) -> str:
    """Return the servicer's method name, for error reports."""
    return getattr(function_of(handler), "__qualname__", "a servicer")
