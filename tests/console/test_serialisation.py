"""Lines become Avro, JSON and Protobuf and come back, alone and in Confluent's wire format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.console import serialisation
from cluster.console.protobuf_format import read_indexes, write_indexes
from cluster.console.schema_registry import SchemaRegistry
from cluster.console.serialisation import Serialisation, make_decoder, make_encoder
from cluster.lab import LabError

AVRO = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "int"}, {"name": "note", "type": ["null", "string"], "default": null}]}"""
JSON_SCHEMA = '{"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}'
PROTO = """syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Order {
  string id = 1; int32 count = 2; map<string, int32> tags = 3; google.protobuf.Timestamp placed_at = 4;
  message Line { string article = 1; }
}
message Other { string name = 1; }
"""


class FakeRegistry:
    """Keeps schemas as Confluent's registry does, without HTTP."""

    schemas: dict[int, tuple[str, str, str]]

    def __init__(self, url: str) -> None:
        self.url = url

    def register(self, subject: str, kind: str, text: str) -> int:
        self.schemas[len(self.schemas) + 7] = (subject, kind, text)
        return len(self.schemas) + 6

    def find(self, schema_id: int, kind: str) -> str:
        assert self.schemas[schema_id][1] == kind
        return self.schemas[schema_id][2]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> type[FakeRegistry]:
    FakeRegistry.schemas = {}
    monkeypatch.setattr(serialisation, "SchemaRegistry", FakeRegistry)
    return FakeRegistry


def schema_file(directory: Path, text: str) -> Path:
    path = directory / "schema"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "schema", "line", "printed"),
    [
        ("json", None, '{"a": [1, null]}', '{"a":[1,null]}'),
        ("json", JSON_SCHEMA, '{"id": 1, "ü": 2}', '{"id":1,"ü":2}'),
        ("avro", AVRO, '{"id": 1, "note": {"string": "a"}}', '{"id":1,"note":{"string":"a"}}'),
        ("avro", AVRO, '{"id": 1, "note": "a"}', '{"id":1,"note":{"string":"a"}}'),
        ("avro", AVRO, '{"id": 1}', '{"id":1,"note":null}'),
        ("avro", '"string"', '"text"', '"text"'),
        (
            "protobuf",
            PROTO,
            '{"id": "x", "tags": {"a": 1}, "placedAt": "2026-01-01T00:00:00Z"}',
            '{"id":"x","tags":{"a":1},"placedAt":"2026-01-01T00:00:00Z","count":0}',
        ),
    ],
)
def test_a_line_comes_back_as_it_was_meant(
    tmp_path: Path, registry: type[FakeRegistry], *, name: str, schema: str | None, line: str, printed: str
) -> None:
    chosen = Serialisation(name, None if schema is None else schema_file(tmp_path, schema))
    decode = make_decoder(chosen)
    assert decode is not None
    assert decode(make_encoder(chosen, "orders-value")(line)) == printed.encode()
    if schema is None:
        return
    framed = Serialisation(name, chosen.schema_file, None, "http://registry")
    content = make_encoder(framed, "orders-value")(line)
    assert content[:5] == b"\0\0\0\0\7"
    assert registry.schemas[7] == ("orders-value", name.upper(), schema)
    decode_framed = make_decoder(Serialisation(name, registry="http://registry"))
    assert decode_framed is not None
    assert decode_framed(content) == printed.encode()


def test_avro_is_what_the_specification_says(tmp_path: Path) -> None:
    encode = make_encoder(Serialisation("avro", schema_file(tmp_path, AVRO)), "s")
    assert encode('{"id": 1, "note": {"string": "a"}}') == bytes([2, 2, 2, ord("a")])  # zigzag 1, branch 1, length 1


