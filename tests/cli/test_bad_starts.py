"""A start that cannot succeed says why and what to do, and leaves nothing behind."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from command_line import Shell

pytestmark = pytest.mark.live

ATTACHED_OR_NOT = pytest.mark.parametrize("detach", [(), ("-d",)], ids=["attached", "detached"])


def refused(shell: Shell, *arguments: str, exit_code: int = 4) -> str:
    run = shell.run("up", "-n", "1", "--combined", *arguments)
    assert run.returncode == exit_code, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    cause, *remedy = run.stderr.removeprefix("fencepost: ").splitlines()
    assert remedy, "a remedy follows the cause"
    return cause


@ATTACHED_OR_NOT
def test_a_taken_port(tmp_path: Path, detach: tuple[str, ...]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(Shell(tmp_path), "--port", str(port), *detach)
    assert said == f"b1 cannot listen on 127.0.0.1:{port}: the address is taken."
    assert list(tmp_path.iterdir()) == []


@ATTACHED_OR_NOT
@pytest.mark.parametrize("port", ["-5", "65536"])
def test_a_port_that_cannot_be(tmp_path: Path, port: str, detach: tuple[str, ...]) -> None:
    assert "Ports end at 65535" in refused(Shell(tmp_path), "--port", port, *detach, exit_code=2)
    assert list(tmp_path.iterdir()) == []


@ATTACHED_OR_NOT
def test_a_directory_with_something_else_in_it(tmp_path: Path, detach: tuple[str, ...]) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("x")
    said = refused(Shell(tmp_path / "home"), "--port", "0", "--data-dir", str(letters), *detach)
    assert said == f"{letters} holds something that is no Fencepost cluster: dear.txt."
    assert [entry.name for entry in letters.iterdir()] == ["dear.txt"]
    assert list((tmp_path / "home").iterdir()) == []


@ATTACHED_OR_NOT
@pytest.mark.parametrize("what", ["data", "home"])
def test_a_directory_that_cannot_be_written(tmp_path: Path, what: str, detach: tuple[str, ...]) -> None:
    """A file in its place, because whoever runs this may be allowed to write everywhere."""
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "within"
    if what == "data":
        said = refused(Shell(tmp_path / "home"), "--port", "0", "--data-dir", str(where), *detach)
        assert said == f"{where} cannot be used as a data directory: Not a directory."
    else:
        said = refused(Shell(where), "--port", "0", *detach)
        assert said == f"{where / 'default'} cannot be made: Not a directory."


@pytest.mark.parametrize("topic", ["a b:1:1", "..", "x" * 250, "or/ders"])
def test_a_topic_that_kafka_would_not_have(tmp_path: Path, topic: str) -> None:
    assert "Topic name is invalid" in refused(Shell(tmp_path), "--port", "0", "--topic", topic, exit_code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk(tmp_path: Path) -> None:
    """A node's first file cannot be written."""
    data = tmp_path / "data"
    shell = Shell(tmp_path / "home")
    assert shell.run("up", "-d", "-n", "1", "--combined", "--port", "0", "--data-dir", str(data)).returncode == 0
    assert shell.run("down").returncode == 0
    shutil.rmtree(data / "b1")
    (data / "b1").mkdir()
    (data / "b1" / "meta.properties.tmp").symlink_to("/dev/full")
    said = refused(shell, "--port", "0", "--data-dir", str(data))
    assert "No space left on device: free some space, or choose another --data-dir" in said
