"""From a consumed record to what is printed (`org.apache.kafka.tools.consumer.DefaultMessageFormatter`), as bytes.

Here: which columns, their order and separators, and Kafka's deserialisers for the types of its own clients.
Not here: Avro, JSON and Protobuf (`serialisation`), which come in as decoders.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cluster.console.errors import usage
from cluster.console.line_reader import is_true

Decoder = Callable[[bytes], bytes]
"""From stored bytes to the text that is printed. Raises ValueError or LabError when they cannot be read."""

TIMESTAMP_TYPES = {1: "CreateTime", 2: "LogAppendTime"}
"""By librdkafka's numbers; anything else is NO_TIMESTAMP."""

KNOWN = (
    "print.timestamp",
    "print.key",
    "print.offset",
    "print.delivery",
    "print.epoch",
    "print.partition",
    "print.headers",
    "print.value",
    "key.separator",
    "line.separator",
    "headers.separator",
    "null.literal",
    "key.deserializer",
    "value.deserializer",
    "headers.deserializer",
)
"""Every property that has an effect."""


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A record as a client hands it over. `timestamp_type` is a key of `TIMESTAMP_TYPES`, or 0."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    topic: str = ""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_type: int = 0
    timestamp_ms: int = -1
    leader_epoch: int | None = None
    delivery_count: int | None = None
    """For which time a member of a share group is given it."""


Printer = Callable[[ConsumedRecord], bytes]
"""From a record to what is printed. Raises LabError or ValueError when a decoder cannot read it."""


class MessageFormatter:
    """Prints records as its properties say."""

    def __init__(
        self, properties: Mapping[str, str], key_decoder: Decoder | None = None, value_decoder: Decoder | None = None
    ) -> None:
        """Decoders, when given, win over the deserialisers in the properties. Raises LabError (usage)."""
        self._shown = {
            name: is_true(properties.get(f"print.{name}", "true" if name == "value" else "false"))
            for name in ("timestamp", "partition", "offset", "delivery", "epoch", "headers", "key", "value")
        }
        self._separator = properties.get("key.separator", "\t").encode()
        self._line_separator = properties.get("line.separator", "\n").encode()
        self._headers_separator = properties.get("headers.separator", ",").encode()
        self._null = properties.get("null.literal", "null").encode()
        self._decode_key = key_decoder or deserializer(properties.get("key.deserializer"))
        self._decode_value = value_decoder or deserializer(properties.get("value.deserializer"))
        self._decode_header = deserializer(properties.get("headers.deserializer"))

    def format(self, record: ConsumedRecord) -> bytes:
        """Return the line, its end included; nothing when no column is shown. Raises what a decoder raises."""
        columns = [column(self, record) for name, column in _COLUMNS if self._shown[name]]
        return self._separator.join(columns) + self._line_separator if columns else b""

    def timestamp(self, record: ConsumedRecord) -> bytes:
        """The type of the timestamp and its milliseconds since 1970."""
        name = TIMESTAMP_TYPES.get(record.timestamp_type)
        return b"NO_TIMESTAMP" if name is None else f"{name}:{record.timestamp_ms}".encode()

    def epoch(self, record: ConsumedRecord) -> bytes:
        """The leader epoch in which the record was written."""
        return b"Epoch:" + (b"NOT_PRESENT" if record.leader_epoch is None else b"%d" % record.leader_epoch)

    def delivery(self, record: ConsumedRecord) -> bytes:
        """How often it has been delivered to the share group."""
        count = record.delivery_count
        return b"Delivery:" + (b"NOT_PRESENT" if count is None else b"%d" % count)

    def headers(self, record: ConsumedRecord) -> bytes:
        """The headers in their order."""
        if not record.headers:
            return b"NO_HEADERS"
        shown = (name.encode() + b":" + self._decoded(value, self._decode_header) for name, value in record.headers)
        return self._headers_separator.join(shown)

    def key(self, record: ConsumedRecord) -> bytes:
        """The key, decoded."""
        return self._decoded(record.key, self._decode_key)

    def value(self, record: ConsumedRecord) -> bytes:
        """The value, decoded."""
        return self._decoded(record.value, self._decode_value)

    def _decoded(self, content: bytes | None, decode: Decoder) -> bytes:
        return self._null if content is None else decode(content)


def default_printer(
    properties: Mapping[str, str], key_decoder: Decoder | None, value_decoder: Decoder | None
) -> Printer:
    """DefaultMessageFormatter: the columns that the properties choose."""
    return MessageFormatter(properties, key_decoder, value_decoder).format


def no_printer(properties: Mapping[str, str], key_decoder: Decoder | None, value_decoder: Decoder | None) -> Printer:
    """NoOpMessageFormatter: count only."""
    return lambda _: b""


FORMATTERS: Mapping[str, Callable[[Mapping[str, str], Decoder | None, Decoder | None], Printer]] = {
    "DefaultMessageFormatter": default_printer,
    "NoOpMessageFormatter": no_printer,
}
"""By the names of Kafka's classes."""


_COLUMNS: tuple[tuple[str, Callable[[MessageFormatter, ConsumedRecord], bytes]], ...] = (
    ("timestamp", MessageFormatter.timestamp),
    ("partition", lambda _, record: b"Partition:%d" % record.partition),
    ("offset", lambda _, record: b"Offset:%d" % record.offset),
    ("delivery", MessageFormatter.delivery),
    ("epoch", MessageFormatter.epoch),
    ("headers", MessageFormatter.headers),
    ("key", MessageFormatter.key),
    ("value", MessageFormatter.value),
)


def _number(form: str) -> Decoder:
    layout = struct.Struct(form)

    def decode(content: bytes) -> bytes:
        if len(content) != layout.size:
            raise ValueError(f"Size of data received by the deserializer is not {layout.size}")
        return str(layout.unpack(content)[0]).encode()

    return decode


def _shortest_float(digits: bytes) -> bytes:
    """Return the fewest digits that make the same float of 32 bits, as Java prints it."""
    exact = struct.pack(">f", float(digits))
    shorter = (repr(float(f"{float(digits):.{count}g}")) for count in range(1, 10))
    return next((text for text in shorter if struct.pack(">f", float(text)) == exact), digits.decode()).encode()


_DESERIALIZERS: Mapping[str, Decoder] = {
    "ByteArrayDeserializer": bytes,
    "ByteBufferDeserializer": bytes,
    "BytesDeserializer": bytes,
    "StringDeserializer": bytes,
    "ShortDeserializer": _number(">h"),
    "IntegerDeserializer": _number(">i"),
    "LongDeserializer": _number(">q"),
    "DoubleDeserializer": _number(">d"),
    "FloatDeserializer": lambda content: _shortest_float(_number(">f")(content)),
    "BooleanDeserializer": lambda content: b"true" if content == b"\1" else b"false",
    "UUIDDeserializer": lambda content: str(uuid.UUID(content.decode())).encode(),
    "VoidDeserializer": lambda _: b"null",
}


def deserializer(class_name: str | None) -> Decoder:
    """Find one of Kafka's deserialisers by its Java class, with or without the package. Raises LabError (usage)."""
    if not class_name:
        return bytes
    found = _DESERIALIZERS.get(class_name.rpartition(".")[2])
    if found is None:
        raise usage(
            f"There is no deserializer {class_name}.",
            f"Java classes cannot be loaded; there are {', '.join(_DESERIALIZERS)}, "
            "and --key-format and --value-format for Avro, JSON and Protobuf.",
        )
    return found
