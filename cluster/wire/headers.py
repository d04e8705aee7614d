"""What precedes each message: the request's header, the response's header.

Here: reading the one and writing the other, by hand, since they come with every request.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from cluster.base.ports import Buffer
from cluster.wire.primitives import Cursor, MalformedMessage

API_VERSIONS_KEY = 18

_REQUEST = Struct(">hhih")
_RESPONSE = Struct(">ii")
_RESPONSE_WITH_TAGS = Struct(">iix")


class RequestHeader(NamedTuple):
    """The first bytes of every request. `size_bytes` is how long the part is whose form all versions share."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str | None
    size_bytes: int


def read_request_header(frame: memoryview) -> RequestHeader:
    """Read key, version, correlation id and client id. Tagged fields, if any, follow. Raises MalformedMessage.

    The client id has a 16-bit length in all versions, so this much can be read even of a version we do not know.
    """
    try:
        api_key, version, correlation_id, length = _REQUEST.unpack_from(frame)
    except struct_error as error:
        raise MalformedMessage(f"a request of {len(frame)} bytes has no room for its header") from error
    if length <= 0:
        if length < -1:
            raise MalformedMessage(f"a client id of {length} bytes")
        return RequestHeader(api_key, version, correlation_id, None if length < 0 else "", _REQUEST.size)
    end = _REQUEST.size + length
    if end > len(frame):
        raise MalformedMessage("the client id reaches past the end of the request")
    try:
        client_id = str(frame[_REQUEST.size : end], "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage("the client id is not UTF-8") from error
    return RequestHeader(api_key, version, correlation_id, client_id, end)


def body_of(frame: memoryview, header: RequestHeader, flexible: bool) -> memoryview:
    """Return what follows the header, whose tagged fields are skipped. Raises MalformedMessage."""
    if not flexible:
        return frame[header.size_bytes :]
    cursor = Cursor(frame, header.size_bytes)
    cursor.tags()
    return frame[cursor.position :]


def frame_response(api_key: int, flexible: bool, correlation_id: int, body: Sequence[Buffer]) -> list[Buffer]:
    """Return the chunks of a whole frame: size, header, body.

    ApiVersions answers without tagged fields whatever its version, so that any client can read the answer.
    """
    size_bytes = sum(map(len, body))
    if flexible and api_key != API_VERSIONS_KEY:
        head = _RESPONSE_WITH_TAGS.pack(size_bytes + 5, correlation_id)
    else:
        head = _RESPONSE.pack(size_bytes + 4, correlation_id)
    return [head, *body]