def test_protobuf_names_its_message_by_indexes(tmp_path: Path, registry: type[FakeRegistry]) -> None:
    path = schema_file(tmp_path, PROTO)
    first = make_encoder(Serialisation("protobuf", path, None, "http://registry"), "s")('{"id": "x"}')
    assert first[5:] == b"\0" + b"\x0a\x01x"
    second = make_encoder(Serialisation("protobuf", path, "Other", "http://registry"), "s")('{"name": "x"}')
    assert second[5:] == bytes([2, 2]) + b"\x0a\x01x"
    nested = make_encoder(Serialisation("protobuf", path, "shop.Order.Line", "http://registry"), "s")(
        '{"article": "x"}'
    )
    assert nested[5:] == bytes([4, 0, 0]) + b"\x0a\x01x"
    decode = make_decoder(Serialisation("protobuf", registry="http://registry"))
    assert decode is not None
    assert [json.loads(decode(each)) for each in (first, second, nested)] == [
        {"id": "x", "count": 0, "tags": {}},
        {"name": "x"},
        {"article": "x"},
    ]


@pytest.mark.parametrize("indexes", [[0], [1], [0, 0], [3, 200, 1]])
def test_message_indexes_come_back(indexes: list[int]) -> None:
    written = write_indexes(indexes)
    assert read_indexes(written + b"rest") == (indexes, len(written))
    with pytest.raises(ValueError, match="cut short"):
        read_indexes(written[:-1])


@pytest.mark.parametrize(
    ("name", "schema", "line", "said"),
    [
        ("json", None, "{", "is no json"),
        ("json", JSON_SCHEMA, '{"id": "x"}', "$.id: 'x' is not of type 'integer'"),
        ("avro", AVRO, '{"id": "x"}', "is no avro"),
        ("avro", AVRO, '{"id": 1, "more": 2}', "is no avro"),
        ("protobuf", PROTO, '{"more": 1}', 'no field named "more"'),
    ],
)
def test_a_line_that_does_not_fit_fails_with_its_reason(
    tmp_path: Path, name: str, schema: str | None, line: str, said: str
) -> None:
    chosen = Serialisation(name, None if schema is None else schema_file(tmp_path, schema))
    with pytest.raises(LabError) as error:
        make_encoder(chosen, "s")(line)
    assert said in error.value.cause
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "schema", "content"),
    [("json", JSON_SCHEMA, b"{}"), ("json", None, b"\xff"), ("avro", AVRO, b"\x02"), ("avro", AVRO, b"\2\0more"),
     ("protobuf", PROTO, b"\x0a\x7f")],
)  # fmt: skip
def test_bytes_that_do_not_fit_are_not_printed(tmp_path: Path, name: str, schema: str | None, content: bytes) -> None:
    decode = make_decoder(Serialisation(name, None if schema is None else schema_file(tmp_path, schema)))
    assert decode is not None
    with pytest.raises(LabError, match=f"is no {name}"):
        decode(content)


@pytest.mark.parametrize(
    ("chosen", "text", "said"),
    [
        (Serialisation("xml"), None, "no format 'xml'"),
        (Serialisation("avro"), None, "needs a schema"),
        (Serialisation("json", registry="http://x"), None, "needs a schema"),
        (Serialisation("avro", Path("/none")), None, "cannot be read"),
        (Serialisation("avro"), '{"type": "recor"}', "The Avro schema is not one"),
        (Serialisation("json"), '{"type": 5}', "The JSON Schema is not one"),
        (Serialisation("protobuf"), "message {", "does not compile"),
        (Serialisation("protobuf", None, "Missing"), PROTO, "no message Missing"),
    ],
)
def test_a_wrong_choice_is_an_error_of_usage(
    tmp_path: Path, chosen: Serialisation, text: str | None, said: str
) -> None:
    path = chosen.schema_file if text is None else schema_file(tmp_path, text)
    with pytest.raises(LabError) as error:
        make_encoder(Serialisation(chosen.format, path, chosen.message, chosen.registry), "s")
    assert said in error.value.cause
    assert error.value.exit_code == 2


def test_records_without_a_schema_id_are_told(registry: type[FakeRegistry]) -> None:
    decode = make_decoder(Serialisation("avro", registry="http://registry"))
    assert decode is not None
    with pytest.raises(LabError, match="carries no schema id"):
        decode(b"text")


def test_a_registry_has_a_url() -> None:
    with pytest.raises(LabError, match="is not a registry's URL"):
        SchemaRegistry("localhost:8081")
    assert make_decoder(Serialisation()) is None
    assert make_encoder(Serialisation(), "s")("grüß") == "grüß".encode()
