"""Options that several commands share, and the reading of quantities with units."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from cluster.lab.errors import USAGE, LabError
from cluster.lab.home import DEFAULT_NAME

NameOption = Annotated[str, typer.Option("--name", help="Which cluster, when there are several.", show_default=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT = DEFAULT_NAME

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}


def duration_ms(text: str, option: str) -> float:
    """Read a duration with its unit, such as 300ms or 10s. Raises LabError (usage)."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise LabError(
            f"{option} {text!r} is not a duration.", "Write a number and a unit, such as 300ms or 10s.", USAGE
        )
    return float(match[1]) * _MILLISECONDS[match[2]]


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
