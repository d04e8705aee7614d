"""JSON, with or without a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from cluster.console.errors import usage


class JsonSchema:
    """Checks that values are JSON, and when there is a schema that they fit it."""

    def __init__(self, text: str | None) -> None:
        """Raises LabError (usage) when the text is no JSON Schema."""
        self.text = text or ""
        self._validator: Any = None
        if text is not None:
            from jsonschema import SchemaError
            from jsonschema.validators import validator_for

            try:
                schema = json.loads(text)
                kind = validator_for(schema)
                kind.check_schema(schema)
            except (ValueError, SchemaError) as error:
                raise usage(f"The JSON Schema is not one: {_first_line(error)}", "See json-schema.org.") from error
            self._validator = kind(schema)

    def encode(self, text: str, *, framed: bool) -> bytes:
        """Return the line as it is. Raises ValueError when it does not fit."""
        self._check(json.loads(text))
        return text.encode()

    def decode(self, payload: bytes, *, framed: bool) -> str:
        """Return the value on one line. Raises ValueError when it does not fit."""
        value = json.loads(payload)
        self._check(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def _check(self, value: object) -> None:
        if self._validator is None:
            return
        error = next(self._validator.iter_errors(value), None)
        if error is not None:
            raise ValueError(f"{error.json_path}: {error.message}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
