"""What is wrong with a document, in words for its author: what was expected, where, and on which line.

Here: pydantic's complaints translated, places written as `steps/crash/kill`, and the lines of places. Not here: what
there is to complain about (`schema`, `steps`, `planner`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from cluster.scenario.document import locate

_PLACE = re.compile(r"(?:variant (?P<variant>\S+): )?(?P<path>[A-Za-z0-9_.$/-]+): ")
_UNKNOWN_KEY = re.compile(r"unknown key '([^']+)'")


def problems_of(document: Any, error: ValidationError) -> tuple[str, ...]:
    """Return one line for each thing that the models refuse in a document."""
    told = [problem for problem in error.errors() if not _is_about_another_form(problem)]
    return tuple(dict.fromkeys(f"{_where(document, problem['loc'])}: {what_is_wrong(problem)}" for problem in told))


def _is_about_another_form(problem: Mapping[str, Any]) -> bool:
    """Whether a list is refused as a number where either may stand: what is wrong in the list is told, too."""
    return problem["type"] == "int_type" and isinstance(problem["input"], list)


def what_is_wrong(problem: Mapping[str, Any]) -> str:
    """Say one complaint of pydantic's as what to write instead."""
    given, limits = problem.get("input"), problem.get("ctx", {})
    match problem["type"]:
        case "missing" if isinstance(problem["loc"][-1], int):
            return f"there must be {problem['loc'][-1] + 1}: one more is missing"
        case "missing":
            return f"{problem['loc'][-1]} is missing"
        case "string_pattern_mismatch":
            return f"{given!r} must be in lower case, with dashes between words"
        case "literal_error":
            return f"write {limits['expected'].replace(chr(39), '')}, not {_short(given)}"
        case "greater_than_equal":
            return f"must be {limits['ge']} or more, not {_short(given)}"
        case "less_than_equal":
            return f"must be {limits['le']} or less, not {_short(given)}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"write a whole number, not {_short(given)}"
        case "string_type":
            return f"write a word, not {_short(given)}"
        case "list_type" | "tuple_type":
            return f"write a list, such as [a, b], not {_short(given)}"
        case "dict_type" | "model_type":
            return f"write a mapping, such as {{name: value}}, not {_short(given)}"
    return str(problem["msg"]).removeprefix("Value error, ")


def line_of(text: str, problem: str) -> int | None:
    """Return the line, from 1, of what a problem is about; None when that is nowhere in the text.

    A variant's problem is looked for in the variant first, then where its patch leads.
    """
    match = _PLACE.match(problem)
    if match is None:
        return None
    path = [part for part in match["path"].split("/") if part != "scenario"]
    key = _UNKNOWN_KEY.search(problem)
    path += [] if key is None else [key[1]]
    inside = [] if match["variant"] is None else ["variants", match["variant"]]
    prefixes = [[*inside, "patch"], inside, []] if inside else [[]]
    found = [(locate(text, [*prefix, *path]), len(prefix)) for prefix in prefixes]
    (depth, line), _ = max(found, key=lambda one: one[0][0] - one[1])  # of equals the first is meant
    return line if depth else None


def _short(given: object) -> str:
    """Return what was given as it is written in YAML, cut when it is long."""
    words: Mapping[object, str] = {None: "nothing", True: "true", False: "false"}
    text = words[given] if given is None or isinstance(given, bool) else repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _where(document: Any, location: Sequence[int | str]) -> str:
    """Write a place as `steps/crash/kill`: items of lists go by their id."""
    parts: list[str] = []
    at: Any = document
    for part in location:
        if isinstance(part, int) and isinstance(at, list) and part < len(at):
            at = at[part]
            parts.append(str(at.get("id", part)) if isinstance(at, dict) else str(part))
        elif isinstance(at, dict) and part in at:
            at = at[part]
            parts.append(str(part))
        # what is left are names of pydantic's own, such as the member of a union
    return "/".join(parts) or "scenario"
