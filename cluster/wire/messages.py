"""Messages by API key and version, through kio: requests in, responses out.

Here: which versions there are, decoding of requests, composing and encoding of responses. Not here: Produce and
Fetch, whose record bytes must not be copied (`produce`, `fetch`).

kio has a class for each version of each message. A handler does not want to know: it answers with plain mappings
that hold the fields of the newest version, and what an older version lacks is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from io import BytesIO
from struct import Struct
from typing import Any, get_args, get_origin

from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.schema.index import api_key_map, schema_name_map
from kio.serial import entity_writer

from cluster.base.errors import ErrorCode
from cluster.base.ports import Buffer
from cluster.wire.headers import API_VERSIONS_KEY
from cluster.wire.primitives import Cursor
from cluster.wire.schema import default_of, prepare_reader, read_message

_REQUEST_HEADER = Struct(">hhih")

Message = Any
"""A decoded request: an instance of kio's class for its version, with the fields of that version."""

Fields = Mapping[str, Any]
"""A response, or a part of one, as field names and values; parts are mappings in turn, arrays are sequences."""


@lru_cache(maxsize=128)
def version_range(api_key: int) -> tuple[int, int]:
    """Return the oldest and the newest version that kio knows of an API."""
    versions = schema_name_map[api_key_map[api_key]]
    return min(versions), max(versions)


@lru_cache(maxsize=1024)
def is_flexible(api_key: int, version: int) -> bool:
    """Whether a version has compact lengths and tagged fields (KIP-482)."""
    return bool(load_request_schema(api_key, version).__flexible__)


def decode_request(api_key: int, version: int, body: Buffer) -> Message:
    """Read a request's body. Bytes after it are ignored, as Kafka does. Raises MalformedMessage."""
    return read_message(load_request_schema(api_key, version), Cursor(body))


def encode_response(api_key: int, version: int, response: Fields) -> bytes:
    """Write a response's body, without the header."""
    message_class = load_response_schema(api_key, version)
    is_newest = version == version_range(api_key)[1]
    buffer = BytesIO()
    entity_writer(message_class)(buffer, compose(message_class, response, is_newest))
    return buffer.getvalue()


def encode_request(api_key: int, version: int, correlation_id: int, client_id: str, request: Fields) -> bytes:
    """Write a whole request with its header, without the frame's size; for who asks a broker something."""
    message_class = load_request_schema(api_key, version)
    buffer = BytesIO()
    name = client_id.encode()
    buffer.write(_REQUEST_HEADER.pack(api_key, version, correlation_id, len(name)) + name)
    if message_class.__flexible__:
        buffer.write(b"\0")
    is_newest = version == version_range(api_key)[1]
    entity_writer(message_class)(buffer, compose(message_class, request, is_newest))
    return buffer.getvalue()


def decode_response(api_key: int, version: int, frame: Buffer) -> Message:
    """Read an answer with its header. Raises MalformedMessage."""
    message_class = load_response_schema(api_key, version)
    cursor = Cursor(frame, 4)
    if message_class.__flexible__ and api_key != API_VERSIONS_KEY:  # its header is older
        cursor.tags()
    return read_message(message_class, cursor)


def compose(message_class: Any, values: Fields, is_newest: bool) -> Any:
    """Build kio's object, leaving out what this version does not have and filling in what was not given.

    `is_newest` says that the version has all fields there are, so that an unknown one is a mistake.
    """
    shape = _shape_of(message_class)
    given: dict[str, Any] = {}
    for name, (part_class, default) in shape.items():
        if name not in values:
            given[name] = default
        else:
            given[name] = _value(part_class, values[name], is_newest)
    # A misspelt field would be dropped in silence; the newest version has them all.
    assert not is_newest or all(name in shape for name in values), (message_class, list(values))
    return message_class(**given)


def _value(part_class: type[Any] | None, value: Any, is_newest: bool) -> Any:
    if part_class is not None and value is not None:
        if isinstance(value, Mapping):
            return compose(part_class, value, is_newest)
        return tuple([compose(part_class, part, is_newest) for part in value])
    if isinstance(value, ErrorCode):
        return KioErrorCode(value.value)
    return value


@lru_cache(maxsize=1024)
def _shape_of(message_class: Any) -> dict[str, tuple[type[Any] | None, Any]]:
    """Return for each field the class of its parts (None for a plain value) and its default."""
    shape: dict[str, tuple[type[Any] | None, Any]] = {}
    for field in fields(message_class):
        is_error = field.metadata.get("kafka_type") == "error_code"
        default = KioErrorCode.none if is_error else default_of(field)
        shape[field.name] = (part_class_of(field.type), default)
    return shape


def part_class_of(kind: Any) -> type[Any] | None:
    """Return the class of a field's parts, None for a field that holds a plain value or plain values."""
    candidates = [kind, *get_args(kind)]
    for candidate in candidates:
        inner = get_args(candidate)[0] if get_origin(candidate) is tuple else candidate
        if is_dataclass(inner) and isinstance(inner, type):
            return inner
    return None


def load_schemas(api_key: int, versions: range) -> None:
    """Load and compile kio's classes now instead of at the first request, as a process does before it forks."""
    for version in versions:
        request_class = load_request_schema(api_key, version)
        response_class = load_response_schema(api_key, version)
        prepare_reader(request_class)
        entity_writer(response_class)
