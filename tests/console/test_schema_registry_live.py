"""The registry's client speaks Confluent's REST API: paths, bodies, errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from google.protobuf.message_factory import GetMessageClass

from cluster.cli.schema_registry import make_server
from cluster.console.protobuf_format import ProtobufSchema
from cluster.console.schema_registry import SchemaRegistry
from cluster.console.schema_service import SchemaService
from cluster.console.schema_store import SchemaStore
from cluster.console.serialisation import Serialisation, make_decoder, make_encoder
from cluster.lab import LabError

pytestmark = pytest.mark.live


class Registry(BaseHTTPRequestHandler):
    """Answers from a table and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, object, str | None]]] = []
    answers: ClassVar[dict[str, tuple[int, object]]] = {
        "/subjects/a%2Fb-value/versions": (200, {"id": 7}),
        "/schemas/ids/7": (200, {"schema": '"string"'}),
        "/schemas/ids/8": (200, {"schema": "{}", "schemaType": "JSON"}),
        "/schemas/ids/9": (404, {"error_code": 40403, "message": "Schema 9 not found"}),
    }

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(
            (self.command, self.path, json.loads(body) if body else None, self.headers.get("Authorization"))
        )
        code, content = self.answers[self.path]
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_schema_is_registered_and_found(address: str) -> None:
    registry = SchemaRegistry(f"http://me:secret@{address}/")
    assert registry.register("a/b-value", "AVRO", '"string"') == 7
    assert registry.register("a/b-value", "PROTOBUF", "x") == 7
    assert registry.find(7, "AVRO") == '"string"'
    assert registry.find(8, "JSON") == "{}"
    assert Registry.asked[:3] == [
        ("POST", "/subjects/a%2Fb-value/versions", {"schema": '"string"'}, "Basic bWU6c2VjcmV0"),
        ("POST", "/subjects/a%2Fb-value/versions", {"schema": "x", "schemaType": "PROTOBUF"}, "Basic bWU6c2VjcmV0"),
        ("GET", "/schemas/ids/7", None, "Basic bWU6c2VjcmV0"),
    ]


def test_what_goes_wrong_is_told_in_the_registrys_words(address: str) -> None:
    with pytest.raises(LabError, match="Schema 9 not found"):
        SchemaRegistry(f"http://{address}").find(9, "AVRO")
    with pytest.raises(LabError, match="The schema 8 is JSON, not AVRO"):
        SchemaRegistry(f"http://{address}").find(8, "AVRO")
    with pytest.raises(LabError, match="No schema registry answers"):
        SchemaRegistry("http://127.0.0.1:1").find(1, "AVRO")


def test_confluents_own_serialisers_work_unchanged(tmp_path: Path) -> None:
    client_room = pytest.importorskip("confluent_kafka.schema_registry", reason="the client's extras are not installed")
    avro = pytest.importorskip("confluent_kafka.schema_registry.avro", reason="the client's extras are not installed")
    jsons = pytest.importorskip("confluent_kafka.schema_registry.json_schema")
    serialization = pytest.importorskip("confluent_kafka.serialization")
    protobuf = pytest.importorskip("confluent_kafka.schema_registry.protobuf")
    with make_server(SchemaService(SchemaStore()), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = client_room.SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_address[1]}"})
        place = serialization.SerializationContext("orders", serialization.MessageField.VALUE)
        schema = '{"type": "record", "name": "R", "fields": [{"name": "id", "type": "int"}]}'
        content = avro.AvroSerializer(client, schema)({"id": 7}, place)
        assert content[:5] == b"\0\0\0\0\1"
        assert avro.AvroDeserializer(client)(content, place) == {"id": 7}
        key = serialization.SerializationContext("orders", serialization.MessageField.KEY)
        json_schema = '{"title": "T", "type": "object", "properties": {"id": {"type": "integer"}}}'
        content = jsons.JSONSerializer(json_schema, client)({"id": 7}, key)
        assert jsons.JSONDeserializer(json_schema, schema_registry_client=client)(content, key) == {"id": 7}
        other = serialization.SerializationContext("times", serialization.MessageField.VALUE)
        proto = tmp_path / "m.proto"
        proto.write_text('syntax = "proto3"; message M { int32 a = 1; message N { int32 b = 1; } }')
        kind = GetMessageClass(ProtobufSchema(proto.read_text(), None).messages()["M.N"])
        content = protobuf.ProtobufSerializer(kind, client)(kind(b=3), other)
        read = protobuf.ProtobufDeserializer(kind, schema_registry_client=client)
        assert read(content, other).b == 3
        tool = Serialisation("protobuf", proto, "N", f"http://127.0.0.1:{server.server_address[1]}")
        decode = make_decoder(tool)
        assert decode is not None
        assert decode(content) == b'{"b":3}'
        assert read(make_encoder(tool, "tools-value")('{"b": 4}'), other).b == 4
        assert client.get_subjects() == ["orders-key", "orders-value", "times-value", "tools-value"]
        assert client.get_latest_version("orders-value").version == 1
        assert client.test_compatibility("orders-value", client_room.Schema(schema, "AVRO"))
        server.shutdown()
