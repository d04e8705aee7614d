"""The registry keeps Confluent's rules: ids, versions, compatibility levels, deletion, error codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.console.schema_evolution import reading_problems
from cluster.console.schema_service import SchemaService
from cluster.console.schema_store import SchemaStore


def record(*fields: str) -> str:
    return f'{{"type": "record", "name": "R", "fields": [{", ".join(fields)}]}}'


ID = '{"name": "id", "type": "int"}'
NOTE = '{"name": "note", "type": "string"}'
NOTE_WITH_DEFAULT = '{"name": "note", "type": "string", "default": ""}'


@pytest.mark.parametrize(
    ("reader", "writer", "is_readable"),
    [
        ('"long"', '"int"', True),
        ('"int"', '"long"', False),
        ('"bytes"', '"string"', True),
        ('["null", "long"]', '"int"', True),
        ('"int"', '["null", "int"]', False),
        ('["null", "int"]', '["int"]', True),
        (record(ID), record(ID, NOTE), True),
        (record(ID, NOTE), record(ID), False),
        (record(ID, NOTE_WITH_DEFAULT), record(ID), True),
        (record('{"name": "key", "aliases": ["id"], "type": "int"}'), record(ID), True),
        (record('{"name": "id", "type": "string"}'), record(ID), False),
        ('{"type": "array", "items": "long"}', '{"type": "array", "items": "int"}', True),
        ('{"type": "map", "values": "int"}', '{"type": "map", "values": "long"}', False),
        (
            '{"type": "enum", "name": "E", "symbols": ["A"]}',
            '{"type": "enum", "name": "E", "symbols": ["A", "B"]}',
            False,
        ),
        (
            '{"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}',
            '{"type": "enum", "name": "E", "symbols": ["A", "B"]}',
            True,
        ),
        ('{"type": "fixed", "name": "F", "size": 4}', '{"type": "fixed", "name": "F", "size": 5}', False),
        (record('{"name": "next", "type": ["null", "R"]}'), record('{"name": "next", "type": ["null", "R"]}'), True),
    ],
)  # fmt: skip
def test_avro_is_resolved_as_its_specification_says(reader: str, writer: str, is_readable: bool) -> None:
    assert (reading_problems("AVRO", reader, writer) == []) is is_readable


def proto(fields: str, name: str = "M") -> str:
    return f'syntax = "proto3"; message {name} {{ {fields} }}'


@pytest.mark.parametrize(
    ("reader", "writer", "is_readable"),
    [
        (proto("int64 a = 1;"), proto("int32 a = 1;"), True),
        (proto("string a = 1;"), proto("int32 a = 1;"), False),
        (proto("int32 b = 2;"), proto("int32 a = 1;"), True),
        (proto("repeated int32 a = 1;"), proto("int32 a = 1;"), False),
        (proto("int32 a = 1;", "N"), proto("int32 a = 1;"), False),
    ],
)
def test_protobuf_fields_keep_number_and_encoding(reader: str, writer: str, is_readable: bool) -> None:
    assert (reading_problems("PROTOBUF", reader, writer) == []) is is_readable


@pytest.mark.parametrize(
    ("reader", "writer", "is_readable"),
    [
        ('{"type": "number"}', '{"type": "integer"}', True),
        ('{"type": "integer"}', '{"type": "number"}', False),
        ('{"type": "object", "required": ["a"]}', '{"type": "object"}', False),
        ('{"type": "object"}', '{"type": "object", "required": ["a"]}', True),
        ('{"additionalProperties": false}', '{"properties": {"a": {}}}', False),
        ('{"properties": {"a": {"type": "string"}}}', '{"properties": {"a": {"type": "null"}}}', False),
    ],
)
def test_json_objects_are_held_to_types_and_required_properties(reader: str, writer: str, is_readable: bool) -> None:
    assert (reading_problems("JSON", reader, writer) == []) is is_readable


class Client:
    """Asks a service as HTTP would."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []
        self.service = SchemaService(SchemaStore(), lambda store: self.changes.append(store.to_json()))

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        code, content = self.service.answer(method, path, b"" if body is None else json.dumps(body).encode())
        assert code == status, content
        return content

    def register(self, subject: str, schema: str, status: int = 200) -> Any:
        return self.ask("POST", f"/subjects/{subject}/versions", {"schema": schema}, status)


def test_a_schema_has_one_id_and_each_subject_its_own_versions() -> None:
    client = Client()
    assert client.register("a-value", record(ID))["id"] == 1
    assert client.register("a-value", record(ID, NOTE_WITH_DEFAULT))["id"] == 2
    assert client.register("a-value", record(ID).replace(" ", ""))["version"] == 1
    assert client.register("b-value", record(ID, NOTE_WITH_DEFAULT))["id"] == 2
    assert client.ask("GET", "/subjects") == ["a-value", "b-value"]
    assert client.ask("GET", "/subjects/a-value/versions") == [1, 2]
    assert client.ask("GET", "/subjects/a-value/versions/latest")["id"] == 2
    assert json.loads(client.ask("GET", "/schemas/ids/1?subject=a-value")["schema"]) == json.loads(record(ID))
    assert client.ask("GET", "/schemas/ids/2/versions") == [
        {"subject": "a-value", "version": 2},
        {"subject": "b-value", "version": 1},
    ]
    assert client.ask("POST", "/subjects/a-value?normalize=false", {"schema": record(ID)})["version"] == 1
    assert client.ask("GET", "/schemas/types") == ["AVRO", "JSON", "PROTOBUF"]


