"""The options that say how keys and values are written: Fencepost's own, next to Kafka's flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_FORMATS = "string, json, avro or protobuf."

KeyFormatOption = Annotated[str, typer.Option("--key-format", help=f"How keys are written: {_FORMATS}")]
ValueFormatOption = Annotated[str, typer.Option("--value-format", help=f"How values are written: {_FORMATS}")]
KeySchemaOption = Annotated[
    Path | None, typer.Option("--key-schema", help="The keys' schema: .avsc, JSON Schema, .proto.", metavar="FILE")
]
ValueSchemaOption = Annotated[
    Path | None, typer.Option("--value-schema", help="The values' schema: .avsc, JSON Schema, .proto.", metavar="FILE")
]
KeyMessageOption = Annotated[
    str | None, typer.Option("--key-message", help="Which message of a .proto keys are; the first one.")
]
ValueMessageOption = Annotated[
    str | None, typer.Option("--value-message", help="Which message of a .proto values are; the first one.")
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--schema-registry",
        help="A registry's URL: schemas are kept there, and records carry their ids (Confluent's wire format).",
        metavar="URL",
    ),
]
