"""The protocol's primitive types, read from a buffer that nobody has checked yet.

Here: a cursor that refuses to read past the end and believes no length before it has seen the bytes, and the
few writers that the hand-written codecs share. Not here: messages (`schema`, `produce`, `fetch`).

A count of elements is believed only up to the number of bytes that are left: every element takes at least one,
so a five-byte message cannot ask for gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from uuid import UUID

from cluster.base.ids import TopicId
from cluster.base.limits import STRING_BYTES_MAX
from cluster.base.ports import Buffer

INT8 = Struct(">b")
INT16 = Struct(">h")
INT32 = Struct(">i")
INT64 = Struct(">q")
FLOAT64 = Struct(">d")

NO_TAGS = b"\x00"
"""The tagged fields of a structure that has none."""

_VARINT_BITS_MAX = 35


class MalformedMessage(Exception):
    """Bytes that are not the message they claim to be: the peer's fault, never the broker's."""


class Cursor:
    """A position in a message that moves forward as values are read. Every method raises MalformedMessage."""

    __slots__ = ("buffer", "position")

    def __init__(self, buffer: Buffer, position: int = 0) -> None:
        self.buffer = memoryview(buffer)
        self.position = position

    def number(self, form: Struct) -> int:
        """Read one fixed-size integer."""
        try:
            value: int = form.unpack_from(self.buffer, self.position)[0]
        except struct_error as error:
            raise MalformedMessage(f"ends within a number at byte {self.position}") from error
        self.position += form.size
        return value

    def numbers(self, form: Struct) -> tuple[int, ...]:
        """Read several fixed-size integers at once."""
        try:
            values: tuple[int, ...] = form.unpack_from(self.buffer, self.position)
        except struct_error as error:
            raise MalformedMessage(f"ends within the numbers at byte {self.position}") from error
        self.position += form.size
        return values

    def float64(self) -> float:
        """Read a double."""
        try:
            value: float = FLOAT64.unpack_from(self.buffer, self.position)[0]
        except struct_error as error:
            raise MalformedMessage(f"ends within a number at byte {self.position}") from error
        self.position += 8
        return value

    def unsigned_varint(self) -> int:
        """Read a number of at most 32 bits, seven bits a byte, low bits first."""
        try:
            value = self.buffer[self.position]
        except IndexError as error:
            raise MalformedMessage(f"ends within a varint at byte {self.position}") from error
        if value < 0x80:  # nearly all of them
            self.position += 1
            return value
        return self._long_varint()

    def _long_varint(self) -> int:
        value = shift = 0
        while shift < _VARINT_BITS_MAX:
            if self.position >= len(self.buffer):
                raise MalformedMessage(f"ends within a varint at byte {self.position}")
            byte = self.buffer[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise MalformedMessage(f"a varint at byte {self.position} does not end")

    def take(self, size_bytes: int) -> memoryview:
        """Return the next bytes without copying them."""
        end = self.position + size_bytes
        if size_bytes < 0 or end > len(self.buffer):
            raise MalformedMessage(f"{size_bytes} bytes at byte {self.position} reach past the end")
        view = self.buffer[self.position : end]
        self.position = end
        return view

    def length(self, flexible: bool) -> int:
        """Read the length of bytes or of an array; -1 stands for null."""
        if flexible:
            return self.unsigned_varint() - 1
        size_bytes = self.number(INT32)
        if size_bytes < -1:
            raise MalformedMessage(f"a length of {size_bytes} at byte {self.position}")
        return size_bytes

    def string(self, flexible: bool) -> str | None:
        """Read a string, which may be null."""
        size_bytes = self.unsigned_varint() - 1 if flexible else self.number(INT16)
        if size_bytes < 0:
            if size_bytes < -1:
                raise MalformedMessage(f"a length of {size_bytes} at byte {self.position}")
            return None
        if size_bytes > STRING_BYTES_MAX:  # only a flexible version can say so; Kafka refuses it, too
            raise MalformedMessage(f"a string of {size_bytes} bytes at byte {self.position}")
        try:
            return str(self.take(size_bytes), "utf-8")
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"text before byte {self.position} is not UTF-8") from error

    def text(self, flexible: bool) -> str:
        """Read a string that must not be null."""
        value = self.string(flexible)
        if value is None:
            raise MalformedMessage(f"null before byte {self.position}, where a string must be")
        return value

    def data(self, flexible: bool) -> memoryview | None:
        """Read bytes or records without copying them; they may be null."""
        size_bytes = self.length(flexible)
        return None if size_bytes < 0 else self.take(size_bytes)

    def count(self, flexible: bool) -> int:
        """Read the number of elements of an array; -1 stands for null."""
        elements = self.length(flexible)
        if elements > len(self.buffer) - self.position:
            raise MalformedMessage(f"an array of {elements} at byte {self.position} is longer than the message")
        return elements

    def elements(self, flexible: bool) -> range:
        """Read the number of elements of an array that must not be null."""
        number = self.unsigned_varint() - 1 if flexible else self.number(INT32)
        if 0 <= number <= len(self.buffer) - self.position:
            return range(number)
        if number == -1:
            raise MalformedMessage(f"null before byte {self.position}, where an array must be")
        raise MalformedMessage(f"an array of {number} at byte {self.position} is longer than the message")

    def topic_id(self) -> TopicId:
        """Read a topic id; the zero id is returned as it is."""
        return topic_id_of(bytes(self.take(16)))

    def tags(self) -> Sequence[tuple[int, memoryview]]:
        """Read the tagged fields that end a flexible structure, each with its undecoded value (KIP-482)."""
        number = self.unsigned_varint()
        if number == 0:
            return ()
        found: list[tuple[int, memoryview]] = []
        for _ in range(number):
            tag = self.unsigned_varint()
            found.append((tag, self.take(self.unsigned_varint())))
        return found


@lru_cache(maxsize=4096)
def topic_id_of(data: bytes) -> TopicId:
    """Return the id that 16 bytes stand for. Cached: every fetch names the same few topics."""
    return UUID(bytes=data)


def unsigned_varint(value: int) -> bytes:
    """Write a number seven bits a byte, low bits first."""
    assert value >= 0, value
    if value < 0x80:
        return bytes((value,))
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def string(value: str | None, flexible: bool) -> bytes:
    """Write a string or null, at most `STRING_BYTES_MAX` long."""
    if value is None:
        return NO_TAGS if flexible else b"\xff\xff"
    encoded = value.encode()
    if flexible:
        return unsigned_varint(len(encoded) + 1) + encoded
    return INT16.pack(len(encoded)) + encoded


def length(size: int, flexible: bool) -> bytes:
    """Write the length of an array or of records; -1 stands for null."""
    return unsigned_varint(size + 1) if flexible else INT32.pack(size)


def tagged(fields: Sequence[tuple[int, bytes]]) -> bytes:
    """Write the tagged fields that end a flexible structure, in ascending order of their tags."""
    if not fields:
        return NO_TAGS
    parts = [unsigned_varint(len(fields))]
    for tag, value in fields:
        parts += (unsigned_varint(tag), unsigned_varint(len(value)), value)
    return b"".join(parts)
