"""`fencepost up -d` returns when the cluster is ready or has failed, and leaves behind the cluster or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, SOON_S, Shell, eventually

pytestmark = pytest.mark.live

ONE_NODE = ("--combined", "--port", "0", "--json")


def processes_of(home: Path) -> list[int]:
    """Return the processes that carry a home in their environment, which all of a cluster's do."""
    wanted = f"FENCEPOST_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_letters_written_together_detach_too(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    run = shell.run("up", "-dn1", *ONE_NODE)
    assert run.returncode == 0, run.stderr
    ready = json.loads(run.stdout)
    assert ready["nodes"][0]["pid"] in processes_of(tmp_path)
    assert len(processes_of(tmp_path)) == 3, "the supervisor, the nodes' parent, the node"
    assert shell.run("down", "--purge").returncode == 0
    eventually(lambda: processes_of(tmp_path) == [])


def test_what_lies_in_the_current_directory_is_not_taken_for_a_module(tmp_path: Path) -> None:
    here = tmp_path / "here"
    for name in ("asyncio", "grpc", "cluster"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise SystemExit('a stranger')")
    shell = Shell(tmp_path / "home")
    code = "import sys; sys.path.remove(''); from cluster.cli import main; main()"
    command = [COMMAND[0], "-c", code, "up", "-d", "-n", "1", *ONE_NODE]
    run = subprocess.run(
        command, cwd=here, env=shell.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert shell.run("down", "--purge").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("processes", [3, 4], ids=["while loading", "while nodes start"])
def test_an_interrupted_start_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, processes: int) -> None:
    """Ctrl-C reaches every process of the terminal's foreground group."""
    shell = Shell(tmp_path)
    command = [*COMMAND, "up", "-d", "-n", "3", *ONE_NODE]
    with subprocess.Popen(
        command, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as up:
        eventually(lambda: len(processes_of(tmp_path)) >= processes, pause_s=0.005)
        os.killpg(up.pid, number)
        said, complained = up.communicate(timeout=SOON_S)
    if up.returncode == 0:  # it was quicker
        assert json.loads(said)
        shell.run("down")
    else:
        assert up.returncode in (130, -number), complained
        assert (said, b"Traceback" in complained) == (b"", False), complained.decode()
    eventually(lambda: processes_of(tmp_path) == [])


def test_a_killed_waiter_takes_the_start_with_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    with subprocess.Popen(
        [*COMMAND, "up", "-d", "-n", "3", *ONE_NODE], env=shell.environment, stdout=subprocess.PIPE
    ) as up:
        eventually(lambda: len(processes_of(tmp_path)) >= 3, pause_s=0.005)
        up.kill()
    if up.returncode == 0:
        shell.run("down")
    eventually(lambda: processes_of(tmp_path) == [])
