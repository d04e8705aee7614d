"""The limits that keep the code readable, as tests. No exemptions: a file that does not fit has a noun missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "manager"}
CORE = (
    "base",
    "records",
    "wire",
    "storage",
    "raft",
    "metadata",
    "controller",
    "replication",
    "groups",
    "transactions",
    "sharing",
)


def sources() -> list[Path]:
    """Every Python file that a person wrote."""
    found = [*(ROOT / "cluster").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    return sorted(path for path in found if "rpc" not in path.relative_to(ROOT).parts)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_lives_in_it(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert text == "" or ast.get_docstring(tree), "a file opens with what lives here and what does not"
    long = [
        f"{item.name} has {length_lines(item)}" for item in functions(tree) if length_lines(item) > FUNCTION_LINES_MAX
    ]
    assert not long, f"functions over {FUNCTION_LINES_MAX} lines: {long}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_a_noun_of_the_domain_for_a_name(path: Path) -> None:
    assert not BANNED_NAMES & set(path.with_suffix("").relative_to(ROOT).parts)


@pytest.mark.parametrize("room", CORE)
def test_the_core_is_plain_synchronous_code(room: str) -> None:
    for path in sorted((ROOT / "cluster" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_port = path.name == "ports.py"  # the Disk port declares `sync`, which the shell awaits
            assert is_port or not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{path}: {ast.dump(node)[:80]}"


def test_nothing_iterates_over_a_set() -> None:
    """The order of a set depends on the process: it would make two runs of one seed differ."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.For | ast.comprehension):
                where = f"{path}:{getattr(node, 'lineno', node.iter.lineno)}"
                assert not isinstance(node.iter, ast.Set | ast.SetComp), where
                is_set_call = isinstance(node.iter, ast.Call) and getattr(node.iter.func, "id", "") in (
                    "set",
                    "frozenset",
                )
                assert not is_set_call, where


def test_rooms_import_downwards_only() -> None:
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_limit_can_be_broken() -> None:
    """The checks above do see what they look for."""
    tree = ast.parse("def f():\n" + "    pass\n" * FUNCTION_LINES_MAX)
    assert [length_lines(item) for item in functions(tree)] == [FUNCTION_LINES_MAX + 1]


def test_no_two_test_files_have_the_same_name() -> None:
    """Pytest imports them by their bare names, and takes the second for the first."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py"))
    own = ("conftest.py", "__main__.py", "__init__.py")
    assert [name for name, count in names.items() if count > 1 and name not in own] == []
