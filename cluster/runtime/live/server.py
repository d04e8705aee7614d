"""A grpc.aio server whose responses go by the link rules.

Here: the sending side of a servicer, and binding an address. Without rules a handler runs as it is, behind one more
coroutine. Requests were held by the client that sent them (`channel`).
"""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import grpc
import grpc.aio

from cluster.rpc import lab_pb2_grpc
from cluster.runtime.live.channel import SIZE_OPTIONS, USER_AGENT
from cluster.runtime.live.lab_service import LabService
from cluster.runtime.live.link_table import LinkTable, Outbox


async def start_server(
    table: LinkTable, lab: LabService, host: str, port: int, register: Callable[[grpc.aio.Server], None]
) -> grpc.aio.Server:
    """Listen for peers and the lab. Raises OSError, naming the address and a remedy, when it is taken."""
    # Without so_reuseport=0 a second process may listen on the same port, and gets half of the connections.
    server = grpc.aio.server(options=(*SIZE_OPTIONS, ("grpc.so_reuseport", 0)))
    register(cast(grpc.aio.Server, LinkedServer(table, server)))
    lab_pb2_grpc.add_LabServicer_to_server(lab, server)
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise address_taken(host, port) from error
    await server.start()
    return server


def address_taken(host: str, port: int) -> OSError:
    """Return the error of a node that cannot listen."""
    remedy = "stop the process that has it, or choose other ports with --port"
    return OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}, the address is taken: {remedy}")


class LinkedServer:
    """The two methods of grpc.aio.Server that generated code registers a servicer with."""

    def __init__(self, table: LinkTable, server: grpc.aio.Server) -> None:
        self._table = table
        self._server = server

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Leave these out: the registered handlers below are the same methods, and hold their responses."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Register each method behind the rules."""
        linked = {name: _linked_handler(self._table, name, handler) for name, handler in method_handlers.items()}
        generic = grpc.method_handlers_generic_handler(service_name, linked)
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_registered_method_handlers(service_name, linked)


def _linked_handler(table: LinkTable, api: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
    codec = (handler.request_deserializer, handler.response_serializer)
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(_single_reply(table, api, handler.unary_unary), *codec)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(_single_reply(table, api, handler.stream_unary), *codec)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(_reply_stream(table, api, handler.unary_stream), *codec)
        case _:
            return grpc.stream_stream_rpc_method_handler(_reply_stream(table, api, handler.stream_stream), *codec)


def _single_reply(table: LinkTable, api: str, behaviour: Any) -> Any:
    async def linked(request: Any, context: Any) -> Any:
        try:
            reply = await behaviour(request, context)
        except Exception:
            # An error is a response too.
            if table.active:
                await table.carry(table.name, _asker(context), api)
            raise
        if table.active:
            await table.carry(table.name, _asker(context), api, reply.ByteSize())
        return reply

    return linked


def _reply_stream(table: LinkTable, api: str, behaviour: Any) -> Any:
    async def linked(request: Any, context: Any) -> None:
        outward = _LinkedContext(table, api, context)
        try:
            if inspect.isasyncgenfunction(behaviour):
                async for message in behaviour(request, outward):
                    await outward.write(message)
            else:
                await behaviour(request, outward)
            if outward.outbox is not None:
                await outward.outbox.drained()
        finally:
            if outward.outbox is not None:
                outward.outbox.close()

    return linked


def _asker(context: Any) -> str:
    """Return the name of the node that made a call; empty when it is no node of this cluster."""
    for key, value in context.invocation_metadata() or ():
        if key == "user-agent":
            agent = str(value).split(" ", 1)[0]
            return agent.removeprefix(USER_AGENT) if agent.startswith(USER_AGENT) else ""
    return ""


class _LinkedContext:
    """A servicer's context, of which only `write` differs."""

    def __init__(self, table: LinkTable, api: str, context: Any) -> None:
        self._table = table
        self._api = api
        self._context = context
        self.outbox: Outbox | None = None
        self.read = context.read  # bound here: reading takes no detour at all

    def write(self, message: Any) -> Any:
        """Send one message; to be awaited."""
        if not self._table.active and (self.outbox is None or not self.outbox.must_wait):
            return self._context.write(message)
        return self._post(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def _post(self, message: Any) -> None:
        if self.outbox is None:
            self.outbox = Outbox(self._table, self._table.name, _asker(self._context), self._api)
        self.outbox.post(lambda: self._context.write(message), message.ByteSize())
        await self.outbox.room()
