"""`fencepost down --purge` removes the data of a cluster, wherever it is, and never anybody else's."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from command_line import Shell

from cluster.lab.data_directory import DataDirectory, remove_data
from cluster.lab.errors import LabError
from cluster.lab.target import numbered_cluster


@pytest.mark.live
def test_a_cluster_that_is_down_is_known_by_its_name(tmp_path: Path) -> None:
    shell, elsewhere = Shell(tmp_path / "home"), tmp_path / "elsewhere"
    started = shell.run("up", "-d", "-n", "1", "--combined", "--port", "0", "--data-dir", str(elsewhere))
    assert started.returncode == 0, started.stderr
    assert shell.run("down").returncode == 0
    assert (elsewhere / "b1" / "meta.properties").exists()
    logs = shell.run("logs", "b1")
    assert (logs.returncode, logs.stdout) == (0, (elsewhere / "b1" / "node.log").read_text())
    purged = shell.run("down", "--purge")
    assert purged.returncode == 0, purged.stderr
    assert not elsewhere.exists()
    assert not (tmp_path / "home" / "default").exists()


def test_data_that_another_cluster_uses_is_left_alone(tmp_path: Path) -> None:
    used = DataDirectory(tmp_path / "data", numbered_cluster(1, 1, combined=True))
    with pytest.raises(LabError, match="in use by another cluster"):
        remove_data(tmp_path / "data")
    used.close()
    remove_data(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    remove_data(tmp_path / "data")


def test_a_supervisor_that_is_about_to_let_go_is_waited_for(tmp_path: Path) -> None:
    used = DataDirectory(tmp_path / "data", numbered_cluster(1, 1, combined=True))
    letting_go = threading.Timer(0.2, used.close)
    letting_go.start()
    remove_data(tmp_path / "data", patience_s=30.0)
    letting_go.join()
    assert not (tmp_path / "data").exists()


def test_what_is_no_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("mine")
    with pytest.raises(LabError, match="no Fencepost cluster"):
        remove_data(tmp_path)
    assert (tmp_path / "letter").read_text() == "mine"
