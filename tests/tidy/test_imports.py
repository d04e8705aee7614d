"""No module imports, over however many others, itself: not at run time, and not for the type checker either.

Two files that name each other are one file with a noun missing: what one of them asks of the other, or an identity in
place of an object. An import under TYPE_CHECKING hides such a circle from the interpreter, not from the reader.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(text: str, known: Mapping[str, object]) -> list[str]:
    """Return the modules among `known` that a source imports anywhere, in functions and under conditions too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from room import file` names the file; `from room import Face` names the room.
            found += [name if name in known else node.module for name in submodules]
    return sorted({name for name in found if name in known})


def first_circle(sources: Mapping[str, str]) -> list[str] | None:
    """Return modules each of which imports the one before, the last being the first; None when there is no circle."""
    try:
        TopologicalSorter({name: imported_modules(text, sources) for name, text in sources.items()}).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return None


def test_no_module_imports_itself_over_others() -> None:
    paths = sorted((ROOT / "cluster").rglob("*.py"))
    circle = first_circle({module_name(path): path.read_text() for path in paths})
    assert circle is None, "each imports the one before: " + " <- ".join(circle or [])


@pytest.mark.parametrize(
    "importing",
    [
        "from room.host import Host",
        "from room import host",
        "import room.host",
        "if TYPE_CHECKING:\n    from room.host import Host",
        "def late():\n    from room.host import Host",
    ],
)
def test_a_circle_is_seen_however_it_is_written(importing: str) -> None:
    modules = {"room": "", "room.guest": importing, "room.host": "from room.guest import Guest"}
    assert first_circle(modules) is not None
    assert first_circle({**modules, "room.host": "from elsewhere import Guest"}) is None
