"""Messages read by kio's schemas: kio's message classes, its field types, but not its decoder.

Here: a reader compiled once for each message class. Not here: writing (`messages`), Produce and Fetch.

Why not kio's decoder (0.6.5)? It is faster, but it serves a client, which trusts its broker. It allocates whatever
an array's length asks for, so that five bytes from anybody abort the process, and it raises KeyError on a tagged
field that it does not know, where the protocol says to skip it (KIP-482).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from cluster.base.errors import ErrorCode
from cluster.wire.primitives import INT8, INT16, INT32, INT64, Cursor, MalformedMessage

Read = Callable[[Cursor], Any]


def read_message(message_class: Any, cursor: Cursor) -> Any:
    """Read one message and return an instance of kio's class. Raises MalformedMessage."""
    return _reader_of(message_class)(cursor)


def prepare_reader(message_class: Any) -> None:
    """Compile the reader of a message before it is needed."""
    _reader_of(message_class)


@lru_cache(maxsize=1024)
def _reader_of(entity: Any) -> Read:
    plain = [(field.name, _field_reader(entity, field)) for field in fields(entity) if "tag" not in field.metadata]
    tagged = {
        field.metadata["tag"]: (field.name, _field_reader(entity, field))
        for field in fields(entity)
        if "tag" in field.metadata
    }
    flexible: bool = entity.__flexible__

    def read(cursor: Cursor) -> Any:
        values = {name: read_field(cursor) for name, read_field in plain}
        if flexible:
            for tag, value in cursor.tags():
                if tag in tagged:  # others come from a newer client and mean nothing to us
                    name, read_field = tagged[tag]
                    values[name] = read_field(Cursor(value))
        return entity(**values)

    return read


def _field_reader(entity: type[Any], field: Field[Any]) -> Read:
    flexible: bool = entity.__flexible__
    # What is tagged and absent is left out; a value that is there is never null.
    kind, optional = _without_none(field.type)
    if get_origin(kind) is not tuple:
        return _value_reader(field, kind, optional, flexible)
    element, element_optional = _without_none(get_args(kind)[0])
    # kio writes the null of an array of primitives on its element.
    optional = optional or (element_optional and not is_dataclass(element))
    read_element = _value_reader(field, element, False, flexible)

    def read_array(cursor: Cursor) -> tuple[Any, ...] | None:
        count = cursor.count(flexible)
        if count < 0:
            if optional:
                return None
            raise MalformedMessage(f"{field.name} must not be null")
        return tuple([read_element(cursor) for _ in range(count)])

    return read_array


def _value_reader(field: Field[Any], kind: Any, optional: bool, flexible: bool) -> Read:
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _nullable_structure(_reader_of(kind)) if optional else _reader_of(kind)
    name: str = field.metadata["kafka_type"]
    if name == "string":
        return lambda cursor: _not_null(field, cursor.string(flexible), optional)
    if name in ("bytes", "records"):
        return lambda cursor: _not_null(field, _copied(cursor.data(flexible)), optional)
    return _FIXED[name]


def _not_null(field: Field[Any], value: Any, optional: bool) -> Any:
    if value is None and not optional:
        raise MalformedMessage(f"{field.name} must not be null")
    return value


def _copied(view: memoryview | None) -> bytes | None:
    return None if view is None else bytes(view)


def _nullable_structure(read: Read) -> Read:
    """A structure that may be null is preceded by one byte, negative for null (KIP-893)."""
    return lambda cursor: None if cursor.number(INT8) < 0 else read(cursor)


def _without_none(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) is not UnionType:
        return kind, False
    inner = [part for part in get_args(kind) if part is not NoneType]
    assert len(inner) == 1, kind
    return inner[0], True


def _uuid(cursor: Cursor) -> Any:
    value = cursor.topic_id()
    return value if value.int else None


def _milliseconds(cursor: Cursor) -> timedelta:
    return timedelta(milliseconds=cursor.number(INT32))


def _long_milliseconds(cursor: Cursor) -> timedelta:
    """A duration that has 64 bits in the protocol; what is longer than Python can say is as good as for ever."""
    return timedelta(milliseconds=max(min(cursor.number(INT64), _DURATION_MS_MAX), -_DURATION_MS_MAX))


_DURATION_MS_MAX = 86_399_999_913_600_000
"""What `timedelta` can say in both directions, 2.7 million years."""


def _error_code(cursor: Cursor) -> ErrorCode:
    """An error that a newer broker may have and we have no name for is an error all the same."""
    number = cursor.number(INT16)
    return ErrorCode(number) if number in _ERROR_CODES else ErrorCode.UNKNOWN_SERVER_ERROR


_ERROR_CODES = frozenset(error.value for error in ErrorCode)

_FIXED: dict[str, Read] = {
    "bool": lambda cursor: cursor.number(INT8) != 0,
    "int8": lambda cursor: cursor.number(INT8),
    "int16": lambda cursor: cursor.number(INT16),
    "int32": lambda cursor: cursor.number(INT32),
    "int64": lambda cursor: cursor.number(INT64),
    "float64": Cursor.float64,
    "error_code": _error_code,
    "uint16": lambda cursor: cursor.number(INT16) & 0xFFFF,
    "uuid": _uuid,
    "timedelta_i32": _milliseconds,
    "timedelta_i64": _long_milliseconds,
    # Milliseconds since 1970 as they are: kio's own type has no place for the -1 of what never was.
    "datetime_i64": lambda cursor: cursor.number(INT64),
}


def default_of(field: Field[Any]) -> Any:
    """Return what a field of a response holds when the handler says nothing: kio's default, else zero or empty."""
    if field.default is not MISSING:
        return field.default
    kind, optional = _without_none(field.type)
    if get_origin(kind) is tuple:
        return None if optional else ()
    if optional:
        return None
    return _ZERO.get(field.metadata.get("kafka_type", ""), 0)


_ZERO: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "timedelta_i32": timedelta(0), "float64": 0.0}
