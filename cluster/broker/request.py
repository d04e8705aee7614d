"""One request on its way through the broker, and the slot that keeps its place in the order of replies.

Here: what a handler is given. Not here: bytes on the socket (`connection`), which handler it is (`router`).

Handlers come in three kinds. Some return their reply at once (`answer_now`); those that wait, for the controller or a
coordinator, are coroutines (`answer_later`, `answer_member`); Produce, Fetch and Metadata take the undecoded request
and fill the slot themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from cluster.base.ports import Buffer
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message, decode_request, encode_response, frame_response


class Connection(Protocol):
    """What a slot needs of the connection that it belongs to, and handlers of who is at its other end."""

    @property
    def client_host(self) -> str:
        """The address of the client, as groups show it: `/127.0.0.1`."""

    def request_kept(self, size_bytes: int) -> None:
        """A request stays in memory until its slot is filled."""

    def slot_filled(self, grown_bytes: int) -> None:
        """Send what can be sent: a reply and those that waited behind it. So many more bytes are in memory now."""

    def refuse(self, reason: str) -> None:
        """Close the connection and say in the log why."""

    def mute(self, duration_ms: int) -> None:
        """Hear nothing more of the client for so long; replies are sent."""


class Slot:
    """A reply's place in the queue of its connection: requests are answered in the order in which they came."""

    __slots__ = ("_connection", "_header", "chunks", "on_abandoned", "size_bytes")

    def __init__(self, connection: Connection, api_key: int, flexible: bool, correlation_id: int) -> None:
        self._connection = connection
        self._header = (api_key, flexible, correlation_id)
        self.chunks: Sequence[Buffer] | None = None
        self.size_bytes = 0  # of the request, if that is kept; then of the reply
        self.on_abandoned: Callable[[], None] | None = None
        """Called when the client is gone, so that nobody waits on its behalf."""

    def keep(self, body: memoryview) -> memoryview:
        """Return a copy of the request that is good until the answer, for which the connection accounts meanwhile."""
        self.size_bytes = len(body)
        self._connection.request_kept(self.size_bytes)
        return memoryview(bytearray(body))

    def answer(self, body: Sequence[Buffer]) -> None:
        """Send a reply. The chunks must not change afterwards."""
        api_key, flexible, correlation_id = self._header
        self._fill(frame_response(api_key, flexible, correlation_id, body))

    def answer_nothing(self) -> None:
        """The request has no reply, as Produce with acks=0; the next one may leave."""
        self._fill(())

    def refuse(self, reason: str) -> None:
        """There is no answer that the client would understand: close the connection."""
        self._connection.refuse(reason)

    def mute(self, duration_ms: int) -> None:
        """The client was too fast: it is not heard for so long (KIP-219). Call it before the answer."""
        self._connection.mute(duration_ms)

    def abandon(self) -> None:
        """The client is gone."""
        on_abandoned, self.on_abandoned = self.on_abandoned, None
        if on_abandoned is not None and self.chunks is None:
            on_abandoned()

    def _fill(self, chunks: Sequence[Buffer]) -> None:
        assert self.chunks is None, "a request is answered once"
        self.chunks = chunks
        kept_bytes, self.size_bytes = self.size_bytes, sum(map(len, chunks))
        self.on_abandoned = None
        self._connection.slot_filled(self.size_bytes - kept_bytes)


class Request(NamedTuple):
    """A request whose header was read. `body` is a view that is good until the handler returns or first awaits."""

    api_key: int
    version: int
    client_id: str | None
    body: memoryview
    client_host: str = ""


Serve = Callable[[BrokerContext, Request, Slot], None]
"""Serves one request: fills the slot now or later. Raises MalformedMessage when the body cannot be read."""

Handler = Callable[[BrokerContext, int, Message], Fields]
LaterHandler = Callable[[BrokerContext, int, Message], Awaitable[Fields]]
MemberHandler = Callable[[BrokerContext, Request, Message], Awaitable[Fields]]


def answer_now(handler: Handler) -> Serve:
    """Make a handler of (context, version, message) that returns its reply into one that serves requests."""

    def serve(context: BrokerContext, request: Request, slot: Slot) -> None:
        message = decode_request(request.api_key, request.version, request.body)
        reply = handler(context, request.version, message)
        slot.answer([encode_response(request.api_key, request.version, reply)])

    return serve


def answer_later(handler: LaterHandler) -> Serve:
    """The same for a coroutine. Later requests of the connection are served meanwhile; their replies wait."""
    return answer_member(lambda context, request, message: handler(context, request.version, message))


def answer_member(handler: MemberHandler) -> Serve:
    """The same for a coroutine that wants to know who asks. Of the request it may keep all but the body."""

    def serve(context: BrokerContext, request: Request, slot: Slot) -> None:
        api_key, version = request.api_key, request.version
        message = decode_request(api_key, version, request.body)

        async def run() -> None:
            answered = False
            try:
                reply = await handler(context, request, message)
                slot.answer([encode_response(api_key, version, reply)])
                answered = True
            finally:
                if not answered:
                    slot.refuse("its handler failed")

        context.spawn(run())

    return serve
