"""Kafka connections that go by the link rules: each connection knows its client's name and can be held both ways.

Here: the layer between a socket and the broker's protocol. It learns the client id from the first request and then
takes itself out: a connection that no rule is about has the broker's own protocol on its transport, and the broker
writes to the bare transport. Not here: what the bytes mean, but for the client id.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

from cluster.runtime.live.link_table import LinkTable, Outbox

_HELD_BYTES_MAX = 1 << 20
_HEADER = struct.Struct(">ihhih")  # size, API key, API version, correlation id, length of the client id


def linked_factory(
    table: LinkTable, protocol_factory: Callable[[], asyncio.BaseProtocol]
) -> Callable[[], asyncio.BaseProtocol]:
    """Return a factory of protocols that go by the rules."""
    return lambda: Introduction(table, protocol_factory())


class Introduction(asyncio.Protocol):
    """The protocol of a new connection until its client has said who it is."""

    def __init__(self, table: LinkTable, inner: asyncio.BaseProtocol) -> None:
        self._table = table
        self._inner = inner
        self._first = bytearray()
        self._transport: asyncio.Transport | None = None
        self._linked: LinkedTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the broker a transport that can be held."""
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        self._linked = LinkedTransport(transport)
        self._inner.connection_made(self._linked)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on, and step aside when they hold the client's name."""
        assert self._transport is not None and self._linked is not None
        self._first += data
        client_id = _client_id(self._first)
        if client_id is None:
            feed(self._inner, data)
            return
        gate = Gate(self._table, client_id, self._transport, self._linked, self._inner)
        if gate.attach():
            gate.data_received(data)
        else:
            feed(self._inner, data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return _eof(self._inner)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()


def _client_id(first: bytearray) -> str | None:
    """Return the client id of the first request; None while it has not arrived. Nonsense makes it empty."""
    if len(first) < _HEADER.size:
        return None
    length = _HEADER.unpack_from(first)[4]
    if length <= 0 or length > 1024:
        return ""
    end = _HEADER.size + length
    return first[_HEADER.size : end].decode("utf-8", "replace") if len(first) >= end else None


def feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Give bytes to a protocol of either kind, as its transport would."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(data)
        return
    left = memoryview(data)
    while left:
        buffer = memoryview(protocol.get_buffer(len(left)))
        size = min(len(buffer), len(left))
        assert size > 0, "a protocol must offer room"
        buffer[:size] = left[:size]
        protocol.buffer_updated(size)
        left = left[size:]


def _eof(protocol: asyncio.BaseProtocol) -> bool | None:
    assert isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol)
    return protocol.eof_received()


class LinkedTransport(asyncio.Transport):
    """A transport whose `write` is the bare transport's own, until a gate puts another in its place."""

    def __init__(self, bare: asyncio.Transport) -> None:
        super().__init__()
        self.bare = bare
        self.gate: Gate | None = None
        self.reading_paused = False
        self.open()

    def open(self) -> None:
        """Let bytes through: no call comes between the broker and the socket."""
        # Into the instance, which Python looks at before the class: no detour at all.
        self.__dict__.update(write=self.bare.write, writelines=self.bare.writelines)

    def hold(self, write: Callable[[Any], None]) -> None:
        """Have every write go elsewhere."""
        self.__dict__.update(write=write, writelines=lambda chunks: write(b"".join(chunks)))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell of the socket."""
        return self.bare.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether the connection is about to end."""
        return self.bare.is_closing()

    def close(self) -> None:
        """Close when what is held has been sent."""
        if self.gate is None or not self.gate.close_later():
            self.bare.close()

    def abort(self) -> None:
        """Close at once."""
        self.bare.abort()

    def is_reading(self) -> bool:
        """Whether bytes are being received."""
        return self.bare.is_reading()

    def pause_reading(self) -> None:
        """Receive no more for now."""
        self.reading_paused = True
        self.bare.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self.reading_paused = False
        self.bare.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when writing pauses."""
        self.bare.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the socket."""
        return self.bare.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """Whether the sending half can be closed alone."""
        return self.bare.can_write_eof()

    def write_eof(self) -> None:
        """Close the sending half."""
        self.bare.write_eof()


class Gate(asyncio.Protocol):
    """Stands between the socket and the broker while there are rules about the client."""

    def __init__(
        self,
        table: LinkTable,
        client_id: str,
        bare: asyncio.Transport,
        linked: LinkedTransport,
        inner: asyncio.BaseProtocol,
    ) -> None:
        self._table = table
        self._client_id = client_id
        self._bare = bare
        self._linked = linked
        self._inner = inner
        self._inward = Outbox(table, client_id, table.name, None)
        self._outward = Outbox(table, table.name, client_id, None)
        self._held_bytes = 0
        self._closing = False

    def attach(self) -> bool:
        """Take over from the introduction. Returns whether bytes must pass through here."""
        self._linked.gate = self
        self._table.watch(self)
        self.rules_changed()
        return self._bare.get_protocol() is self

    def rules_changed(self) -> None:
        """Close the gate when a rule is about this client; open it when none is and nothing is held."""
        if self._bare.is_closing():
            return
        if self._table.names(self._client_id):
            self._bare.set_protocol(self)
            self._linked.hold(self._write)
        elif self._inward.is_empty and self._outward.is_empty:
            self._bare.set_protocol(self._inner)
            self._linked.open()

    def data_received(self, data: bytes) -> None:
        """Hold what the client sent for as long as the rules say."""
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_BYTES_MAX:
            self._bare.pause_reading()
        self._inward.post(lambda: self._deliver_inward(data), len(data))

    def _write(self, data: Any) -> None:
        content = bytes(data)  # the broker may use its buffer again
        self._outward.post(lambda: self._deliver_outward(content), len(content))

    async def _deliver_inward(self, data: bytes) -> None:
        self._held_bytes -= len(data)
        if self._held_bytes <= _HELD_BYTES_MAX and not self._linked.reading_paused:
            self._bare.resume_reading()
        feed(self._inner, data)
        self._look_again()

    async def _deliver_outward(self, content: bytes) -> None:
        self._bare.write(content)
        self._look_again()

    def _look_again(self) -> None:
        """After the last held message the gate may open; the message leaves its queue after this call."""
        asyncio.get_running_loop().call_soon(self._after_delivery)

    def _after_delivery(self) -> None:
        if self._closing and self._outward.is_empty:
            self._bare.close()
        else:
            self.rules_changed()

    def close_later(self) -> bool:
        """Ask to close after the last held byte. Returns whether any is held."""
        self._closing = not self._outward.is_empty and not self._bare.is_closing()
        return self._closing

    def eof_received(self) -> bool | None:
        """Pass it on: a client that left is gone whatever the rules say."""
        return _eof(self._inner)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what is held and pass it on."""
        self._inward.close()
        self._outward.close()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()
