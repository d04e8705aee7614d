"""`fencepost schema`: the scenario language as a JSON Schema, for editors that complete and check YAML."""

from __future__ import annotations

import json

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema")(schema)


def schema() -> None:
    """Print the JSON Schema of scenarios. In VS Code's settings, yaml.schemas takes the file that it is kept in."""
    from cluster.scenario import json_schema

    print(json.dumps(json_schema(), indent=2))
