"""`fencepost check` says what is wrong with a history, what of that is permitted, and what is no history at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cluster.checks.history import ANOMALIES
from tests.checks.histories import Row, lines_of, poll, send
from tests.cli.command_line import ROOT, Shell

LOST = [*send("p1", "a", 0), *send("p1", "b", 1), *poll("r", (0, "a"), final=True)]
SOUND = [*send("p1", "a", 0), *poll("r", (0, "a"), final=True)]
ONE_ACK: Row = {"type": "setting", "clients": {"p1": {"acks": "1"}}}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def written(shell: Shell, rows: list[Row]) -> str:
    file = shell.home / "history.jsonl"
    file.write_text("\n".join(lines_of(rows)) + "\n")
    return str(file)


def test_a_sound_history_ends_with_zero(shell: Shell) -> None:
    done = shell.run("check", written(shell, SOUND))
    assert done.returncode == 0, done.stderr
    assert "no anomaly" in done.stdout


def test_a_file_that_an_editor_opened_with_a_byte_order_mark_is_read(shell: Shell) -> None:
    file = Path(written(shell, SOUND))
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert shell.run("check", str(file)).returncode == 0


def test_a_loss_that_nothing_permits_ends_with_one(shell: Shell) -> None:
    done = shell.run("check", written(shell, LOST))
    assert done.returncode == 1, done.stderr
    assert re.search(r"unseen +1 +not permitted: .*a bug", done.stdout)
    assert "first: b was acknowledged to p1 at k-0@1 and is gone" in done.stdout


def test_the_setting_in_the_history_permits_it(shell: Shell) -> None:
    done = shell.run("check", written(shell, [ONE_ACK, *LOST]), "--json")
    assert done.returncode == 0, done.stderr
    (anomaly,) = json.loads(done.stdout)["anomalies"]
    assert anomaly["permitted"]
    assert anomaly["sentence"].startswith("1 acknowledged record lost: permitted, acks=1")


def test_an_option_speaks_where_the_history_is_silent(shell: Shell) -> None:
    history = written(shell, LOST)
    assert shell.run("check", history, "--acks", "1").returncode == 0
    assert shell.run("check", history, "--acks", "all").returncode == 1
    assert shell.run("check", history, "--power-losses", "1").returncode == 0
    assert shell.run("check", history, "--power-losses", "1", "--min-insync-replicas", "2").returncode == 1


def test_a_history_without_a_final_reading_is_inconclusive(shell: Shell) -> None:
    done = shell.run("check", written(shell, SOUND[:2]))
    assert done.returncode == 3
    assert "final" in done.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}\n", "line 1: 'process' must name the client"),
        ('{"type": "setting", "clients": {"p1": {"ack": 1}}}\n', "clients/p1: unknown config 'ack'"),
        ('{"type": "setting", "topics": {"t": {"min.insync.replicas": "2"}}}\n', "min.insync.replicas must be a whole"),
        (b"\xff\xfe\n", "is not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_history_is_refused_with_the_place(shell: Shell, text: str | bytes | None, problem: str) -> None:
    file = shell.home / "history.jsonl"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    done = shell.run("check", str(file))
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_the_documentation_shows_a_history_and_its_verdict_as_they_are(shell: Shell) -> None:
    page = (ROOT / "docs" / "history.md").read_text()
    shown = page.split("$ cat history.jsonl\n")[1].split("```")[0]
    history, verdict = shown.split("$ fencepost check history.jsonl\n")
    file = shell.home / "history.jsonl"
    file.write_text(history)
    said = shell.run("check", str(file)).stdout.replace(str(file), "history.jsonl")
    assert said == verdict


def test_the_documentation_lists_every_anomaly_as_the_code_defines_it() -> None:
    page = (ROOT / "docs" / "history.md").read_text()
    assert dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", page.split("## Anomalies")[1], re.MULTILINE)) == ANOMALIES
