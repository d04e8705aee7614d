"""`fencepost validate`: say what is wrong with scenarios without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.run import load, tell
from cluster.lab.errors import USAGE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate")(validate)


def validate(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenarios.")]) -> None:
    """Check scenarios and all their variants: keys, names, selectors, steps, configs."""
    from cluster.scenario import ScenarioError, make_all_plans

    code = 0
    for file in files:
        try:
            plans = make_all_plans(load(file))
        except ScenarioError as error:
            code = USAGE
            tell(file, error.problems)
        else:
            variants = "1 variant" if len(plans) == 2 else f"{len(plans) - 1} variants"
            typer.echo(f"{file}: sound, with {variants}")
    raise typer.Exit(code)
