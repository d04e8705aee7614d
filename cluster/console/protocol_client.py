"""A small client of the Kafka protocol, for what the client library has no calls for: one request at a time, blocking.

Here: connecting, agreeing on versions, asking any broker or a certain one. Not here: what the answers mean. Errors
within an answer are its reader's; what goes wrong on the way is a LabError with a remedy.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.console.errors import failure, remedy_for, usage
from cluster.wire import Fields, MalformedMessage, decode_response, encode_request, version_range

API_VERSIONS, METADATA = 18, 3

_CLIENT_ID = "fencepost-admin"


@dataclass(frozen=True, slots=True)
class Node:
    """A broker, and where its clients find it."""

    node_id: int
    host: str
    port: int
    rack: str | None


class _Line:
    """One connection, which knows the versions that its broker serves."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._number = 0
        try:
            answer = self.ask(API_VERSIONS, 0, {})
        except BaseException:  # Ctrl-C as well: nobody else knows of the socket yet
            self.close()
            raise
        self._newest: Mapping[int, int] = {api.api_key: api.max_version for api in answer.api_keys}

    def version(self, api_key: int) -> int:
        """Return the newest version that both sides have. Raises LabError when the broker has none."""
        oldest, newest = version_range(api_key)
        version = min(newest, self._newest.get(api_key, -1))
        if version < oldest:
            raise failure(
                f"The broker does not serve API {api_key}.",
                "Ask a newer broker, or one that `fencepost up` started without --as-version.",
            )
        return version

    def ask(self, api_key: int, version: int, fields: Fields) -> Any:
        self._number += 1
        try:
            request = encode_request(api_key, version, self._number, _CLIENT_ID, fields)
        except struct.error as error:  # what is asked comes from a command line
            raise usage(f"A number is too large for the request: {error}.", "Give a smaller one.") from error
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._read(4))
        return decode_response(api_key, version, self._read(size))

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the broker closed the connection")
            data += part
        return bytes(data)


class ProtocolClient:
    """Asks brokers. Use it in a `with` statement; all calls raise LabError."""

    def __init__(self, bootstrap: str, timeout_ms: int) -> None:
        addresses = (address.strip().rpartition(":") for address in bootstrap.split(","))
        self._addresses = [(host.strip("[]"), int(port)) for host, _, port in addresses]  # IPv6 stands in brackets
        self._timeout_s = timeout_ms / 1000
        self._any: _Line | None = None

    def __enter__(self) -> ProtocolClient:
        return self

    def __exit__(self, *_: object) -> None:
        if self._any is not None:
            self._any.close()

    def ask(self, api_key: int, fields: Fields) -> Any:
        """Ask whichever broker answers first, and the same one from then on."""
        try:
            line = self._line()
            return line.ask(api_key, line.version(api_key), fields)
        except (OSError, MalformedMessage) as error:
            raise self._unreachable(error) from error

    def ask_node(self, node: Node, api_key: int, fields: Fields) -> Any:
        """Ask a certain broker."""
        try:
            line = _Line(node.host, node.port, self._timeout_s)
            try:
                return line.ask(api_key, line.version(api_key), fields)
            finally:
                line.close()
        except (OSError, MalformedMessage) as error:
            raise failure(f"Broker {node.node_id} does not answer: {error}.", remedy_for("_TRANSPORT")) from error

    def nodes(self) -> list[Node]:
        """Return the live brokers, by id."""
        answer = self.ask(METADATA, {"topics": ()})
        found = [Node(broker.node_id, broker.host, broker.port, broker.rack) for broker in answer.brokers]
        return sorted(found, key=lambda node: node.node_id)

    def _line(self) -> _Line:
        refusals: list[OSError] = []
        for host, port in self._addresses if self._any is None else ():
            try:
                self._any = _Line(host, port, self._timeout_s)
                break
            except OSError as error:
                refusals.append(error)
        if self._any is None:
            raise refusals[-1]
        return self._any

    def _unreachable(self, error: Exception) -> Exception:
        servers = ",".join(f"{host}:{port}" for host, port in self._addresses)
        return failure(f"No broker answers at {servers}: {error}.", remedy_for("_TRANSPORT"))


def check(error_code: Any, message: str | None, doing: str) -> None:
    """Raise LabError when an answer carries an error."""
    error = ErrorCode(error_code)
    if error is not ErrorCode.NONE:
        raise failure(f"{doing}: {error.name} {message or ''}".rstrip(), remedy_for(error.name))
