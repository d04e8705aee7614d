"""Whether data written with one schema can be read with another: what a registry's compatibility levels are about.

Avro follows the specification's schema resolution. Protobuf asks that a field keeps its number and a type of the same
encoding. JSON Schema is judged by the types, required and forbidden properties of objects only: whether one schema
admits all that another does cannot be decided in general, and what is not understood counts as compatible.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

_PROMOTIONS: Mapping[str, tuple[str, ...]] = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
"""From the writer's type to the reader's."""

_ENCODINGS = ((3, 4, 5, 8, 13, 14), (17, 18), (9, 12), (7, 15), (6, 16))
"""Numbers of Protobuf's field types that read each other's bytes: varints, zigzag varints, bytes, fixed 32 and 64."""

_MESSAGE = 11


def reading_problems(kind: str, reader: str, writer: str) -> list[str]:
    """Return why data of `writer` cannot be read with `reader`; nothing when it can. Both are valid schemas."""
    if kind == "AVRO":
        return list(_Avro(reader, writer).problems())
    if kind == "PROTOBUF":
        return list(_protobuf(reader, writer))
    return list(_json(json.loads(reader), json.loads(writer), "#"))


class _Avro:
    """Two schemas with the named types in each."""

    def __init__(self, reader: str, writer: str) -> None:
        import fastavro

        self._reader_names: dict[str, Any] = {}
        self._writer_names: dict[str, Any] = {}
        self._reader = fastavro.parse_schema(json.loads(reader), self._reader_names)
        self._writer = fastavro.parse_schema(json.loads(writer), self._writer_names)
        self._seen: list[tuple[str, str]] = []

    def problems(self) -> Iterator[str]:
        return self._problems(self._reader, self._writer, "")

    def _problems(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        reader, writer = self._resolved(reader, self._reader_names), self._resolved(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self._problems(reader, branch, path)
            return
        if isinstance(reader, list):
            if not any(not list(self._problems(branch, writer, path)) for branch in reader):
                yield f"{path or '/'}: no branch of the reader's union takes {_name(writer)}"
            return
        reader_type, writer_type = reader["type"], writer["type"]
        if reader_type != writer_type:
            if reader_type not in _PROMOTIONS.get(writer_type, ()):
                yield f"{path or '/'}: the reader's type {reader_type} does not take the writer's {writer_type}"
        elif reader_type == "record":
            yield from self._record(reader, writer, path)
        elif reader_type == "enum":
            lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if lost and "default" not in reader:
                yield f"{path or '/'}: the reader's enum lacks {', '.join(lost)}"
        elif reader_type == "fixed" and reader["size"] != writer["size"]:
            yield f"{path or '/'}: the sizes {reader['size']} and {writer['size']} differ"
        elif reader_type == "array":
            yield from self._problems(reader["items"], writer["items"], f"{path}/items")
        elif reader_type == "map":
            yield from self._problems(reader["values"], writer["values"], f"{path}/values")

    def _record(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        names = (reader["name"], writer["name"])
        if names in self._seen:
            return
        self._seen.append(names)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            found = next((name for name in (field["name"], *field.get("aliases", ())) if name in written), None)
            if found is not None:
                yield from self._problems(field["type"], written[found]["type"], f"{path}/{field['name']}")
            elif "default" not in field:
                yield f"{path}/{field['name']}: the reader's field has no default and is not in the writer's schema"

    def _resolved(self, schema: Any, names: Mapping[str, Any]) -> Any:
        """Return a schema as a union's list or a dict; a name stands for what it names, a primitive for itself."""
        if isinstance(schema, str):
            return names.get(schema, {"type": schema})
        if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            return self._resolved(schema["type"], names)
        return schema


def _name(schema: Any) -> str:
    return str(schema.get("name", schema["type"])) if isinstance(schema, dict) else str(schema)


def _protobuf(reader: str, writer: str) -> Iterator[str]:
    from cluster.console.protobuf_format import ProtobufSchema

    read = ProtobufSchema(reader, None).messages()
    for name, message in ProtobufSchema(writer, None).messages().items():
        if name not in read:
            yield f"{name}: the message is gone"
            continue
        fields = {field.number: field for field in read[name].fields}
        for field in message.fields:
            other = fields.get(field.number)
            if other is None:  # an unknown field is passed over
                continue
            if not _same_encoding(field.type, other.type) or field.is_repeated != other.is_repeated:
                yield f"{name}: field {field.number} has another type"
            elif field.type == _MESSAGE and _held(field) != _held(other):
                yield f"{name}: field {field.number} holds another message"


def _held(field: FieldDescriptor) -> str:
    return field.message_type.full_name if field.message_type is not None else ""


def _same_encoding(one: int, other: int) -> bool:
    return one == other or any(one in group and other in group for group in _ENCODINGS)


def _json(reader: Any, writer: Any, path: str) -> Iterator[str]:
    if not isinstance(reader, dict) or not isinstance(writer, dict):
        if reader is False and writer is not False:
            yield f"{path}: the reader takes nothing"
        return
    read, written = _types(reader), _types(writer)
    if read is not None and (written is None or [each for each in written if not _takes(read, each)]):
        yield f"{path}: the reader takes {', '.join(read)}, the writer may write {', '.join(written or ['anything'])}"
    for name in reader.get("required", ()):
        if name not in writer.get("required", ()):
            yield f"{path}: the reader requires {name}"
    properties, others = reader.get("properties", {}), writer.get("properties", {})
    for name, schema in others.items():
        if name in properties:
            yield from _json(properties[name], schema, f"{path}/properties/{name}")
        elif reader.get("additionalProperties") is False:
            yield f"{path}: the reader does not take {name}"
    if "items" in reader and "items" in writer:
        yield from _json(reader["items"], writer["items"], f"{path}/items")


def _types(schema: Mapping[str, Any]) -> list[str] | None:
    types = schema.get("type")
    return None if types is None else [types] if isinstance(types, str) else list(types)


def _takes(types: list[str], written: str) -> bool:
    return written in types or (written == "integer" and "number" in types)
