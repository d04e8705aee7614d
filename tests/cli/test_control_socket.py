"""What a command says when the supervisor of a cluster cannot be asked, and what a supervisor makes of nonsense."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.lab.control import ask
from cluster.lab.errors import LabError
from cluster.lab.home import SOCKET_FILE, cluster_home
from cluster.lab.supervisor import _request_in


def cause_of_asking(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FENCEPOST_HOME", str(home))
    with pytest.raises(LabError) as raised:
        ask("mine", "ps")
    return raised.value.cause


def test_a_cluster_that_was_never_started_is_not_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cause_of_asking(tmp_path, monkeypatch) == "No cluster called mine is running."


def test_a_socket_that_a_killed_supervisor_left_means_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FENCEPOST_HOME", str(tmp_path))
    directory = cluster_home("mine")
    os.makedirs(directory, exist_ok=True)
    (directory / SOCKET_FILE).touch()
    assert cause_of_asking(tmp_path, monkeypatch) == "No cluster called mine is running."


def test_any_other_failure_is_told_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    not_a_directory = tmp_path / "home"
    not_a_directory.touch()
    assert cause_of_asking(not_a_directory, monkeypatch) == "The supervisor of mine cannot be asked: Not a directory."


def test_what_is_no_request_is_not_answered() -> None:
    assert _request_in(b'{"command": "ps"}\n') == {"command": "ps"}
    assert _request_in(b"GET / HTTP/1.1\n") is None
    assert _request_in(b"[1]\n") is None
