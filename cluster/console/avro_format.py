"""Avro: binary in the record, Avro's JSON encoding on the line (a union's value names its branch: {"string": "x"})."""

from __future__ import annotations

import io
import json

from cluster.console.errors import usage


class AvroSchema:
    """One schema."""

    def __init__(self, text: str) -> None:
        """Raises LabError (usage) when the text is no Avro schema."""
        import fastavro
        from fastavro.schema import SchemaParseException, UnknownType

        self.text = text
        self._avro = fastavro
        try:
            self._schema = fastavro.parse_schema(json.loads(text))
        except (ValueError, TypeError, KeyError, SchemaParseException, UnknownType) as error:
            raise usage(f"The Avro schema is not one: {error}", "Write an .avsc file: avro.apache.org.") from error

    def encode(self, text: str, *, framed: bool) -> bytes:
        """Turn JSON into Avro; plain JSON is taken as well, without the names of branches. Raises ValueError."""
        value = json.loads(text)
        self._refuse_unknown_fields(value)
        output = io.BytesIO()
        try:
            encoded = next(self._avro.json_reader(io.StringIO(text), self._schema))
            self._avro.schemaless_writer(output, self._schema, encoded)
        except Exception:  # noqa: BLE001 # the library raises whatever its walk over the value runs into
            output = io.BytesIO()
            try:
                self._avro.schemaless_writer(output, self._schema, value, strict=True)
            except Exception as error:
                raise ValueError(str(error) or type(error).__name__) from error
        return output.getvalue()

    def _refuse_unknown_fields(self, value: object) -> None:
        """A misspelled field that has a default would go unseen: the library passes over what it does not know."""
        if not isinstance(value, dict) or not isinstance(self._schema, dict) or self._schema["type"] != "record":
            return
        known = [field["name"] for field in self._schema["fields"]]
        unknown = [name for name in value if name not in known]
        if unknown:
            raise ValueError(f"the schema has no field {unknown[0]}; it has {', '.join(known)}")

    def decode(self, payload: bytes, *, framed: bool) -> str:
        """Turn Avro into JSON. Raises ValueError, also when bytes are left over."""
        stream = io.BytesIO(payload)
        try:
            value = self._avro.schemaless_reader(stream, self._schema, None, return_record_name=True)
            output = io.StringIO()
            self._avro.json_writer(output, self._schema, [value])
        except Exception as error:
            raise ValueError(str(error) or type(error).__name__) from error
        if stream.tell() != len(payload):
            raise ValueError(f"{len(payload) - stream.tell()} bytes are left over")
        return json.dumps(json.loads(output.getvalue()), ensure_ascii=False, separators=(",", ":"))
