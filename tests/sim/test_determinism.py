"""The same seed gives the same run, bit for bit, in processes that differ in all that should not matter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(what: str, seed: int, directory: Path, **environment: str) -> str:
    """Run the program in a directory and environment of its own; return what it prints."""
    search_path = os.pathsep.join(str(path) for path in (ROOT, HERE))
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(HERE / "repeatable_run.py"), what, str(seed)],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": search_path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("what", ["toy", "cluster"])
def test_a_seed_repeats_in_two_processes_with_different_environments(what: str, tmp_path: Path) -> None:
    one = run(what, 1, ROOT, PYTHONHASHSEED="7", LANG="C", COLUMNS="80")
    two = run(what, 1, tmp_path, PYTHONDONTWRITEBYTECODE="1", TZ="Asia/Tokyo", HOME=str(tmp_path), LONG="x" * 10_000)
    assert one == two
    assert len(one.split()[0]) == 32


def test_another_seed_gives_another_run() -> None:
    assert run("toy", 1, ROOT).split()[0] != run("toy", 2, ROOT).split()[0]


def test_without_pinned_hashes_the_same_seed_would_differ() -> None:
    """What `ensure_reproducible` is for: the toy iterates over sets of strings, as aiokafka does."""
    program = "import repeatable_run as r; print(r.run_simulation(r.toy, 1).trace_hash)"
    search_path = os.pathsep.join(str(path) for path in (ROOT, HERE))
    hashes = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": search_path, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert hashes[0] != hashes[1]


def test_a_program_restarts_itself_with_pinned_hashes_and_its_own_arguments(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(
        "import sys\n"
        "from cluster.runtime.sim import ensure_reproducible, is_reproducible\n"
        "ensure_reproducible()\n"
        "print(is_reproducible(), sys.argv[1:], __name__)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    for start in (["asks.py"], ["-m", "asks"]):
        done = subprocess.run(
            [sys.executable, *start, "a b", "-c"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split(maxsplit=1) == ["True", "['a b', '-c'] __main__\n"]
    ignoring = subprocess.run(
        [sys.executable, "-E", str(tmp_path / "asks.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignoring.returncode != 0
