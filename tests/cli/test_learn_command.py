"""`fencepost learn` as a learner and as a script meet it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "from cluster.cli import main; main()", "learn")
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}


def learn(cwd: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, *arguments]
    return subprocess.run(words, input=said, capture_output=True, text=True, check=False, cwd=cwd, env=HERE)


def test_the_list_has_every_lesson(tmp_path: Path) -> None:
    told = learn(tmp_path).stdout
    for path in sorted((ROOT / "scenarios" / "lessons").glob("*.yaml")):
        number, _, name = path.stem.partition("-")
        assert f"{int(number):>3}  {name}\n" in told


def test_a_right_answer_and_a_wrong_one_are_graded_and_the_variant_is_run(tmp_path: Path) -> None:
    right = learn(tmp_path, "2", "--answer", "b", "--variant", "acks-all", "--report", "kept")
    assert right.returncode == 0, right.stderr
    assert "✔ Right:" in right.stdout
    assert "story of orders-0@" in right.stdout
    assert "→ durable: violated before, holds now." in right.stdout
    assert (tmp_path / "kept" / "report.html").exists()
    wrong = learn(tmp_path, "acks-1-loses", "--no-report", said="c\n")
    assert wrong.returncode == 0, "a wrong guess is no failure"
    assert "✖ Not c. It was b:" in wrong.stdout
    assert "--variant acks-all" in wrong.stdout
    assert not (tmp_path / "runs").exists()


def test_whoever_cannot_be_asked_is_told_how_to_answer(tmp_path: Path) -> None:
    for arguments, said, hint in [
        (("2",), "", "--answer a|b|c"),
        (("2", "--answer", "z"), "", "'z' is none of a, b, c"),
        (("2",), "seven\n", "'seven' is none of a, b, c"),
        (("acks-1-lose",), "", "did you mean acks-1-loses?"),
        (("99",), "", "There is no lesson '99'"),
        (("2", "--answer", "a", "--variant", "acks-al"), "", "did you mean acks-all?"),
        (("2", "--report", "x", "--no-report"), "", "exclude each other"),
    ]:
        asked = learn(tmp_path, *arguments, said=said)
        assert asked.returncode == 2, (arguments, asked.stdout, asked.stderr)
        assert hint in asked.stderr and "Traceback" not in asked.stderr
        assert not (tmp_path / "runs").exists()


def test_at_a_terminal_a_typing_error_is_forgiven_and_variants_are_asked_for(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = [*COMMAND, "2", "--no-report"]
    with subprocess.Popen(
        words, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, env=HERE
    ) as run:
        os.close(theirs)
        os.write(ours, b"x\nb\nacks\nacks-all\n\n")
        told = run.communicate()[0].decode()
        os.close(ours)
    assert run.returncode == 0, told
    assert "'x' is none of a, b, c." in told
    assert "✔ Right:" in told
    assert "There is no variant 'acks'." in told
    assert "→ durable: violated before, holds now." in told
