"""Frames: how a stream of bytes falls apart into requests.

Here: one growable receive buffer, in which frames are handed out in place, without a copy. Not here: sockets.

A frame's view is good until the next call of `room`: whoever wants to keep bytes copies them. The producer's
record batches rely on that: they are stamped and written to the log before the buffer is used again.
"""

from __future__ import annotations

from cluster.base.limits import FRAME_SIZE_BYTES_MAX
from cluster.wire.primitives import INT32, MalformedMessage

_START_BYTES = 64 * 1024
_ROOM_BYTES_MIN = 8 * 1024

_BUSY_BYTES = 1024 * 1024
"""A connection that fills its buffer in one read gets up to this much, so that one read brings many batches."""

_KEPT_BYTES_MAX = 8 * 1024 * 1024
"""A buffer that one huge request has grown beyond this is given back once it is empty."""


class FrameBuffer:
    """Bytes received on one connection and not yet served. Frames are `int32 size, size bytes`."""

    __slots__ = ("_busy", "_data", "_end", "_frame_bytes_max", "_start", "_view")

    def __init__(self, frame_bytes_max: int = FRAME_SIZE_BYTES_MAX) -> None:
        self._data = bytearray(_START_BYTES)
        self._view = memoryview(self._data)
        self._start = 0
        self._end = 0
        self._busy = False
        self._frame_bytes_max = frame_bytes_max

    @property
    def capacity_bytes(self) -> int:
        """Memory that the buffer holds at present."""
        return len(self._data)

    def room(self) -> memoryview:
        """Return where the next bytes go. Frames that were handed out before are void from here on."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._data) > _KEPT_BYTES_MAX:
                self._move_to(_START_BYTES)
        if self._busy and len(self._data) < _BUSY_BYTES:
            self._move_to(2 * len(self._data))
        if len(self._data) - self._end < _ROOM_BYTES_MIN:
            self._make_room()
        return self._view[self._end :]

    def received(self, size_bytes: int) -> None:
        """Take note that so many bytes were put into the room."""
        self._busy = size_bytes == len(self._data) - self._end
        self._end += size_bytes
        assert self._end <= len(self._data)

    def next_frame(self) -> memoryview | None:
        """Return the next request without its size, or None until more has come.

        Raises MalformedMessage for a size that cannot be; nothing after it can be understood either.
        """
        if self._end - self._start < 4:
            return None
        (size_bytes,) = INT32.unpack_from(self._data, self._start)
        if not 0 <= size_bytes <= self._frame_bytes_max:
            raise MalformedMessage(f"a request of {size_bytes} bytes; at most {self._frame_bytes_max} are accepted")
        begin = self._start + 4
        if self._end - begin < size_bytes:
            return None
        self._start = begin + size_bytes
        return self._view[begin : self._start]

    def _make_room(self) -> None:
        """Move what is pending to the front; double the buffer when that alone would not help.

        It grows as bytes arrive, not by the size that a frame claims to have: claims cost nothing to make.
        """
        if self._end - self._start > len(self._data) // 2:
            self._move_to(2 * len(self._data))
        else:
            pending = self._end - self._start
            self._view[:pending] = self._view[self._start : self._end]
            self._start, self._end = 0, pending

    def _move_to(self, size_bytes: int) -> None:
        # A new buffer, never a resized one: the transport may still hold a view of the old one.
        pending = self._end - self._start
        data = bytearray(size_bytes)
        data[:pending] = self._view[self._start : self._end]
        self._data, self._view = data, memoryview(data)
        self._start, self._end = 0, pending
