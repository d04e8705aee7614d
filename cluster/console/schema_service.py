"""The schema registry's REST API (Confluent's), over one store.

Here: paths, bodies, statuses; one table of routes. Not supported: references between schemas, contexts, modes other
than READWRITE, data contracts. Not here: sockets (the command), rules (`schema_store`).
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from cluster.console.protobuf_format import ProtobufSchema
from cluster.console.schema_store import KINDS, RegistryError, SchemaStore, Version

Answer = tuple[int, Any]
"""The HTTP status and what becomes the JSON body."""

Handler = Callable[["SchemaService", dict[str, str], dict[str, str], Any], Any]


class SchemaService:
    """Answers requests one at a time; tells `on_change` after those that changed something. That may raise OSError."""

    def __init__(self, store: SchemaStore, on_change: Callable[[SchemaStore], None] = lambda _: None) -> None:
        self.store = store
        self._on_change = on_change

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Answer a request; `target` is the path with its query."""
        path, _, query = target.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        for route_method, pattern, handler in _ROUTES:
            match = pattern.fullmatch(path.rstrip("/") or "/")
            if match is None or route_method != method:
                continue
            named = {name: urllib.parse.unquote(value) for name, value in match.groupdict().items() if value}
            try:
                content = handler(self, named, asked, json.loads(body) if body else {})
            except RegistryError as error:
                status = error.code if error.code < 1000 else error.code // 100
                return status, {"error_code": error.code, "message": error.message}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return 422, {"error_code": 42201, "message": f"The request is not understood: {error!r}"}
            try:
                if method != "GET":
                    self._on_change(self.store)
            except OSError as error:
                message = f"Error in the backend data store: {error.strerror}"
                return 500, {"error_code": 50001, "message": message}
            return 200, content
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def described(self, subject: str, version: Version) -> dict[str, Any]:
        """Return a version as the API shows it."""
        kind, text = self.store.schema(version.schema_id)
        shown = {"subject": subject, "version": version.number, "id": version.schema_id, "schema": text}
        return shown if kind == "AVRO" else {**shown, "schemaType": kind}


def _is_true(asked: dict[str, str], name: str) -> bool:
    return asked.get(name, "").lower() == "true"


def _schema_of(body: dict[str, Any]) -> tuple[str, str]:
    if body.get("references"):
        raise RegistryError(42201, "Invalid schema: references between schemas are not supported")
    return str(body.get("schemaType") or "AVRO"), str(body["schema"])


def _subjects(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    prefix = asked.get("subjectPrefix", "")
    return [each for each in service.store.subjects(deleted=_is_true(asked, "deleted")) if each.startswith(prefix)]


def _versions(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    return service.store.versions(named["subject"], deleted=_is_true(asked, "deleted"))


def _version(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    version = service.store.version(named["subject"], named["version"], deleted=_is_true(asked, "deleted"))
    return service.described(named["subject"], version)


def _text(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    return json.loads(_version(service, named, asked, _)["schema"])


def _register(service: SchemaService, named: dict[str, str], asked: dict[str, str], body: Any) -> Any:
    return service.described(named["subject"], service.store.register(named["subject"], *_schema_of(body)))


def _find(service: SchemaService, named: dict[str, str], asked: dict[str, str], body: Any) -> Any:
    version = service.store.find(named["subject"], *_schema_of(body), deleted=_is_true(asked, "deleted"))
    return service.described(named["subject"], version)


def _by_id(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    kind, text = service.store.schema(int(named["id"]))
    if kind == "PROTOBUF" and asked.get("format") == "serialized":
        text = ProtobufSchema(text, None).descriptor()
    return {"schema": text} if kind == "AVRO" else {"schema": text, "schemaType": kind}


def _places(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    places = service.store.places(int(named["id"]))
    return [{"subject": subject, "version": version} for subject, version in places]


def _delete_subject(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    return service.store.delete_subject(named["subject"], permanent=_is_true(asked, "permanent"))


def _delete_version(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    permanent = _is_true(asked, "permanent")
    return service.store.delete_version(named["subject"], named["version"], permanent=permanent)


def _compatible(service: SchemaService, named: dict[str, str], asked: dict[str, str], body: Any) -> Any:
    number = named.get("version")
    if number is not None:
        service.store.version(named["subject"], number)
    problems = service.store.problems(named["subject"], *_schema_of(body), number)
    messages = {"messages": problems} if _is_true(asked, "verbose") else {}
    return {"is_compatible": not problems, **messages}


def _level(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    subject = named.get("subject")
    level = service.store.level(subject)
    if level is None and _is_true(asked, "defaultToGlobal"):
        level = service.store.level(None)
    if level is None:
        raise RegistryError(40408, f"Subject '{subject}' does not have subject-level compatibility configured")
    return {"compatibilityLevel": level}


def _set_level(service: SchemaService, named: dict[str, str], asked: dict[str, str], body: Any) -> Any:
    service.store.set_level(named.get("subject"), str(body["compatibility"]))
    return {"compatibility": str(body["compatibility"]).upper()}


def _reset_level(service: SchemaService, named: dict[str, str], asked: dict[str, str], _: Any) -> Any:
    before = service.store.level(named.get("subject"))
    service.store.reset_level(named.get("subject"))
    return {"compatibilityLevel": before or service.store.level(None)}


_ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), handler)
    for method, path, handler in (
        ("GET", "/", lambda *_: {}),
        ("GET", "/subjects", _subjects),
        ("POST", "/subjects/{subject}", _find),
        ("DELETE", "/subjects/{subject}", _delete_subject),
        ("GET", "/subjects/{subject}/versions", _versions),
        ("POST", "/subjects/{subject}/versions", _register),
        ("GET", "/subjects/{subject}/versions/{version}", _version),
        ("DELETE", "/subjects/{subject}/versions/{version}", _delete_version),
        ("GET", "/subjects/{subject}/versions/{version}/schema", _text),
        ("GET", "/schemas/types", lambda *_: sorted(KINDS)),
        ("GET", "/schemas/ids/{id}", _by_id),
        ("GET", "/schemas/ids/{id}/versions", _places),
        ("POST", "/compatibility/subjects/{subject}/versions", _compatible),
        ("POST", "/compatibility/subjects/{subject}/versions/{version}", _compatible),
        ("GET", "/config", _level),
        ("PUT", "/config", _set_level),
        ("DELETE", "/config", _reset_level),
        ("GET", "/config/{subject}", _level),
        ("PUT", "/config/{subject}", _set_level),
        ("DELETE", "/config/{subject}", _reset_level),
        ("GET", "/mode", lambda *_: {"mode": "READWRITE"}),
        ("GET", "/mode/{subject}", lambda *_: {"mode": "READWRITE"}),
    )
)
