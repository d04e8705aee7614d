"""`fencepost heal`: undo one fault, or all."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption
from cluster.cli.show import say, show_json
from cluster.lab.control import ask


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("heal")(heal)


def heal(
    fault: Annotated[str, typer.Argument(help="A fault's id, as `fencepost faults` lists them, or all.")] = "all",
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Undo a fault: links are mended, nodes that were killed, stopped or paused run again."""
    healed = ask(name, "heal", what=fault)
    if as_json:
        show_json(healed)
    elif healed:
        for row in healed:
            typer.echo(f"{row['id']} {row['verb']} {', '.join(row['targets'])}: healed")
    else:
        say("Nothing is broken.")
