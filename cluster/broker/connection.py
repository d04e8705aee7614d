"""One client's connection: bytes in, requests served in their order, replies out in the same order.

Here: the asyncio protocol, back-pressure, and the queue of reply slots. Not here: what a request means (`router`).

A request that has to wait (acks=all, a long poll, a question to the controller) does not hold up the serving of
those behind it, only the sending of their replies. Three things make the connection stop serving until the client
has read: too many replies pending, too many bytes of finished replies and of requests that are kept, a full socket. A
client that was faster than its quota is not heard for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from cluster.base.limits import CONNECTION_BYTES_PENDING_MAX, CONNECTION_REPLIES_PENDING_MAX
from cluster.base.ports import Buffer
from cluster.base.request_faults import RequestFaults, RequestVerdict
from cluster.broker.context import BrokerContext
from cluster.broker.interference import hold_up
from cluster.broker.request import Slot
from cluster.broker.router import api_name, serve_frame
from cluster.wire import FrameBuffer, MalformedMessage

log = logging.getLogger(__name__)

_JOINED_BYTES_MAX = 64 * 1024
"""Chunks are put together up to this size: one copy is cheaper than one more packet. Larger ones are not copied."""


class KafkaConnection(asyncio.BufferedProtocol):
    """The broker's side of one connection."""

    def __init__(self, context: BrokerContext, on_closed: Callable[[KafkaConnection], None]) -> None:
        self._context = context
        self._on_closed = on_closed
        self._frames = FrameBuffer(context.configs.integer("socket.request.max.bytes"))
        self._slots: deque[Slot] = deque()
        self._pending_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._peer = "a client"
        self.client_host = ""
        self._serving = False
        self._send_scheduled = False
        self._reading_paused = False
        self._writing_paused = False
        self._mutes = 0
        self._ended = False
        self._held_up = False  # a fault makes the first request wait

    # --- what the loop calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        transport = cast(asyncio.Transport, transport)  # not isinstance: uvloop has its own classes
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer)
        self.client_host = f"/{peer[0]}" if isinstance(peer, tuple) else ""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        return self._frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Serve the requests that are complete now."""
        self._frames.received(nbytes)
        self._serve()

    def pause_writing(self) -> None:
        """The client reads too slowly: replies stay here, and no more requests are served."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writing_paused = False
        self._send()
        self._serve()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all that was waiting for this client."""
        self._end()
        self._on_closed(self)

    # --- what slots and the listener call ------------------------------------------------------

    def request_kept(self, size_bytes: int) -> None:
        """Take note of bytes that are in memory until their slot is filled."""
        self._pending_bytes += size_bytes

    def slot_filled(self, grown_bytes: int) -> None:
        """Send soon. Replies that become ready in one turn of the loop leave together."""
        if self._ended:
            return
        self._pending_bytes += grown_bytes
        if not self._serving and not self._send_scheduled:
            self._send_scheduled = True
            asyncio.get_running_loop().call_soon(self._send_now)

    def refuse(self, reason: str) -> None:
        """Close after what was answered so far; the log says why."""
        if self._ended:
            return
        log.warning("closing the connection of %s: %s", self._peer, reason)
        self._send()
        self.close()

    def mute(self, duration_ms: int) -> None:
        """Serve nothing more for so long."""
        if self._ended:
            return
        self._mutes += 1
        asyncio.get_running_loop().call_later(duration_ms / 1000, self._unmute)
        if not self._serving:
            self._pause_or_resume_reading()

    def _unmute(self) -> None:
        self._mutes -= 1
        if not self._ended:
            self._serve()

    def close(self) -> None:
        """Close after what was written so far."""
        self._end()
        if self._transport is not None:
            self._transport.close()

    # --- inside --------------------------------------------------------------------------------

    @property
    def _may_serve(self) -> bool:
        return (
            not self._ended
            and not self._held_up
            and not self._writing_paused
            and not self._mutes
            and len(self._slots) < CONNECTION_REPLIES_PENDING_MAX
            and self._pending_bytes < CONNECTION_BYTES_PENDING_MAX
        )

    def _serve(self) -> None:
        """Serve what has come, as far as there is room for replies.

        Replies that leave make room, also those that became ready before this and are about to be sent: nothing may
        stay behind in the buffer then, because no more bytes may come to remind of it.
        """
        if self._serving:  # sending a reply made room while a request is being served: the loop below goes on
            return
        self._send()
        while self._serve_frames():
            self._send()
            if not self._may_serve:
                break
        else:
            self._send()
        self._pause_or_resume_reading()

    def _serve_frames(self) -> bool:
        """Serve frames while there is room for replies. Returns whether there may be more of them."""
        self._serving = True
        try:
            while self._may_serve:
                frame = self._frames.next_frame()
                if frame is None:
                    return False
                self._serve_one(frame)
        except MalformedMessage as error:
            self.refuse(str(error))
        finally:
            self._serving = False
        return True

    def _serve_one(self, frame: memoryview) -> None:
        faults = self._context.request_faults
        verdict = None
        if faults is not None and faults.active:
            verdict = faults.judge(*api_name(frame))
            if verdict is not None and self._is_held_up(faults, verdict, frame):
                return
        self._carry_out(frame, verdict)

    def _is_held_up(self, faults: RequestFaults, verdict: RequestVerdict, frame: memoryview) -> bool:
        """Whether a fault makes a request wait, and with it all that come after it."""
        kept = memoryview(bytearray(frame))  # the buffer is used again meanwhile

        def go_on() -> None:
            self._held_up = False
            if self._ended:
                return
            try:
                if verdict.holds:
                    self._serve_one(kept)  # it is judged anew: what held it may be there no more
                else:
                    self._carry_out(kept, verdict)
            except MalformedMessage as error:
                self.refuse(str(error))
            self._serve()

        self._held_up = hold_up(faults, verdict, go_on)
        return self._held_up

    def _carry_out(self, frame: memoryview, verdict: RequestVerdict | None) -> None:
        try:
            serve_frame(self._context, self, frame, self._slots.append, verdict)
        except MalformedMessage:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not take the broker down
            # The loop's handler writes it to the log; in a simulation it fails the run, as a bug should.
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"a request of {self._peer} could not be served", "exception": error, "protocol": self}
            )
            self.refuse("its handler failed")

    def _send_now(self) -> None:
        self._send_scheduled = False
        self._send()
        if self._reading_paused:
            self._serve()

    def _send(self) -> None:
        """Write the replies that are ready, up to the first that is not."""
        transport, slots = self._transport, self._slots
        if not slots or self._ended or transport is None:
            return
        chunks: list[Buffer] = []
        chunks_bytes = 0
        while slots and not self._writing_paused:
            ready = slots[0].chunks
            if ready is None:
                break
            size_bytes = slots.popleft().size_bytes
            self._pending_bytes -= size_bytes
            chunks += ready
            chunks_bytes += size_bytes
            if chunks_bytes >= _JOINED_BYTES_MAX:
                _write(transport, chunks)  # this may call pause_writing
                chunks, chunks_bytes = [], 0
        if chunks:
            transport.write(b"".join(chunks))

    def _pause_or_resume_reading(self) -> None:
        transport = self._transport
        if self._ended or transport is None or self._may_serve == (not self._reading_paused):
            return
        self._reading_paused = not self._reading_paused
        if self._reading_paused:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _end(self) -> None:
        self._ended = True
        slots, self._slots = self._slots, deque()
        for slot in slots:
            slot.abandon()


def _write(transport: asyncio.Transport, chunks: Sequence[Buffer]) -> None:
    """Write chunks in few calls, without copying large ones."""
    small: list[Buffer] = []
    small_bytes = 0
    for chunk in chunks:
        if small_bytes + len(chunk) <= _JOINED_BYTES_MAX:
            small.append(chunk)
            small_bytes += len(chunk)
            continue
        if small:
            transport.write(b"".join(small))
            small, small_bytes = [], 0
        if len(chunk) > _JOINED_BYTES_MAX:
            transport.write(chunk)
        else:
            small, small_bytes = [chunk], len(chunk)
    if small:
        transport.write(small[0] if len(small) == 1 else b"".join(small))
