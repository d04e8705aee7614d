"""`fencepost faults`: what is broken now, whom it meant, since when and until when; or all that can be broken."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption
from cluster.cli.show import say, show_json, show_table
from cluster.lab.catalogue import BY_VERB, CATALOGUE
from cluster.lab.control import ask


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("faults")(faults)


def faults(
    name: NameOption = DEFAULT,
    catalogue: Annotated[bool, typer.Option("--catalogue", help="List every fault there is instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the active faults."""
    if catalogue:
        _show_catalogue(as_json)
        return
    rows = ask(name, "faults")
    if as_json:
        show_json(rows)
    elif rows:
        header = ("FAULT", "VERB", "ASKED", "TARGETS", "SINCE", "UNTIL")
        show_table(header, [_line(row) for row in rows])
    else:
        say("Nothing is broken.")


def _show_catalogue(as_json: bool) -> None:
    if as_json:
        show_json([asdict(kind) for kind in CATALOGUE])
        return
    for group in dict.fromkeys(kind.group for kind in CATALOGUE):
        typer.echo(f"{group}:")
        for kind in CATALOGUE:
            if kind.group == group:
                typer.echo(f"  {kind.verb:16} {kind.text}")
                details = [f"options: {', '.join(kind.options)}"] if kind.options else []
                details += [f"such as: {kind.example}"] if kind.example else []
                details += [f"but: {kind.limits}"] if kind.limits else []
                details += [f"on {', '.join(kind.on)} only"] if len(kind.on) < 2 else []
                for detail in details:
                    typer.echo(f"  {'':16}   {detail}")


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    now_ms = time.time_ns() // 1_000_000
    until = "healed" if row["until_ms"] is None else f"in {max(0, row['until_ms'] - now_ms) / 1000:.0f} s"
    since = f"{(now_ms - row['since_ms']) / 1000:.0f} s ago"
    joint = " -> " if BY_VERB[row["verb"]].takes == "link" else " | "
    return row["id"], row["verb"], joint.join(row["selectors"]), row["targets"], since, until