@pytest.mark.parametrize(
    ("level", "adding", "removing"),
    [
        ("NONE", 200, 200),
        ("BACKWARD", 409, 200),
        ("FORWARD", 200, 409),
        ("FULL", 409, 409),
        ("FULL_TRANSITIVE", 409, 409),
    ],
)
def test_a_level_says_which_schema_may_follow(level: str, adding: int, removing: int) -> None:
    client = Client()
    assert client.ask("PUT", "/config", {"compatibility": level}) == {"compatibility": level}
    client.register("adding", record(ID))
    client.register("removing", record(ID, NOTE))
    body = {"schema": record(ID, NOTE)}
    asked = client.ask("POST", "/compatibility/subjects/adding/versions/latest?verbose=true", body)
    assert asked["is_compatible"] is (adding == 200)
    client.register("adding", record(ID, NOTE), adding)
    client.register("removing", record(ID), removing)


def test_a_transitive_level_looks_at_every_version() -> None:
    client = Client()
    client.register("s", record(ID))
    client.register("s", record(ID, NOTE_WITH_DEFAULT))
    client.ask("PUT", "/config/s", {"compatibility": "BACKWARD_TRANSITIVE"})
    client.register("s", record(ID, NOTE), 409)
    client.ask("PUT", "/config/s", {"compatibility": "BACKWARD"})
    client.register("s", record(ID, NOTE))
    assert client.ask("GET", "/config/s") == {"compatibilityLevel": "BACKWARD"}
    client.ask("DELETE", "/config/s")
    assert client.ask("GET", "/config/s", status=404)["error_code"] == 40408
    assert client.ask("GET", "/config/s?defaultToGlobal=true") == {"compatibilityLevel": "BACKWARD"}


def test_what_is_deleted_is_hidden_first() -> None:
    client = Client()
    for schema in (record(ID), record(ID, NOTE_WITH_DEFAULT)):
        client.register("s", schema)
    assert client.ask("DELETE", "/subjects/s/versions/1?permanent=true", status=404)["error_code"] == 40407
    assert client.ask("DELETE", "/subjects/s/versions/1") == 1
    assert client.ask("GET", "/subjects/s/versions") == [2]
    assert client.ask("GET", "/subjects/s/versions?deleted=true") == [1, 2]
    assert client.ask("DELETE", "/subjects/s/versions/1?permanent=true") == 1
    assert client.ask("DELETE", "/subjects/s?permanent=true", status=404)["error_code"] == 40405
    assert client.ask("DELETE", "/subjects/s") == [2]
    assert client.ask("GET", "/subjects") == []
    assert client.register("s", record(ID))["version"] == 3
    assert client.ask("GET", "/schemas/ids/2")["schema"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/subjects/none/versions", None, 40401),
        ("GET", "/subjects/s/versions/9", None, 40402),
        ("GET", "/subjects/s/versions/x", None, 42202),
        ("GET", "/schemas/ids/99", None, 40403),
        ("POST", "/subjects/s", {"schema": '"string"'}, 40403),
        ("POST", "/subjects/s/versions", {"schema": "{"}, 42201),
        ("POST", "/subjects/s/versions", {"schema": "{}", "schemaType": "XML"}, 42201),
        ("POST", "/subjects/s/versions", {"schema": '"int"', "references": [{}]}, 42201),
        ("POST", "/subjects/s/versions", [], 42201),
        ("PUT", "/config", {"compatibility": "SOME"}, 42203),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_errors_have_confluents_codes(method: str, path: str, body: object, code: int) -> None:
    client = Client()
    client.register("s", record(ID))
    answer = client.ask(method, path, body, status=code if code < 1000 else code // 100)
    assert answer["error_code"] == code
    assert len(client.changes) == 1


def test_a_store_that_cannot_be_kept_is_told_of() -> None:
    def refuse(_: SchemaStore) -> None:
        raise OSError(28, "No space left on device")

    body = json.dumps({"schema": record(ID)}).encode()
    status, content = SchemaService(SchemaStore(), refuse).answer("POST", "/subjects/s/versions", body)
    assert (status, content["error_code"]) == (500, 50001)
    assert "No space left" in content["message"]


def test_what_is_kept_is_everything() -> None:
    client = Client()
    client.register("s", record(ID))
    client.ask("PUT", "/config/s", {"compatibility": "none"})
    kept = json.loads(json.dumps(client.changes[-1]))
    store = SchemaStore.from_json(kept)
    assert store.to_json() == kept
    assert store.level("s") == "NONE"
    assert store.versions("s") == [1]
