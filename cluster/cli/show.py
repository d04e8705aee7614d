"""How commands show things: JSON when asked, otherwise lines and columns that a person and `awk` can both read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def show_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    typer.echo(json.dumps(value, indent=2))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns under their names; what is unknown or empty is a dash."""
    texts = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
    for row in texts:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output."""
    for line in lines:
        typer.echo(line)


def say(text: str) -> None:
    """Talk to the person, on standard error."""
    typer.echo(text, err=True)


def _cell(value: object) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)
