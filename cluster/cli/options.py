"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.lab.errors import USAGE, LabError
from cluster.lab.home import DEFAULT_NAME
from cluster.lab.quantities import parse_duration_us

NameOption = Annotated[str, typer.Option("--name", help="Which cluster, when there are several.", show_default=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT = DEFAULT_NAME


def duration_us(text: str, option: str) -> int:
    """Read a duration as scenarios write it, such as 300ms or 10s. Raises LabError (usage)."""
    try:
        return parse_duration_us(text)
    except ValueError:
        cause = f"{option} {text!r} is not a duration."
        raise LabError(cause, "Write a number and a unit, such as 300ms or 10s.", USAGE) from None


def share(text: str, option: str) -> float:
    """Read a share such as 20% or 0.2. Raises LabError (usage)."""
    number, percent = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    try:
        value = float(number) / percent
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise LabError(f"{option} {text!r} is not a share.", "Write 20% or 0.2.", USAGE)
    return value


def properties(texts: list[str], option: str) -> dict[str, str]:
    """Read `name=value` pairs. Raises LabError (usage)."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise LabError(f"{option} {name!r} has no value.", "Write name=value.", USAGE)
    return {name: value for name, _, value in pairs}
