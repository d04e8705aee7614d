"""The two calls of Confluent's schema registry that the console tools make, over its REST API."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from cluster.console.errors import failure, usage

TIMEOUT_S = 10.0
_CONTENT = "application/vnd.schemaregistry.v1+json"


class SchemaRegistry:
    """One registry, by its URL; a name and a password may stand in the URL."""

    def __init__(self, url: str) -> None:
        """Raises LabError (usage) when it is no URL."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise usage(f"{url!r} is not a registry's URL.", "Write http://host:port.")
        host = parts.netloc.rpartition("@")[2]
        self._base = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._headers = {"Accept": _CONTENT, "Content-Type": _CONTENT}
        if parts.username:
            secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"

    def register(self, subject: str, kind: str, text: str) -> int:
        """Register a schema (AVRO, JSON, PROTOBUF) under a subject; return its id. Raises LabError."""
        body: dict[str, str] = {"schema": text} if kind == "AVRO" else {"schema": text, "schemaType": kind}
        path = f"/subjects/{urllib.parse.quote(subject, safe='')}/versions"
        return int(self._call("POST", path, body)["id"])

    def find(self, schema_id: int, kind: str) -> str:
        """Return the text of a schema. Raises LabError when there is none, or it is of another kind."""
        found = self._call("GET", f"/schemas/ids/{schema_id}", None)
        if found.get("schemaType", "AVRO") != kind:
            raise failure(
                f"The schema {schema_id} is {found.get('schemaType', 'AVRO')}, not {kind}.",
                "Choose --key-format or --value-format to match.",
            )
        return str(found["schema"])

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise failure(
                f"The schema registry refuses {method} {path}: {_reason(error)}", "The reason is the registry's own."
            ) from error
        except (OSError, ValueError) as error:
            raise failure(f"No schema registry answers at {self._base}: {error}", "Is its URL right?") from error


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
