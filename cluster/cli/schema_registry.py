"""`fencepost schema-registry`: a registry that speaks Confluent's REST API, for serialisers and the console tools.

It is a process of its own, not part of the cluster: schemas are kept in a file, or in memory only.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli.show import say
from cluster.console.errors import failure, usage

if TYPE_CHECKING:
    from cluster.console.schema_service import SchemaService
    from cluster.console.schema_store import SchemaStore

PortOption = Annotated[int, typer.Option(help="Where to listen; 0: any free port.")]
HostOption = Annotated[str, typer.Option(help="On which address.")]
FileOption = Annotated[Path | None, typer.Option("--file", help="Keep the schemas here.", metavar="FILE")]

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema-registry")(schema_registry)


def schema_registry(*, port: PortOption = 8081, host: HostOption = "127.0.0.1", file: FileOption = None) -> None:
    """Serve a schema registry until Ctrl-C."""
    from cluster.console.schema_service import SchemaService
    from cluster.console.schema_store import SchemaStore

    store = SchemaStore() if file is None or not file.exists() else _load(file)
    service = SchemaService(store, lambda changed: None if file is None else _save(file, changed))
    try:
        server = make_server(service, host, port)
    except OSError as error:
        raise failure(f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another --port, or 0.") from error
    with server:
        typer.echo(f"http://{host}:{server.server_address[1]}")
        say("Ctrl-C stops it." if file else "Ctrl-C stops it; schemas are kept in memory only (--file keeps them).")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def make_server(service: SchemaService, host: str, port: int) -> ThreadingHTTPServer:
    """Return the server, listening. Raises OSError."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                status, content = service.answer(self.command, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing of requests."""

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def _load(file: Path) -> SchemaStore:
    from cluster.console.schema_store import SchemaStore

    try:
        return SchemaStore.from_json(json.loads(file.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise usage(
            f"{file} holds no schemas: {error}", "Name a file that this command wrote, or a new one."
        ) from error


def _save(file: Path, store: SchemaStore) -> None:
    """Write everything next to the file and put it in its place, so that a crash leaves one or the other."""
    pending = file.with_name(file.name + ".new")
    pending.write_text(json.dumps(store.to_json()))
    pending.replace(file)
