"""`fencepost faults`: what is broken now, whom it meant, since when and until when."""

from __future__ import annotations

import time
from typing import Any

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption
from cluster.cli.show import say, show_json, show_table
from cluster.lab.control import ask


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("faults")(faults)


def faults(name: NameOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the active faults."""
    rows = ask(name, "faults")
    if as_json:
        show_json(rows)
    elif rows:
        header = ("FAULT", "VERB", "ASKED", "TARGETS", "SINCE", "UNTIL")
        show_table(header, [_line(row) for row in rows])
    else:
        say("Nothing is broken.")


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    now_ms = time.time_ns() // 1_000_000
    until = "healed" if row["until_ms"] is None else f"in {max(0, row['until_ms'] - now_ms) / 1000:.0f} s"
    since = f"{(now_ms - row['since_ms']) / 1000:.0f} s ago"
    joint = " -> " if row["verb"] in ("slow", "drop") else " | "
    return row["id"], row["verb"], joint.join(row["selectors"]), row["targets"], since, until
