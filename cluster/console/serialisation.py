"""How keys and values become bytes and text again: plain strings, JSON, Avro, Protobuf, alone or with a schema's id.

Here: the choice, and Confluent's wire format: a zero byte, the schema's id in 4 bytes, then the payload. Not here: the
formats (`json_format`, `avro_format`, `protobuf_format`) and the registry's REST API (`schema_registry`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cluster.console.errors import failure, usage
from cluster.console.schema_registry import SchemaRegistry

Encoder = Callable[[str], bytes]
Decoder = Callable[[bytes], bytes]

FORMATS = ("string", "json", "avro", "protobuf")

_REGISTRY_KINDS = {"json": "JSON", "avro": "AVRO", "protobuf": "PROTOBUF"}
_FRAME = struct.Struct(">bi")
_MAGIC = 0


class Schema(Protocol):
    """A schema and its format."""

    text: str
    """As a registry keeps it."""

    def encode(self, text: str, *, framed: bool) -> bytes:
        """Turn a line into bytes; `framed` when a schema id goes before them. Raises ValueError."""
        ...

    def decode(self, payload: bytes, *, framed: bool) -> str:
        """Turn bytes into a line. Raises ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Serialisation:
    """What the command line says: the format, the schema's file, which message of it, and the registry's URL."""

    format: str = "string"
    schema_file: Path | None = None
    message: str | None = None
    registry: str | None = None

    def check(self) -> None:
        """Raise LabError (usage) when the format is unknown."""
        if self.format not in FORMATS:
            raise usage(f"There is no format {self.format!r}.", f"Choose {', '.join(FORMATS)}.")


def make_encoder(chosen: Serialisation, subject: str) -> Encoder:
    """Return what turns lines into bytes; the schema is registered under `subject` when there is a registry.

    Raises LabError, as the encoder does for a line that does not fit the schema.
    """
    chosen.check()
    if chosen.format == "string":
        return str.encode
    if chosen.schema_file is None and (chosen.format != "json" or chosen.registry):
        raise usage(f"The format {chosen.format} needs a schema.", "Name its file: --value-schema or --key-schema.")
    schema = load_schema(chosen.format, _read(chosen.schema_file), chosen.message)
    frame = b""
    if chosen.registry:
        schema_id = SchemaRegistry(chosen.registry).register(subject, _REGISTRY_KINDS[chosen.format], schema.text)
        frame = _FRAME.pack(_MAGIC, schema_id)

    def encode(text: str) -> bytes:
        try:
            return frame + schema.encode(text, framed=bool(frame))
        except ValueError as error:
            raise failure(
                f"{_shortened(text)} is no {chosen.format}: {error}", "Correct the line, or the schema."
            ) from error

    return encode


def make_decoder(chosen: Serialisation) -> Decoder | None:
    """Return what turns bytes into text; None for strings, which are printed as they are.

    With a registry, each record's schema is the one whose id it carries. Raises LabError (usage); the decoder raises
    LabError for bytes that do not fit the schema.
    """
    chosen.check()
    if chosen.format == "string":
        return None
    if chosen.registry:
        return _RegistryDecoder(chosen, SchemaRegistry(chosen.registry)).decode
    if chosen.schema_file is None and chosen.format != "json":
        raise usage(f"The format {chosen.format} needs a schema.", "Name its file, or a --schema-registry.")
    schema = load_schema(chosen.format, _read(chosen.schema_file), chosen.message)

    def decode(payload: bytes) -> bytes:
        return _decoded(schema, payload, chosen.format, framed=False)

    return decode


class _RegistryDecoder:
    """Decodes records that carry their schema's id; every schema is asked for once."""

    def __init__(self, chosen: Serialisation, registry: SchemaRegistry) -> None:
        self._chosen = chosen
        self._registry = registry
        self._schemas: dict[int, Schema] = {}

    def decode(self, content: bytes) -> bytes:
        if len(content) < _FRAME.size or content[0] != _MAGIC:
            raise failure(
                f"A record of {len(content)} bytes carries no schema id.",
                "It was not written with a registry: leave --schema-registry out and give the schema's file.",
            )
        schema_id = _FRAME.unpack_from(content)[1]
        if schema_id not in self._schemas:
            text = self._registry.find(schema_id, _REGISTRY_KINDS[self._chosen.format])
            self._schemas[schema_id] = load_schema(self._chosen.format, text, self._chosen.message)
        return _decoded(self._schemas[schema_id], content[_FRAME.size :], self._chosen.format, framed=True)


def _decoded(schema: Schema, payload: bytes, name: str, *, framed: bool) -> bytes:
    try:
        return schema.decode(payload, framed=framed).encode()
    except ValueError as error:
        raise failure(
            f"A record of {len(payload)} bytes is no {name}: {error}",
            "Is the schema the one it was written with? --skip-message-on-error passes over such records.",
        ) from error


def load_schema(name: str, text: str | None, message: str | None) -> Schema:
    """Return the schema of a format (but for strings), with its message if it is Protobuf. Raises LabError (usage)."""
    if name == "json":
        from cluster.console.json_format import JsonSchema

        return JsonSchema(text)
    assert text is not None, "only JSON goes without a schema"
    if name == "avro":
        from cluster.console.avro_format import AvroSchema

        return AvroSchema(text)
    from cluster.console.protobuf_format import ProtobufSchema

    return ProtobufSchema(text, message)


def _read(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"The schema {path} cannot be read: {error}", "Name a schema's text file.") from error


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
