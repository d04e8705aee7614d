"""Records are printed as Kafka's DefaultMessageFormatter prints them, byte for byte."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from cluster.console.message_formatter import ConsumedRecord, MessageFormatter
from cluster.lab import LabError

RECORD = ConsumedRecord(
    partition=0,
    offset=5,
    key=b"key",
    value=b"value",
    topic="orders",
    headers=(("h1", b"v1"), ("h2", None)),
    timestamp_type=1,
    timestamp_ms=1_700_000_000_000,
    leader_epoch=58,
)
ALL = {f"print.{name}": "true" for name in ("timestamp", "partition", "offset", "epoch", "headers", "key", "value")}


@pytest.mark.parametrize(
    ("properties", "printed"),
    [
        ({}, b"value\n"),
        ({"print.key": "true"}, b"key\tvalue\n"),
        (
            {"print.timestamp": "true", "print.partition": "true", "print.offset": "true", "print.key": "true"},
            b"CreateTime:1700000000000\tPartition:0\tOffset:5\tkey\tvalue\n",
        ),
        (ALL, b"CreateTime:1700000000000\tPartition:0\tOffset:5\tEpoch:58\th1:v1,h2:null\tkey\tvalue\n"),
        ({"print.headers": "true", "headers.separator": "|"}, b"h1:v1|h2:null\tvalue\n"),
        ({"print.key": "true", "key.separator": "::", "line.separator": "<end>"}, b"key::value<end>"),
        ({"print.key": "true", "print.value": "false"}, b"key\n"),
        ({"print.offset": "True ", "print.value": "false"}, b"Offset:5\n"),
        ({"print.delivery": "true"}, b"Delivery:NOT_PRESENT\tvalue\n"),
        ({"print.value": "false"}, b""),
    ],
)
def test_columns_stand_in_kafkas_order_with_its_separators(properties: dict[str, str], printed: bytes) -> None:
    assert MessageFormatter(properties).format(RECORD) == printed


def test_what_a_record_lacks_has_kafkas_names() -> None:
    bare = ConsumedRecord(partition=1, offset=0, key=None, value=None)
    printed = MessageFormatter(ALL).format(bare)
    assert printed == b"NO_TIMESTAMP\tPartition:1\tOffset:0\tEpoch:NOT_PRESENT\tNO_HEADERS\tnull\tnull\n"
    assert MessageFormatter({"null.literal": "<nothing>"}).format(bare) == b"<nothing>\n"
    stamped = replace(RECORD, timestamp_type=2)
    assert MessageFormatter({"print.timestamp": "true"}).format(stamped) == b"LogAppendTime:1700000000000\tvalue\n"


@pytest.mark.parametrize(
    ("name", "content", "printed"),
    [
        ("org.apache.kafka.common.serialization.IntegerDeserializer", struct.pack(">i", -7), b"-7"),
        ("org.apache.kafka.common.serialization.LongDeserializer", struct.pack(">q", 2**40), b"1099511627776"),
        ("ShortDeserializer", struct.pack(">h", 3), b"3"),
        ("DoubleDeserializer", struct.pack(">d", 1.5), b"1.5"),
        ("FloatDeserializer", struct.pack(">f", 1.1), b"1.1"),
        ("BooleanDeserializer", b"\1", b"true"),
        ("StringDeserializer", "grüß".encode(), "grüß".encode()),
        ("UUIDDeserializer", b"0f0c1b9e-0000-0000-0000-000000000001", b"0f0c1b9e-0000-0000-0000-000000000001"),
    ],
)
def test_kafkas_own_deserializers_are_known_by_their_classes(name: str, content: bytes, printed: bytes) -> None:
    formatter = MessageFormatter({"value.deserializer": name})
    assert formatter.format(replace(RECORD, value=content)) == printed + b"\n"


def test_bytes_that_a_deserializer_cannot_read_and_unknown_classes_are_errors() -> None:
    with pytest.raises(ValueError, match="not 4"):
        MessageFormatter({"key.deserializer": "IntegerDeserializer", "print.key": "true"}).format(RECORD)
    with pytest.raises(LabError, match=r"no deserializer com\.acme\.Mine"):
        MessageFormatter({"value.deserializer": "com.acme.Mine"})
